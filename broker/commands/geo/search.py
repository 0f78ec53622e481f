"""GEOSEARCH and GEOSEARCHSTORE."""

from collections.abc import Callable, Mapping
from typing import Final

from broker.broker import Client
from broker.commands.geo.arguments import box, position, radius
from broker.commands.geo.query import COUNT, STORE_WITH, Details, Query, position_in
from broker.keyspace.events import ZSET, Event
from broker.table.command import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.geo.area import Area, Box, Circle
from broker.values.geo.geohash import Position
from broker.values.sorted_set import SortedSet
from protocol.errors import CommandError

GEOSEARCHSTORE: Final = Event(ZSET, b"geosearchstore")

ONE_CENTRE: Final = b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %b"
ONE_SHAPE: Final = b"ERR exactly one of BYRADIUS and BYBOX can be specified for %b"

_SYNTAX: Final = (
    "from=<FROMMEMBER member|FROMLONLAT longitude:double latitude:double>"
    " by=<circle=<BYRADIUS radius:double unit=<m=M|km=KM|ft=FT|mi=MI>>"
    "|box=<<BYBOX width:double> height:double unit=<m=M|km=KM|ft=FT|mi=MI>>>"
    " [ASC|DESC] count-block=[<COUNT count> [ANY]]"
)
_COMPLEXITY: Final = "O(N+log(M)) where N is the number of members in the cells around the area and M that inside it"


_Size = tuple[float, ...]
"""The measures of a circle or a box."""


def _centre(member: bytes, source: SortedSet | None) -> Position:
    # If the key is missing, the centre does not matter.
    return position_in(source, member) if source is not None else (0.0, 0.0)


_VALUES: Final[Mapping[str, Callable[..., object]]] = {
    "FROMMEMBER": _centre, "FROMLONLAT": position, "BYRADIUS": radius, "BYBOX": box, **COUNT,
}  # fmt: skip
_OPTIONS: Final = Parser[tuple[bytes, Position, bytes, _Size, bytes, int, bool, bool, bool, bool]](
    "GEOSEARCH", values=_VALUES, context=("FROMMEMBER",), required=("from", "by"), defaults={"COUNT": 0},
    last=("order",),
)  # fmt: skip
_STORE_OPTIONS: Final = Parser[tuple[bytes, Position, bytes, _Size, bytes, int, bool, bool, bool, bool, bool]](
    "GEOSEARCHSTORE", values=_VALUES, context=("FROMMEMBER",), required=("from", "by"), defaults={"COUNT": 0},
    last=("order",), also="[WITHCOORD] [WITHDIST] [WITHHASH]",
)  # fmt: skip


def _area(name: bytes, centre_by: bytes, centre: Position, shape: bytes, size: _Size) -> Area:
    """Returns the area that the options describe; `name` is the command's, for error texts."""
    if not centre_by:
        raise CommandError(ONE_CENTRE % name)
    if not shape:
        raise CommandError(ONE_SHAPE % name)
    return Circle(centre, *size) if shape == b"BYRADIUS" else Box(centre, *size)


@command("GEOSEARCH", arity=-7, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="6.2.0",
         syntax=f"key {_SYNTAX} [WITHCOORD] [WITHDIST] [WITHHASH]",
         summary="Returns the members in a circle or a box.", complexity=_COMPLEXITY)  # fmt: skip
def geosearch(session: Client, args: list[bytes]) -> bytes:
    source = session.db.read_as(args[1], SortedSet)
    centre_by, centre, shape, size, order, count, any_, *details = _OPTIONS.parse(args, 2, source)
    area = _area(args[0], centre_by, centre, shape, size)
    query = Query(source, area, count=count, any=any_, order=order, details=Details(*details))
    return query.run(session, GEOSEARCHSTORE)


@command("GEOSEARCHSTORE", arity=-8, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), key(RO, ACCESS, at=2)),
         group="geo", since="6.2.0", syntax=f"destination source {_SYNTAX} [STOREDIST]",
         summary="Stores the members in a circle or a box in another sorted set.",
         complexity=_COMPLEXITY)  # fmt: skip
def geosearchstore(session: Client, args: list[bytes]) -> bytes:
    source = session.db.read_as(args[2], SortedSet)
    centre_by, centre, shape, size, order, count, any_, by_distance, *details = _STORE_OPTIONS.parse(args, 3, source)
    if any(details):
        raise CommandError(STORE_WITH % b"GEOSEARCHSTORE")
    area = _area(args[0], centre_by, centre, shape, size)
    query = Query(
        source, area, count=count, any=any_, order=order, target=args[1], stores_distances=by_distance
    )  # fmt: skip
    return query.run(session, GEOSEARCHSTORE)
