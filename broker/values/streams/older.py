"""Streams as servers see them that have no pending entries without an owner.

XNACK leaves an entry pending in its group, but takes it from its consumer. In servers older than Redis 8.8 every
pending entry has an owner. Its last consumer would be the wrong one: deleting that consumer would lose the entry. So
there such entries belong to a consumer of their own, and because they were delivered in 1970, they are the first to be
claimed.
"""

from typing import Final

from broker.values.streams.stream import Stream

RELEASED: Final = b"trimaran-released"
"""The consumer."""


def without_released(stream: Stream) -> Stream:
    """Returns the stream if each of its pending entries has an owner, else a copy in which RELEASED owns the others."""
    if not any(group.released_count() for group in stream.groups.values()):
        return stream
    copy = stream.copy()
    for group in copy.groups.values():
        if group.released_count():
            consumer = group.consumers.get(RELEASED) or group.create_consumer(RELEASED, 0)
            for id in list(group.released()):
                group.claim(id, consumer, 0, group.pel[id].count)
    return copy
