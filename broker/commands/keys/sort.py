"""SORT and SORT_RO: the elements of a list, set or sorted set in order, or the values they refer to in other keys.

Texts are compared as bytes. Redis compares them by its locale unless the result is stored; in the locales C and
C.UTF-8 it compares bytes as well.
"""

from __future__ import annotations

from typing import Any, Final

from broker.broker import Client
from broker.keyspace.database import Database, Value
from broker.keyspace.events import DEL, LIST, Event
from broker.process.collation import Key, collation_key
from broker.table.command import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, key, unknown_keys
from broker.table.parsers import Parser
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from protocol.errors import WRONG_TYPE, CommandError
from protocol.numbers import parse_double
from protocol.replies import EMPTY_ARRAY, array, bulk, bulks, integer

SORTSTORE: Final = Event(LIST, b"sortstore")

BY_DENIED: Final = b"ERR BY option of SORT denied due to insufficient ACL permissions."
GET_DENIED: Final = b"ERR GET option of SORT denied due to insufficient ACL permissions."
NOT_DOUBLES: Final = b"ERR One or more scores can't be converted into double"

_PATTERN_KEYS: Final = unknown_keys(RO, ACCESS, notes="BY and GET name keys through the elements of the sorted key.")
_STORE_KEY: Final = unknown_keys(OW, UPDATE, notes="STORE and its key may appear anywhere among the options.")
_CATEGORIES: Final = ("set", "sortedset", "list", "dangerous")
_COMPLEXITY: Final = "O(N+M*log(M)) where N is the number of elements and M the number of elements returned"


class Pattern:
    """A pattern of BY or GET: replacing its first `*` with an element yields the key to look up.

    After that, `->field` names a field of the hash at that key. `#` is the element itself. As with Redis's C
    strings, the search for `*` and `->` ends at a NUL.
    """

    __slots__ = ("field", "itself", "leads_nowhere", "prefix", "suffix")

    def __init__(self, text: bytes) -> None:
        searched = text.partition(b"\0")[0]
        star = searched.find(b"*")
        self.itself = searched == b"#"
        self.leads_nowhere = star < 0
        self.prefix = text[: max(star, 0)]
        self.suffix = text[star + 1 :]
        self.field: bytes | None = None
        arrow = searched.find(b"->", star + 1)
        if 0 <= arrow < len(searched) - 2:
            self.suffix = text[star + 1 : arrow]
            self.field = text[arrow + 2 :]

    def look_up(self, db: Database, element: bytes) -> bytes | bytearray | None:
        """Returns the value that `element` refers to; None if the key or field is missing or of another type."""
        if self.itself:
            return element
        if self.leads_nowhere:
            return None
        value = db.read(self.prefix + element + self.suffix)
        kind = value.__class__
        if self.field is None:
            return value if kind is bytes or kind is bytearray else None
        return _field(db, value, self.field) if kind is Hash else None


def _field(db: Database, value: Hash, field: bytes) -> bytes | None:
    now = db.keyspace.clock.now
    if value.deadlines and value.deadlines.get(field, now) < now and not db.keyspace.everything_visible:
        return None
    return value.get(field)


class Request:
    """The options of one SORT. Of repeated ones the last counts, except that every GET and each BY without `*` does."""

    __slots__ = ("alpha", "by", "count", "descending", "gets", "in_order", "offset", "store")

    def __init__(
        self,
        by: list[Pattern],
        offset: int,
        count: int,
        gets: list[Pattern],
        order: bytes,
        alpha: bool,
        store: bytes | None = None,
    ) -> None:
        self.by = by[-1] if by else None
        self.in_order = not any(pattern.leads_nowhere for pattern in by)
        self.offset = offset
        self.count = count
        self.gets = gets
        self.descending = order == b"DESC"
        self.alpha = alpha
        self.store = store

    def span(self, length: int) -> tuple[int, int]:
        """Returns the half-open range that LIMIT selects from that many elements."""
        start = min(max(self.offset, 0), length)
        return start, length if self.count < 0 else min(start + self.count, length)


