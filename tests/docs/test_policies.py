"""The lines of docs/policies.md do what it says."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.docs.programs import ROOT, trimaran

BLOCK = re.compile(r"^```\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(r'"\d{13}-\d+"')
TIME = re.compile(r'"\d{13}"')
DUE = re.compile(r'"@(?!4102444800000)\d{13}-')


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli")
def test_the_lines_print_what_they_say(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "policies.md").read_text())
    assert len(blocks) >= 4
    process = Process(tmp_path, stream_extensions="yes", save="")
    process.start()
    try:
        id = ""
        for block in blocks:
            for step in block.split("$ ")[1:]:
                line, _, expected = step.partition("\n")
                command = line.replace("redis-cli", f"redis-cli -p {process.port} --no-raw", 1).replace(
                    " ID ", f" {id} "
                )
                done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
                deadline = time.monotonic() + 60
                while line.startswith("cat ") and not done.stdout and time.monotonic() < deadline:
                    # What runs in the background has not printed yet.
                    time.sleep(0.05)
                    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
                # The reader of the page would copy the ID that was printed last.
                id = (ID.findall(done.stdout) or [id])[-1]
                printed = DUE.sub('"@DUE-', TIME.sub('"TIME"', ID.sub('"ID"', done.stdout)))
                assert printed.replace("\n\n", "\n") == expected, line
        trimaran("redrive", "orders-dead", url=f"redis://127.0.0.1:{process.port}")
        connection = process.connect()
        newest = connection.call("XREVRANGE", "orders", "+", "-", "COUNT", "1")
        connection.close()
        assert b"redriven-id\r\n$3\r\n2-1\r\n" in newest and b"total\r\n$1\r\n5\r\n" in newest
    finally:
        process.kill()
