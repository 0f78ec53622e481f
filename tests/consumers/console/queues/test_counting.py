"""What streams count of their entries."""

from consumers.console.queues.counting import StreamCounts


def info(added: int, length: int) -> dict[bytes, int]:
    return {b"entries-added": added, b"length": length}


def test_the_past_of_a_stream_does_not_count() -> None:
    counts = StreamCounts()
    assert counts.since_first_seen("a", info(1000, 10)) == (0, 0)
    assert counts.since_first_seen("a", info(1005, 12)) == (5, 3)
    assert counts.since_first_seen("b", info(7, 7)) == (0, 0)


def test_a_stream_that_was_deleted_counts_anew() -> None:
    counts = StreamCounts()
    counts.since_first_seen("a", info(1000, 10))
    assert counts.since_first_seen("a", info(3, 1)) == (3, 2)
    assert counts.since_first_seen("a", info(4, 0)) == (4, 4)