def _constant(text: bytes) -> Pattern:
    """Returns BY's pattern for a user who may not read all keys: one that names none."""
    pattern = Pattern(text)
    if not pattern.leads_nowhere:
        raise CommandError(BY_DENIED)
    return pattern


def _denied(text: bytes) -> Pattern:
    raise CommandError(GET_DENIED)


_VALUES: Final = {"BY": Pattern, "GET": Pattern}
_DENIED_VALUES: Final = {"BY": _constant, "GET": _denied}
_LIMIT: Final = {"LIMIT": (0, -1)}
_OPTIONS: Final = Parser[tuple[list[Pattern], int, int, list[Pattern], bytes, bool, bytes | None]](
    "SORT", values=_VALUES, defaults=_LIMIT, collect=("BY",), last=("order",)
)
_OPTIONS_RO: Final = Parser[tuple[list[Pattern], int, int, list[Pattern], bytes, bool]](
    "SORT_RO", values=_VALUES, defaults=_LIMIT, collect=("BY",), last=("order",)
)

_DENYING: Final = Parser[tuple[list[Pattern], int, int, list[Pattern], bytes, bool, bytes | None]](
    "SORT", values=_DENIED_VALUES, defaults=_LIMIT, collect=("BY",), last=("order",)
)
_DENYING_RO: Final = Parser[tuple[list[Pattern], int, int, list[Pattern], bytes, bool]](
    "SORT_RO", values=_DENIED_VALUES, defaults=_LIMIT, collect=("BY",), last=("order",)
)


def _may_follow_patterns(session: Client, args: list[bytes]) -> bool:
    """Whether the client's user may read whatever keys BY and GET lead to."""
    if session.user.has_all_rights:
        return True
    found = session.broker.commands.find(args)
    return found is None or session.user.permits_reading_all_keys(found, args)


def _store_positions(args: list[bytes]) -> list[int]:
    """Returns the positions of SORT's keys: the first, and the last STORE's; like Redis, in wrong arguments too."""
    store: list[int] = []
    i = 2
    while i < len(args):
        option = args[i].upper()
        if option == b"LIMIT":
            i += 2
        elif option in (b"GET", b"BY"):
            i += 1
        elif option == b"STORE" and i + 1 < len(args):
            i += 1
            store = [i]
        i += 1
    return [1, *store]


@command("SORT", arity=-2, flags=WRITE | DENYOOM, keys=(key(RO, ACCESS), _PATTERN_KEYS, _STORE_KEY),
         find_keys=_store_positions, group="generic", since="1.0.0", categories=_CATEGORIES, complexity=_COMPLEXITY,
         syntax="key [BY by-pattern=pattern#1] [LIMIT offset count] [GET get-pattern=pattern#1] ... [ASC|DESC] "
                "[sorting=ALPHA] [STORE destination]",
         summary="Returns or stores the elements of a list, set or sorted set in order.")  # fmt: skip
def sort(session: Client, args: list[bytes]) -> bytes:
    request = Request(*(_OPTIONS if _may_follow_patterns(session, args) else _DENYING).parse(args, 2))
    elements = _sorted_elements(session, args[1], request)
    if request.store is None:
        return _reply(session, elements, request.gets)
    return _store(session.db, request.store, elements, request.gets)


@command("SORT_RO", arity=-2, flags=READONLY, keys=(key(RO, ACCESS), _PATTERN_KEYS), find_keys=lambda args: [1],
         group="generic", since="7.0.0", categories=_CATEGORIES, complexity=_COMPLEXITY,
         syntax="key [BY by-pattern=pattern#1] [LIMIT offset count] [GET get-pattern=pattern#1] ... [ASC|DESC] "
                "[sorting=ALPHA]",
         summary="Returns the elements of a list, set or sorted set in order.")  # fmt: skip
