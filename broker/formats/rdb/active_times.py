"""When the consumers of a stream last succeeded, told beside the stream instead of in it.

The type of streams that Redis 7.0 reads has one time for a consumer, that of its last attempt; Redis 7.2 gave the last
success a place in a type of its own, which 7.0 refuses together with the whole file. Nearly every stream with live
consumers needs that place, so a file keeps the older type and has the times in an AUX field before the key. Servers
ignore AUX fields they don't know, by the format's rule, and take the last attempt for a success, as 7.0 does.

The field is the times, eight bytes each, little-endian and signed, in the order in which the stream has its consumers;
behind them the key. One that doesn't fit the stream that follows is ignored. As one is read it is a string like any
other; only the last one before a key is kept, and to apply it takes time in proportion to the consumers of the stream.
"""

from collections.abc import Iterator
from itertools import chain
from struct import Struct
from typing import Final

from broker.values.streams.stream import Stream

ACTIVE_TIMES: Final = b"trimaran-consumers-active"
"""The AUX field's name. One that begins with % would be logged by every server."""

_TIME_BYTES: Final = 8
_unpacked = Struct("<q").iter_unpack

_PAUSE_CONSUMERS: Final = 1000
"""Consumers between two pauses: a tenth of a millisecond of work."""


def active_times_differ(stream: Stream) -> bool:
    """Whether there is a consumer whose last success is not its last attempt."""
    return any(
        consumer.active_time != consumer.seen_time
        for group in stream.groups.values()
        for consumer in group.consumers.values()
    )


def pack_active_times(key: bytes, stream: Stream) -> bytes:
    """The field's value. The order is that of a saved stream: groups by name, their consumers by name."""
    consumers = (
        group.consumers[name] for _, group in sorted(stream.groups.items()) for name in sorted(group.consumers)
    )
    times = [consumer.active_time for consumer in consumers]
    return Struct(f"<{len(times)}q").pack(*times) + key


def restore_active_times(value: bytes, key: bytes, stream: Stream) -> Iterator[None]:
    """Give the consumers of a stream, which was just loaded, the times of a field, if it is that key's.

    Yields now and then, so that something else can be done.
    """
    groups = stream.groups.values()
    size = sum(len(group.consumers) for group in groups) * _TIME_BYTES
    if len(value) != size + len(key) or not value.endswith(key):
        return
    consumers = chain.from_iterable(group.consumers.values() for group in groups)
    for number, (consumer, (time,)) in enumerate(zip(consumers, _unpacked(value[:size]), strict=True)):
        consumer.active_time = time
        if not number % _PAUSE_CONSUMERS:
            yield
