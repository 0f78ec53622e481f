"""docs/tutorial.md, followed line by line: its files, its servers, its commands, and what they print.

It takes some seconds, since each of the twenty lines is a process, as it is for a reader.
"""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.programs import ROOT, SECONDS
from tests.docs.reader import Reader
from tests.docs.test_guides import NAME

BLOCK = re.compile(r"^```(python|)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVERS = ("trimaran dev", "trimaran serve")
VARYING = {
    re.compile(r"\b\d{13}-\d+\b"): "ID",
    re.compile(r"\b[0-9a-f]{30}\b"): "JOB",
    re.compile(r"\t"): "  ",
    re.compile(r"in \d+\.\d+s"): "in TIME",
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli")
def test_every_line_prints_what_the_page_says(reader: Reader) -> None:
    served = 0
    for language, block in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()):
        if language:
            named = NAME.match(block)
            assert named, block
            (reader.folder / named[1]).write_text(block)
        for step in block.split("$ ")[1:] if block.startswith("$ ") else ():
            line, _, expected = step.partition("\n")
            if line.startswith(SERVERS):
                reader.serve(line)
                served += 1
                continue
            printed = _normal(reader.type(line))
            deadline = time.monotonic() + SECONDS
            while line.startswith("cat ") and printed != expected and time.monotonic() < deadline:
                # What runs in the background has not printed yet.
                time.sleep(0.05)
                printed = _normal(reader.type(line))
            assert printed == expected, line
    assert served == 3


def _normal(printed: str) -> str:
    for varying, name in VARYING.items():
        printed = varying.sub(name, printed)
    return printed
