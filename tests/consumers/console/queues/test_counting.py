"""What streams count of their entries."""

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
