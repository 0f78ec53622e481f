"""The policy of a consumer group: how long a delivery may stay unacknowledged, how often it is repeated, and what then;
how much is delivered at a time, and in which order.

A policy is stored as options with texts (`ackwait` -> `30000`), so that servers without policies keep them as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from broker.values.streams.delivery import MAX_COUNT
from protocol.numbers import parse_integer

ACKWAIT: Final = b"ackwait"
MAXDELIVER: Final = b"maxdeliver"
DEADLETTER: Final = b"deadletter"
BACKOFF: Final = b"backoff"
MAXINFLIGHT: Final = b"maxinflight"
ORDERBY: Final = b"orderby"
OPTIONS: Final = (ACKWAIT, MAXDELIVER, DEADLETTER, BACKOFF, MAXINFLIGHT, ORDERBY)

DEFAULT_ACK_WAIT: Final = 30_000
"""Milliseconds to wait for an acknowledgement where only other options say that there is a wait."""

MAX_BACKOFF: Final = 32
"""The number of waits that a policy may have."""

MAX_WAIT: Final = 1 << 40
"""Milliseconds to wait for an acknowledgement at most: 34 years.

XNACK DELAY says by the time of a delivery when the entry is due again, and a time before 1970 does not survive a file.
"""


class GroupPolicy(NamedTuple):
    """Times are milliseconds; 0 and empty stand for an option that is not set.

    `dead_letter` is the key of the stream that receives entries which were delivered `max_deliver` times in vain.
    `backoff` has the wait after the first delivery, after the second, and so on; the last one repeats. At most
    `max_inflight` entries are in flight, and of those with one value of the field `order_by`, one.
    """

    ack_wait: int = 0
    max_deliver: int = 0
    dead_letter: bytes = b""
    backoff: tuple[int, ...] = ()
    max_inflight: int = 0
    order_by: bytes = b""

    def completed(self) -> GroupPolicy:
        """Returns the policy with an ACKWAIT if other options need one."""
        needs_wait = bool(self.max_deliver or self.backoff)
        return self._replace(ack_wait=DEFAULT_ACK_WAIT) if needs_wait and not self.ack_wait else self

    def waits(self) -> tuple[int, ...]:
        """Returns the wait after each delivery, of which the last one repeats; () if nothing is redelivered."""
        return self.backoff or ((self.ack_wait,) if self.ack_wait else ())

    def wait(self, count: int) -> int:
        """Returns the wait after the `count`-th delivery; there must be one."""
        waits = self.waits()
        return waits[min(max(count, 1), len(waits)) - 1]

    def last_count(self) -> int:
        """Returns the number of deliveries from which on an entry is dead once its wait is over."""
        return self.max_deliver or MAX_COUNT

    def texts(self) -> dict[bytes, bytes]:
        """Returns the options that are set, as they are stored."""
        texts = {
            ACKWAIT: b"%d" % self.ack_wait if self.ack_wait else b"",
            MAXDELIVER: b"%d" % self.max_deliver if self.max_deliver else b"",
            DEADLETTER: self.dead_letter,
            BACKOFF: b" ".join(b"%d" % wait for wait in self.backoff),
            MAXINFLIGHT: b"%d" % self.max_inflight if self.max_inflight else b"",
            ORDERBY: self.order_by,
        }
        return {option: text for option, text in texts.items() if text}


def policy_of(texts: Mapping[bytes, bytes]) -> GroupPolicy | None:
    """Returns the policy that was stored, None if it is not one: clients may have written there."""
    numbers = [parse_integer(texts.get(option, b"0")) for option in (ACKWAIT, MAXDELIVER, MAXINFLIGHT)]
    waits = [parse_integer(text) for text in texts.get(BACKOFF, b"").split()]
    if len(waits) > MAX_BACKOFF or any(number is None or number < 0 for number in numbers):
        return None
    if any(wait is None or not 1 <= wait <= MAX_WAIT for wait in waits):
        return None
    ack_wait, max_deliver, max_inflight = (number or 0 for number in numbers)
    if ack_wait > MAX_WAIT:
        return None
    backoff = tuple(wait or 0 for wait in waits)
    dead_letter, order_by = texts.get(DEADLETTER, b""), texts.get(ORDERBY, b"")
    return GroupPolicy(ack_wait, max_deliver, dead_letter, backoff, max_inflight, order_by).completed()