def sort_ro(session: Client, args: list[bytes]) -> bytes:
    request = Request(*(_OPTIONS_RO if _may_follow_patterns(session, args) else _DENYING_RO).parse(args, 2))
    return _reply(session, _sorted_elements(session, args[1], request), request.gets)


def _sorted_elements(session: Client, name: bytes, request: Request) -> list[bytes]:
    """Returns the elements in order, limited by LIMIT."""
    db = session.db
    value = db.read(name)
    kind = value.__class__
    if kind not in (List, Set, SortedSet):
        if value is None:
            return []
        raise CommandError(WRONG_TYPE)
    start, stop = request.span(len(value))
    # As in Redis: what is stored must not depend on the locale.
    collation = collation_key() if request.store is None else None
    if request.in_order:
        elements = [member for _, member in value] if kind is SortedSet else list(value)
        return _in_order(db, elements, request.by, request.alpha, request.descending, collation)[start:stop]
    if kind is Set:
        # A set has no order, and neither a stored result nor a script's effects may depend on where elements lie.
        members = list(value)
        if request.store is not None or session.is_script:
            members = _in_order(db, members, None, True, request.descending, collation)
        return members[start:stop]
    return _in_own_order(value, start, stop, request.descending)


def _in_own_order(value: Value, start: int, stop: int, descending: bool) -> list[bytes]:
    """Returns elements of a list or a sorted set in the order of that value."""
    if start >= stop:
        return []
    length = len(value)
    if descending:
        start, stop = length - stop, length - start
    found = (
        [member for _, member in value.span(start, stop)] if value.__class__ is SortedSet else value.slice(start, stop)
    )
    if descending:
        found.reverse()
    return found


def _in_order(
    db: Database, elements: list[bytes], by: Pattern | None, alpha: bool, descending: bool, collation: Key | None
) -> list[bytes]:
    """Returns all elements sorted by their own value or by the one that `by` refers to; texts by their `collation`."""
    if by is None:
        weights: list[bytes | bytearray | None] = list(elements)
    else:
        weights = [by.look_up(db, element) for element in elements]
    if not alpha:
        # Elements with equal numbers are ordered by their bytes, so that the result is always the same.
        scored = list(zip(map(_number, weights), elements, strict=True))
        scored.sort(reverse=descending)
        return [element for _, element in scored]
    if by is None:
        return (
            sorted(elements, key=collation, reverse=descending) if collation else sorted(elements, reverse=descending)
        )
    # Elements without a weight come first; equal ones keep their order.
    texts = [bytes(weight or b"") for weight in weights]
    places: list[Any] = list(map(collation, texts)) if collation else list(texts)
    keyed = [(weight is not None, place) for weight, place in zip(weights, places, strict=True)]
    order = sorted(range(len(elements)), key=keyed.__getitem__, reverse=descending)
    return [elements[i] for i in order]


def _number(weight: bytes | bytearray | None) -> float:
    if weight is None:
        return 0.0
    number = parse_double(bytes(weight))
    if number is None:
        raise CommandError(NOT_DOUBLES)
    return number


def _reply(session: Client, elements: list[bytes], gets: list[Pattern]) -> bytes:
    if not elements:
        return EMPTY_ARRAY
    if not gets:
        return bulks(elements)
    db = session.db
    null = session.resp.null
    parts = []
    for element in elements:
        for pattern in gets:
            value = pattern.look_up(db, element)
            parts.append(null if value is None else bulk(value))
    return array(parts)


def _store(db: Database, name: bytes, elements: list[bytes], gets: list[Pattern]) -> bytes:
    """Stores the result as a list, missing values as empty strings; the reply is its length."""
    if gets:
        elements = [bytes(pattern.look_up(db, element) or b"") for element in elements for pattern in gets]
    if elements:
        db.set(name, List(elements))
        db.changed(name, SORTSTORE, len(elements))
    elif db.delete(name):
        db.changed(name, DEL)
    return integer(len(elements))
