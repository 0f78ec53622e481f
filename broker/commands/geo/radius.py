"""The searches that predate GEOSEARCH: a circle around a position or a member, returned or stored."""

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.geo.arguments import position, radius
from broker.commands.geo.query import COUNT, STORE_WITH, Details, Query, position_in
from broker.keyspace.events import ZSET, Event
from broker.table.command import ACCESS, DENYOOM, INCOMPLETE, OW, READONLY, RO, UPDATE, WRITE, KeySpec, command, key
from broker.table.parsers import Parser
from broker.values.geo.area import Area, Circle
from broker.values.sorted_set import SortedSet
from protocol.errors import CommandError

GEORADIUSSTORE: Final = Event(ZSET, b"georadiusstore")

_NOTES: Final = "If STORE and STOREDIST are repeated, only the last one counts."

_UNIT: Final = "unit=<m=M|km=KM|ft=FT|mi=MI>"
_WITH: Final = "[WITHCOORD] [WITHDIST] [WITHHASH]"
_STORE: Final = "store=[storekey=<STORE key>|storedistkey=<STOREDIST key>]"
_COMPLEXITY: Final = "O(N+log(M)) where N is the number of members in the cells around the circle and M the set's size"

_POSITION_OPTIONS: Final = 6
_MEMBER_OPTIONS: Final = 5


def _finder(options_at: int) -> "Callable[[list[bytes]], list[int]]":
    """Returns a function that finds the searched key and the last key to store at.

    Parsed by hand, because Redis finds keys even in arguments that it would refuse.
    """

    def find(args: list[bytes]) -> list[int]:
        found = [1]
        at = options_at
        while at + 1 < len(args):
            if args[at].upper() in (b"STORE", b"STOREDIST"):
                at += 1
                found[1:] = [at]
            at += 1
        return found

    return find


def _key_specs(options_at: int) -> tuple[KeySpec, ...]:
    flags = (OW, UPDATE, INCOMPLETE)
    return (
        key(RO, ACCESS),
        KeySpec(flags, keyword=b"STORE", start=options_at, notes=_NOTES),
        KeySpec(flags, keyword=b"STOREDIST", start=options_at, notes=_NOTES),
    )


_READING: Final = Parser[tuple[bool, bool, bool, int, bool, bytes]](
    "GEORADIUS_RO", values=COUNT, defaults={"COUNT": 0}, last=("order",)
)
_STORING: Final = Parser[tuple[bool, bool, bool, int, bool, bytes, bytes, bytes]](
    "GEORADIUS", values=COUNT, defaults={"COUNT": 0}, last=("order", "store")
)


def _run(
    session: Client, args: list[bytes], source: SortedSet | None, area: Area | None, options_at: int, stores: bool
) -> bytes:
    if not stores:
        *details, count, any_, order = _READING.parse(args, options_at)
        query = Query(source, area, count=count, any=any_, order=order, details=Details(*details))
        return query.run(session, GEORADIUSSTORE)
    *details, count, any_, order, store, target = _STORING.parse(args, options_at)
    if store and any(details):
        raise CommandError(STORE_WITH % b"STORE option in GEORADIUS")
    query = Query(
        source, area, count=count, any=any_, order=order, details=Details(*details),
        target=target if store else None, stores_distances=store == b"STOREDIST",
    )  # fmt: skip
    return query.run(session, GEORADIUSSTORE)


def _around_position(session: Client, args: list[bytes], stores: bool) -> bytes:
    source = session.db.read_as(args[1], SortedSet)
    area = Circle(position(args[2], args[3]), *radius(args[4], args[5]))
    return _run(session, args, source, area, _POSITION_OPTIONS, stores)


def _around_member(session: Client, args: list[bytes], stores: bool) -> bytes:
    source = session.db.read_as(args[1], SortedSet)
    area = None
    if source is not None:  # Redis checks none of this for a missing key
        area = Circle(position_in(source, args[2]), *radius(args[3], args[4]))
    return _run(session, args, source, area, _MEMBER_OPTIONS, stores)


@command("GEORADIUS", arity=-6, flags=WRITE | DENYOOM, keys=_key_specs(_POSITION_OPTIONS),
         find_keys=_finder(_POSITION_OPTIONS), group="geo", since="3.2.0",
         syntax=f"key longitude:double latitude:double radius:double {_UNIT} {_WITH}"
                f" count-block=[<COUNT count> [ANY]@6.2.0] [ASC|DESC] {_STORE}",
         summary="Returns or stores the members in a circle around a position.", complexity=_COMPLEXITY,
         deprecated_since="6.2.0",
         replaced_by="`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")  # fmt: skip
def georadius(session: Client, args: list[bytes]) -> bytes:
    return _around_position(session, args, stores=True)


@command("GEORADIUS_RO", arity=-6, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="3.2.10",
         syntax=f"key longitude:double latitude:double radius:double {_UNIT} {_WITH}"
                " count-block=[<COUNT count> [ANY]@6.2.0] [ASC|DESC]",
         summary="Returns the members in a circle around a position.", complexity=_COMPLEXITY,
         deprecated_since="6.2.0", replaced_by="`GEOSEARCH` with the `BYRADIUS` argument")  # fmt: skip
def georadius_ro(session: Client, args: list[bytes]) -> bytes:
    return _around_position(session, args, stores=False)


@command("GEORADIUSBYMEMBER", arity=-5, flags=WRITE | DENYOOM, keys=_key_specs(_MEMBER_OPTIONS),
         find_keys=_finder(_MEMBER_OPTIONS), group="geo", since="3.2.0",
         syntax=f"key member radius:double {_UNIT} {_WITH} count-block=[<COUNT count> [ANY]] [ASC|DESC] {_STORE}",
         summary="Returns or stores the members in a circle around a member.", complexity=_COMPLEXITY,
         deprecated_since="6.2.0",
         replaced_by="`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")  # fmt: skip
def georadiusbymember(session: Client, args: list[bytes]) -> bytes:
    return _around_member(session, args, stores=True)


@command("GEORADIUSBYMEMBER_RO", arity=-5, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="3.2.10",
         syntax=f"key member radius:double {_UNIT} {_WITH} count-block=[<COUNT count> [ANY]] [ASC|DESC]",
         summary="Returns the members in a circle around a member.", complexity=_COMPLEXITY,
         deprecated_since="6.2.0", replaced_by="`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments",
         )  # fmt: skip
def georadiusbymember_ro(session: Client, args: list[bytes]) -> bytes:
    return _around_member(session, args, stores=False)
