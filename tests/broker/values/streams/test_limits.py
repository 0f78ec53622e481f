"""The directives of streams: a stream obeys the object it was made with, as it is at the time."""

from broker.config import Config
from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.stream import Stream


def fill(stream: Stream, count: int) -> None:
    for _ in range(count):
        stream.append(stream.last_id + 1, [b"f", b"v"])


def test_changes_count_from_the_next_node_on() -> None:
    limits = DefaultStreamLimits(stream_node_max_entries=10)
    stream = Stream(limits)
    fill(stream, 20)
    limits.stream_node_max_entries = 5
    fill(stream, 10)
    assert [len(node) for node in stream.nodes()] == [10, 10, 5, 5]


def test_a_configuration_has_them() -> None:
    config = Config()
    stream = Stream(config)
    fill(stream, 101)
    assert stream.node_count() == 2
    assert (stream.idempotency.duration, stream.idempotency.maxsize) == (100, 100)
