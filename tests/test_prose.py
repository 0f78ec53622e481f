"""Phrases that no native engineer would write, kept out of code and documents once they were cleared away."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BANNED = {
    "anew": "again",
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
}
SUFFIXES = {".py", ".pyx", ".pxd", ".md"}
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
    for path in (ROOT / "broker/commands").rglob("*.py"):
        assert 'summary="Gives' not in path.read_text(), path
