"""Deadlines as clients give them: EX, PX, EXAT and PXAT with a number.

The same options stand in SET, GETEX, MSETEX, INCREX and in the commands that set hash fields. Whatever the
unit, a deadline is kept, compared and propagated as wall milliseconds.
"""

from __future__ import annotations

from typing import Any, Final

from broker.broker import Broker
from broker.keyspace.events import GENERIC, Event
from broker.table.arguments import MAX_INTEGER, integer
from protocol.errors import CommandError, invalid_expire

EXPIRE: Final = Event(GENERIC, b"expire")
PERSIST: Final = Event(GENERIC, b"persist")

UNITS: Final = ("EX", "PX", "EXAT", "PXAT")
DEADLINE: Final = "|".join(f"{unit} s" for unit in UNITS)
"""The alternatives for `arguments.Options`; their values are read by `deadline_option`, as Redis reads them
only after all options."""


def deadline_option(given: dict[str, Any], command: bytes, now: int) -> int | None:
    """The deadline among parsed options, None if none was given; raises as `deadline` does."""
    for unit in UNITS:
        argument = given[unit]
        if argument is not None:
            return deadline(unit, argument, command, now)
    return None


def deadline(unit: str, argument: bytes, command: bytes, now: int) -> int:
    """The deadline in wall milliseconds that `EX 10`, `PXAT 1700000000000` and the like stand for.

    `command` is the name for the error text, in lower case. Raises if the number is none, is not positive, or
    the deadline does not fit 64 bits.
    """
    value = integer(argument)
    if value <= 0:
        raise CommandError(invalid_expire(command))
    if unit[0] == "E":
        value *= 1000
    if unit in ("EX", "PX"):
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
