"""docs/from-rabbitmq.md and from-nats.md: our code runs, and prints what its comments say; theirs compiles."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.testing.in_thread import in_thread
from tests.docs.programs import run
from tests.docs.test_guides import DOCS, URL, blocks
from tests.docs.test_moving import PRINTED, THEIRS

IN_A_CLIENT = "async def others():\n    async with coredis.Redis.from_url(URL) as client:\n{}\nanyio.run(others)\n"
GUIDES = {"from-rabbitmq.md": "", "from-nats.md": IN_A_CLIENT}
"""What the blocks after the first stand in."""
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.fixture
def url() -> Iterator[str]:
    """A broker with policies."""
    with in_thread({"stream-extensions": "yes"}) as running:
        yield running.url


@pytest.mark.parametrize("guide", GUIDES)
def test_everything_runs_and_prints_what_it_says(guide: str, url: str, tmp_path: Path) -> None:
    first, *blocks_after = blocks(guide)
    others, frame = "".join(blocks_after), GUIDES[guide]
    if frame:
        others = frame.format(textwrap.indent(others, " " * 8))
    code = f"{first}\n{others}"
    (tmp_path / "all.py").write_text(code.replace(URL, url))
    expected = PRINTED.findall(code)
    assert len(expected) > 5
    assert run(tmp_path / "all.py", url) == expected


@pytest.mark.parametrize("guide", GUIDES)
def test_their_code_compiles_and_all_links_lead_somewhere(guide: str) -> None:
    text = (DOCS / guide).read_text()
    theirs = THEIRS.findall(text)
    assert len(theirs) > 4
    for block in theirs:
        compile(block, guide, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for link in LINK.findall(text):
        assert (DOCS / link).exists(), link
