"""GEOSEARCH and GEOSEARCHSTORE, whose options say where to search."""

from typing import Final

from broker.broker import Client
from broker.commands.geo.arguments import box, position, radius
from broker.commands.geo.query import Query
from broker.keyspace.events import ZSET, Event
from broker.table.command import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, key
from broker.values.geo.area import Area, Box, Circle
from broker.values.geo.geohash import Position
from broker.values.sorted_set import SortedSet
from protocol.errors import SYNTAX, CommandError

GEOSEARCHSTORE: Final = Event(ZSET, b"geosearchstore")

ONE_CENTRE: Final = b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %b"
ONE_SHAPE: Final = b"ERR exactly one of BYRADIUS and BYBOX can be specified for %b"

_SYNTAX: Final = (
    "from=<FROMMEMBER member|FROMLONLAT longitude:double latitude:double>"
    " by=<circle=<BYRADIUS radius:double unit=<m=M|km=KM|ft=FT|mi=MI>>"
    "|box=<<BYBOX width:double> height:double unit=<m=M|km=KM|ft=FT|mi=MI>>>"
    " [ASC|DESC] count-block=[<COUNT count> [ANY]]"
)
_COMPLEXITY: Final = "O(N+log(M)) where N is the number of members in the cells around the area and M that within it"


class _Placed(Query):
    """A search whose centre and shape are options. Either may be repeated, but not by its alternative."""

    __slots__ = ("_box", "_centre", "_circle", "_from_member")

    store_name = b"GEOSEARCHSTORE"

    def __init__(self, source: SortedSet | None, target: bytes | None = None) -> None:
        super().__init__(source)
        self.target = target
        self._from_member = False
        self._centre: Position | None = None
        self._circle: tuple[float, float] | None = None
        self._box: tuple[float, float, float] | None = None

    def own_option(self, option: bytes, args: list[bytes], at: int) -> int:
        left = len(args) - at
        if option == b"FROMMEMBER" and left >= 1 and (self._from_member or self._centre is None):
            # Where the key is missing the centre does not matter.
            self._centre = self.position_of(args[at]) if self.source is not None else (0.0, 0.0)
            self._from_member = True
            return at + 1
        if option == b"FROMLONLAT" and left >= 2 and not self._from_member:
            self._centre = position(args[at], args[at + 1])
            return at + 2
        if option == b"BYRADIUS" and left >= 2 and self._box is None:
            self._circle = radius(args[at], args[at + 1])
            return at + 2
        if option == b"BYBOX" and left >= 3 and self._circle is None:
            self._box = box(args[at], args[at + 1], args[at + 2])
            return at + 3
        if option == b"STOREDIST" and self.target is not None:
            self.stores_distances = True
            return at
        raise CommandError(SYNTAX)

    def place(self, name: bytes) -> "Area":
        """The area that the options describe; `name` is the command's, for the errors."""
        if self._centre is None:
            raise CommandError(ONE_CENTRE % name)
        if self._circle is not None:
            return Circle(self._centre, *self._circle)
        if self._box is not None:
            return Box(self._centre, *self._box)
        raise CommandError(ONE_SHAPE % name)


def _run(session: "Client", args: list[bytes], query: _Placed, options_at: int) -> bytes:
    query.parse(args, options_at)
    query.area = query.place(args[0])
    query.check_any()
    return query.run(session, GEOSEARCHSTORE)


@command("GEOSEARCH", arity=-7, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="6.2.0",
         syntax=f"key {_SYNTAX} [WITHCOORD] [WITHDIST] [WITHHASH]",
         summary="Gives the members in a circle or a box.", complexity=_COMPLEXITY)  # fmt: skip
def geosearch(session: "Client", args: list[bytes]) -> bytes:
    return _run(session, args, _Placed(session.db.read_as(args[1], SortedSet)), 2)


@command("GEOSEARCHSTORE", arity=-8, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), key(RO, ACCESS, at=2)),
         group="geo", since="6.2.0", syntax=f"destination source {_SYNTAX} [STOREDIST]",
         summary="Stores the members in a circle or a box as another sorted set.",
         complexity=_COMPLEXITY)  # fmt: skip
def geosearchstore(session: "Client", args: list[bytes]) -> bytes:
    return _run(session, args, _Placed(session.db.read_as(args[2], SortedSet), args[1]), 3)
