"""The times at which a stream's consumers last succeeded, stored next to the stream instead of in it.

The stream type that Redis 7.0 reads has one time per consumer, that of its last attempt. Redis 7.2 introduced a new
type for the last success, but 7.0 refuses a whole file that has it. Nearly every stream with active consumers needs
that time, so files keep the older type, and an AUX field before the key holds the times. By the format's rules servers
ignore unknown AUX fields; they then take the last attempt for the last success, as 7.0 does.

The field consists of the times, eight bytes each, little-endian and signed, in the order of the stream's consumers,
followed by the key. A field that doesn't fit the next stream is ignored. It is read like any other string; only the
last one before a key is kept, and applying it takes time proportional to the number of the stream's consumers.
"""

from collections.abc import Iterator
from itertools import chain
from struct import Struct
from typing import Final

from broker.values.streams.stream import Stream

ACTIVE_TIMES: Final = b"trimaran-consumers-active"
"""The AUX field's name. Every server would log one that begins with %."""

_TIME_BYTES: Final = 8
_unpacked = Struct("<q").iter_unpack

_PAUSE_CONSUMERS: Final = 1000
"""Consumers between two pauses: a tenth of a millisecond of work."""


def active_times_differ(stream: Stream) -> bool:
    """Whether any consumer's last success differs from its last attempt."""
    return any(
        consumer.active_time != consumer.seen_time
        for group in stream.groups.values()
        for consumer in group.consumers.values()
    )


def pack_active_times(key: bytes, stream: Stream) -> bytes:
    """Returns the field's value. The order is that of a saved stream: groups by name, their consumers by name."""
    consumers = (
        group.consumers[name] for _, group in sorted(stream.groups.items()) for name in sorted(group.consumers)
    )
    times = [consumer.active_time for consumer in consumers]
    return Struct(f"<{len(times)}q").pack(*times) + key


def restore_active_times(value: bytes, key: bytes, stream: Stream) -> Iterator[None]:
    """Sets the times of a just loaded stream's consumers from a field, if the field belongs to that key.

    Yields now and then, so that the caller can do other work.
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
