"""What streams count of their entries."""

import pytest

from consumers.console.queues import counting
from consumers.console.queues.counting import StreamCounts


def info(added: int, length: int) -> dict[bytes, int]:
    return {b"entries-added": added, b"length": length}


def test_the_past_of_a_stream_does_not_count() -> None:
    counts = StreamCounts()
    assert counts.since_first_seen("a", info(1000, 10)) == (0, 0)
    assert counts.since_first_seen("a", info(1005, 12)) == (5, 3)
    assert counts.since_first_seen("b", info(7, 7)) == (0, 0)


def test_counters_that_fall_are_begun_with_again() -> None:
    counts = StreamCounts()
    counts.since_first_seen("a", info(1000, 10))
    # another stream of that name
    assert counts.since_first_seen("a", info(3, 1)) == (0, 0)
    assert counts.since_first_seen("a", info(4, 0)) == (1, 2)
    # more entries are left than before
    assert counts.since_first_seen("a", info(4, 3)) == (0, 0)


def test_streams_that_are_no_longer_asked_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST", 2)
    counts = StreamCounts()
    for stream in ("a", "b", "a", "c"):
        counts.since_first_seen(stream, info(1, 1))
    assert counts.since_first_seen("a", info(2, 1)) == (1, 1)
    assert counts.since_first_seen("b", info(2, 1)) == (0, 0)
