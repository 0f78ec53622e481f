"""Deadlines as clients write them: EX, PX, EXAT and PXAT with a number.

SET, GETEX, MSETEX, INCREX and the commands that set hash fields take the same options. Whatever the unit, a
deadline is kept, compared and propagated in wall-clock milliseconds.
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

DEADLINE_UNITS: Final = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}
"""For each option that sets a deadline its unit in milliseconds, and whether it counts from now."""

DEADLINES_AS_GIVEN: Final[Mapping[str, Callable[..., object]]] = {unit.decode(): bytes for unit in DEADLINE_UNITS}
"""For a command's `Parser`. Redis reads these numbers only after all options; `deadline_option` does that."""


def deadline_option(unit: bytes, argument: bytes, command: bytes, now: int) -> int | None:
    """Returns the deadline that a command's options set, None for another `unit` (KEEPTTL, PERSIST, or no option)."""
    return deadline(unit, argument, command, now) if unit in DEADLINE_UNITS else None


def deadline(unit: bytes, argument: bytes, command: bytes, now: int) -> int:
    """Returns the deadline that `EX 10` or `PXAT 1700000000000` sets, in wall-clock milliseconds.

    `command` is the name for the error text, in lower case. Raises if the number is not an integer or not positive,
    or if the deadline does not fit 64 bits.
    """
    value = integer(argument)
    if value <= 0:
        raise CommandError(invalid_expire(command))
    milliseconds, from_now = DEADLINE_UNITS[unit]
    value *= milliseconds
    if from_now:
        value += now
    if value > MAX_INTEGER:
        raise CommandError(invalid_expire(command))
    return value


def has_passed(broker: Broker, when: int) -> bool:
    """Whether a key with this deadline has already expired.

    While the journal is being read no key expires: the commands still to come were executed while the key existed.
    Nor does any in import mode or on a replica: its expiry is up to the server that the data comes from.
    """
    state = broker.state
    return when <= broker.clock.now and not (state.loading or state.importing or state.replica)
