"""INCREX: a counter with bounds and a time to live, for rate limiters and quotas."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.expire_options import EXPIRE, PERSIST, deadline, has_passed
from broker.commands.strings.counters import INCRBY, INCRBYFLOAT, long_double, stored_integer, stored_long_double
from broker.keyspace.events import DEL, Event
from broker.keyspace.strings import String, get_string
from broker.table.arguments import integer
from broker.table.command import ACCESS, DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from protocol.errors import SYNTAX, CommandError
from protocol.numbers import INFINITY, INTEGER_MAX, INTEGER_MIN, LongDouble, format_long_double, sum_long_doubles
from protocol.replies import CRLF, array, bulk
from protocol.replies import integer as integer_reply

# The slots that each token occupies; no slot may be occupied twice. ENX, "only if the key has no expiry", makes no
# sense together with PERSIST.
_SLOTS: Final = {
    b"BYINT": ("increment",),
    b"BYFLOAT": ("increment",),
    b"LBOUND": ("lower",),
    b"UBOUND": ("upper",),
    b"SATURATE": ("saturate",),
    b"ENX": ("enx",),
    b"PERSIST": ("expiry", "enx"),
    b"EX": ("expiry",),
    b"PX": ("expiry",),
    b"EXAT": ("expiry",),
    b"PXAT": ("expiry",),
}
_WITHOUT_VALUE: Final = frozenset((b"SATURATE", b"ENX", b"PERSIST"))

_INCREMENT_NOT_INTEGER: Final = b"ERR Increment is not an integer or out of range"
_INCREMENT_NOT_FLOAT: Final = b"ERR Increment is not a valid float"
_INCREMENT_INFINITE: Final = b"ERR BYFLOAT increment cannot be Infinity"
_LOWER_NOT_INTEGER: Final = b"ERR LBOUND is not an integer or out of range"
_UPPER_NOT_INTEGER: Final = b"ERR UBOUND is not an integer or out of range"
_LOWER_NOT_FLOAT: Final = b"ERR LBOUND is not a valid float"
_UPPER_NOT_FLOAT: Final = b"ERR UBOUND is not a valid float"
_BOUNDS_CROSSED: Final = b"ERR LBOUND can't be greater than UBOUND"
_ENX_ALONE: Final = b"ERR ENX flag requires an expiration"
_VALUE_INFINITE: Final = b"ERR value cannot be Infinity"
_APPLIED_INFINITE: Final = b"ERR applied increment would be Infinity"
_APPLIED_OVERFLOW: Final = b"ERR applied increment would overflow"

# The largest finite long double.
_LONG_DOUBLE_MAX: Final = long_double(b"0x1.fffffffffffffffep16383", _VALUE_INFINITE)


class _Request:
    """INCREX's options: the bounds are exact numbers, `when` is a deadline in wall-clock milliseconds or None."""

    __slots__ = ("by_float", "enx", "increment", "lower", "persist", "saturate", "upper", "when")

    def __init__(self, args: list[bytes], now: int) -> None:
        self.increment: int | LongDouble = 1
        self.lower: int | LongDouble
        self.upper: int | LongDouble
        given = self._given(args)
        self.by_float = b"BYFLOAT" in given
        self.saturate = b"SATURATE" in given
        self.enx = b"ENX" in given
        self.persist = b"PERSIST" in given
        self._set_bounds(given.get(b"LBOUND"), given.get(b"UBOUND"))
        unit = next((token for token in (b"EX", b"PX", b"EXAT", b"PXAT") if token in given), None)
        if self.enx and unit is None:
            raise CommandError(_ENX_ALONE)
        self.when = None if unit is None else deadline(unit, given[unit], b"increx", now)

    def _given(self, args: list[bytes]) -> dict[bytes, bytes]:
        """Returns each token with its value; parses the increment on the way, but no other value.

        Parsed by hand: PERSIST excludes both an expiry and ENX, and a bad increment is an error as soon as it is read.
        """
        given: dict[bytes, bytes] = {}
        taken: set[str] = set()
        i = 2
        while i < len(args):
            token = args[i].upper()
            slots = _SLOTS.get(token)
            if slots is None or not taken.isdisjoint(slots):
                raise CommandError(SYNTAX)
            taken.update(slots)
            value = b""
            if token not in _WITHOUT_VALUE:
                i += 1
                if i == len(args):
                    raise CommandError(SYNTAX)
                value = args[i]
            if token == b"BYINT":
                self.increment = integer(value, _INCREMENT_NOT_INTEGER)
            elif token == b"BYFLOAT":
                self.increment = long_double(value, _INCREMENT_NOT_FLOAT)
                if abs(self.increment) == INFINITY:
                    raise CommandError(_INCREMENT_INFINITE)
            given[token] = value
            i += 1
        return given

    def _set_bounds(self, lower: bytes | None, upper: bytes | None) -> None:
        if self.by_float:
            self.lower = -_LONG_DOUBLE_MAX if lower is None else long_double(lower, _LOWER_NOT_FLOAT)
            self.upper = _LONG_DOUBLE_MAX if upper is None else long_double(upper, _UPPER_NOT_FLOAT)
        else:
            self.lower = INTEGER_MIN if lower is None else integer(lower, _LOWER_NOT_INTEGER)
            self.upper = INTEGER_MAX if upper is None else integer(upper, _UPPER_NOT_INTEGER)
        if self.lower > self.upper:
            raise CommandError(_BOUNDS_CROSSED)

    def bounded(self, total: int | LongDouble | None) -> int | LongDouble | None:
        """Returns the sum (None: an overflow) if within the bounds, otherwise the bound, or None without SATURATE."""
        if total is None:
            bound = self.upper if self.increment >= 0 else self.lower
        elif total > self.upper:
            bound = self.upper
        elif total < self.lower:
            bound = self.lower
        else:
            return total
        return bound if self.saturate else None


