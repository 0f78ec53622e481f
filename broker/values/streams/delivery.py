"""A delivery of entries of a group to one of its consumers."""

from broker.values.streams.pending import PendingIndex

MAX_COUNT = (1 << 63) - 1
"""A delivery counter stops here (XNACK FATAL sets it to this)."""

PARKED = b"~parked"
"""The consumer that has the entries which were passed over, since one before them must be acknowledged first."""


class Consumer:
    """A member of a group.

    Times are Unix milliseconds: `seen_time` of its last attempt, `active_time` of its last success (-1: none).
    `pending` is the number of its entries in the group's PEL.
    """

    __slots__ = ("active_time", "index", "name", "pending", "seen_time")

    def __init__(self, name: bytes, now: int) -> None:
        self.name = name
        self.seen_time = now
        self.active_time = -1
        self.pending = 0
        self.index = PendingIndex()


class Delivery:
    """An immutable record of a delivery: the consumer, the time (Unix milliseconds), and how often it was delivered.

    `consumer` is None for an entry that XNACK released: it has no owner, and its time is 0. `serial` orders
    deliveries in the same millisecond.
    """

    __slots__ = ("consumer", "count", "serial", "time")

    def __init__(self, consumer: Consumer | None, time: int, count: int, serial: int) -> None:
        self.consumer = consumer
        self.time = time
        self.count = count
        self.serial = serial
