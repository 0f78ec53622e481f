"""Deadlines as clients give them: EX, PX, EXAT and PXAT with a number.

The same options stand in SET, GETEX, MSETEX, INCREX and in the commands that set hash fields. Whatever the
unit, a deadline is kept, compared and propagated as wall milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from broker.broker import Broker
from broker.keyspace.events import GENERIC, Event
from broker.table.arguments import MAX_INTEGER, integer
from protocol.errors import CommandError, invalid_expire

EXPIRE: Final = Event(GENERIC, b"expire")
PERSIST: Final = Event(GENERIC, b"persist")

# A unit in milliseconds, and whether it counts from now.
_UNITS: Final = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}

DEADLINES_AS_GIVEN: Final[Mapping[str, Callable[..., object]]] = {unit.decode(): bytes for unit in _UNITS}
"""For a command's `Parser`: Redis reads these numbers only after all options, by `deadline_option`."""


def deadline_option(unit: bytes, argument: bytes, command: bytes, now: int) -> int | None:
    """The deadline that a command's options give, None for another `unit` (KEEPTTL, PERSIST, none at all)."""
    return deadline(unit, argument, command, now) if unit in _UNITS else None


def deadline(unit: bytes, argument: bytes, command: bytes, now: int) -> int:
    """The deadline in wall milliseconds that `EX 10`, `PXAT 1700000000000` and the like stand for.

    `command` is the name for the error text, in lower case. Raises if the number is none, is not positive, or
    the deadline does not fit 64 bits.
    """
    value = integer(argument)
    if value <= 0:
        raise CommandError(invalid_expire(command))
    milliseconds, from_now = _UNITS[unit]
    value *= milliseconds
    if from_now:
        value += now
    if value > MAX_INTEGER:
        raise CommandError(invalid_expire(command))
    return value


def has_passed(broker: Broker, when: int) -> bool:
    """Whether a key with this deadline is to be removed at once.

    While the journal is read, keys keep deadlines of the past until it has been read: the commands that follow
    were executed when the key was still there.
    """
    return when <= broker.clock.now and not broker.state.loading