@command("INCREX", arity=-2, flags=WRITE | DENYOOM | FAST, keys=(key(RW, ACCESS, UPDATE),), group="string",
         since="8.8.0",
         syntax="key increment=[BYFLOAT float|BYINT integer] [SATURATE] [LBOUND lowerbound] [UBOUND upperbound] "
                "[EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] [ENX]",
         summary="Increments the number in a string within bounds, and sets or removes its time to live.",
         complexity="O(1)")  # fmt: skip
def increx(session: Client, args: list[bytes]) -> bytes:
    request = _Request(args, session.broker.clock.now)
    value = get_string(session.db, args[1])
    text, reply = (_add_float if request.by_float else _add_integer)(session, request, value)
    if text is not None:
        _store(session, args[1], text, request, value is not None)
    return reply


def _add_integer(session: Client, request: _Request, value: String | None) -> tuple[bytes | None, bytes]:
    """Returns the new text, None if the key stays unchanged, and the reply."""
    old = stored_integer(value)
    assert isinstance(request.increment, int)
    total = old + request.increment
    new = request.bounded(total if INTEGER_MIN <= total <= INTEGER_MAX else None)
    if new is None:
        return None, array((integer_reply(old), integer_reply(0)))
    assert isinstance(new, int)
    if not INTEGER_MIN <= new - old <= INTEGER_MAX:
        raise CommandError(_APPLIED_OVERFLOW)
    return b"%d" % new, array((integer_reply(new), integer_reply(new - old)))


def _add_float(session: Client, request: _Request, value: String | None) -> tuple[bytes | None, bytes]:
    """Does the same for long doubles."""
    old = stored_long_double(value)
    if abs(old) == INFINITY:
        raise CommandError(_VALUE_INFINITE)
    new = request.bounded(sum_long_doubles(old, request.increment))
    if new is None:
        return None, array((_float_reply(session, format_long_double(old)), _float_reply(session, b"0")))
    applied = sum_long_doubles(new, -old)
    if applied is None:
        raise CommandError(_APPLIED_INFINITE)
    text = format_long_double(new)
    return text, array((_float_reply(session, text), _float_reply(session, format_long_double(applied))))


def _float_reply(session: Client, text: bytes) -> bytes:
    # Not Dialect.double, which takes a Python float: a long double has more digits.
    return bulk(text) if session.resp.version == 2 else b"," + text + CRLF


def _store(session: Client, name: bytes, text: bytes, request: _Request, exists: bool) -> None:
    db = session.db
    effects = db.keyspace.effects
    when = request.when
    if request.enx and db.deadline(name) is not None:
        when = None
    if when is not None and has_passed(session.broker, when):
        db.keyspace.expired += 1
        if exists:
            db.delete(name)
            db.changed(name, DEL)
            effects.replace_with([b"DEL", name])
        return
    if exists:
        db.data[name] = text
    else:
        db.add(name, text)
    event: Event | None = None
    if request.persist:
        event = PERSIST if db.persist(name) else None
        effect = [b"SET", name, text]
    elif when is not None:
        db.expire_at(name, when)
        event = EXPIRE
        effect = [b"SET", name, text, b"PXAT", b"%d" % when]
    else:
        effect = [b"SET", name, text, b"KEEPTTL"]
    db.changed(name, INCRBYFLOAT if request.by_float else INCRBY)
    if event is not None:
        db.notify(event, name)
    effects.replace_with(effect)
