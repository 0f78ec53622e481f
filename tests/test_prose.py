"""Phrases that no native engineer would write, kept out of code and documents once they were cleared away."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BANNED = {
    "anew": "again",
    "by turns": "alternating",
    "comes twice": "is a duplicate",
    "each with the same chance": "all are equally likely",
    "for ever": "forever, or indefinitely",
    "come back when": "return once",
    "everybody else": "the others, or everything else",
    "in its course": "meanwhile, or leave it out",
    "is to happen": "happens",
    "knocks": "has a pending connection",
    "popped for nobody": "popped for a client that has disconnected",
    "stands in": "is in",
    "taken for dead": "considered dead",
    "tells of": "describes, reports",
    "whom it concerns": "name who is notified",
    "the caller's business": "done by the caller",
    "the general way": "the general case",
}
SUFFIXES = {".py", ".pyx", ".pxd", ".pxi", ".lua", ".md"}
FILES = [
    ROOT / "README.md",
    *(
        path
        for folder in ("broker", "protocol", "consumers", "docs")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES
    ),
]


@pytest.mark.parametrize("phrase", BANNED)
def test_banned_phrases(phrase: str) -> None:
    words = re.compile(rf"\b{re.escape(phrase)}\b".replace(r"\ ", r"\s+(?:#\s*)?"))
    found = [str(path.relative_to(ROOT)) for path in FILES if words.search(path.read_text())]
    assert not found, f"write {BANNED[phrase]!r}"


def test_summaries_say_returns_like_redis_own() -> None:
    dialect = re.compile(r'summary="(Gives|Tells|Answers|Makes|Takes) ')
    for path in (ROOT / "broker/commands").rglob("*.py"):
        assert dialect.search(path.read_text()) is None, path
