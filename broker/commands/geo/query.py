"""What all searches for members in an area share: the options, the search, and the reply or the stored result."""

from typing import Final

from broker.broker import Client
from broker.commands.geo.arguments import distance_reply
from broker.keyspace.events import DEL, Event
from broker.table.arguments import integer as integer_argument
from broker.values.geo.area import Area
from broker.values.geo.geohash import Position, position_of
from broker.values.geo.nearest import Found, in_order
from broker.values.sorted_set import SortedSet
from protocol.errors import SYNTAX, CommandError
from protocol.replies import EMPTY_ARRAY, ZERO, array, array_header, bulk, bulks, integer

NO_MEMBER: Final = b"ERR could not decode requested zset member"
COUNT_POSITIVE: Final = b"ERR COUNT must be > 0"
ANY_WITHOUT_COUNT: Final = b"ERR the ANY argument requires COUNT argument"
STORE_WITH: Final = b"ERR %b is not compatible with WITHDIST, WITHHASH and WITHCOORD options"

# How many members are taken out of the set at once: a search with ANY ends early.
_CHUNK: Final = 256


class Query:
    """One search in the sorted set `source`, None for a missing key, which finds nothing.

    `target` is the key that the result is stored under, None to give it to the client; `stores_distances` makes the
    distances its scores. `area` has to be set by the command, except for a missing key. A command with options of
    its own overrides `own_option`.
    """

    __slots__ = (
        "any", "area", "count", "descending", "ordered", "source", "stores_distances", "target", "with_distance",
        "with_hash", "with_position",
    )  # fmt: skip

    store_name = b"STORE option in GEORADIUS"

    def __init__(self, source: SortedSet | None) -> None:
        self.source = source
        self.area: Area | None = None
        self.target: bytes | None = None
        self.stores_distances = False
        self.count = 0
        self.any = False
        self.ordered = self.descending = False
        self.with_distance = self.with_hash = self.with_position = False

    def own_option(self, option: bytes, args: list[bytes], at: int) -> int:
        """Take an option that not all searches have, whose values begin at `at`; where the next one begins."""
        raise CommandError(SYNTAX)

    def parse(self, args: list[bytes], at: int) -> None:
        """Read the options from argument `at` on, in Redis's order of errors."""
        end = len(args)
        while at < end:
            option = args[at].upper()
            at += 1
            if option == b"WITHDIST":
                self.with_distance = True
            elif option == b"WITHHASH":
                self.with_hash = True
            elif option == b"WITHCOORD":
                self.with_position = True
            elif option == b"ANY":
                self.any = True
            elif option in (b"ASC", b"DESC"):
                self.ordered = True
                self.descending = option == b"DESC"
            elif option == b"COUNT" and at < end:
                self.count = integer_argument(args[at])
                if self.count <= 0:
                    raise CommandError(COUNT_POSITIVE)
                at += 1
            else:
                at = self.own_option(option, args, at)
        if self.target is not None and (self.with_distance or self.with_hash or self.with_position):
            raise CommandError(STORE_WITH % self.store_name)

    def check_any(self) -> None:
        """Raise for an ANY without COUNT: the last of Redis's checks."""
        if self.any and not self.count:
            raise CommandError(ANY_WITHOUT_COUNT)

    def position_of(self, member: bytes) -> Position:
        """The position of a member of the set, which must not be missing."""
        score = None if self.source is None else self.source.scores.get(member)
        if score is None:
            raise CommandError(NO_MEMBER)
        return position_of(score)

    def _search(self) -> list[Found]:
        source, area = self.source, self.area
        if source is None or area is None:
            return []
        found: list[Found] = []
        within = area.within
        limit = self.count if self.any else 0
        for low, high in area.score_ranges():
            start, stop = source.score_span(low, False, high, True)
            for at in range(start, stop, _CHUNK):
                for score, member in source.span(at, min(at + _CHUNK, stop)):
                    position = position_of(score)
                    metres = within(position)
                    if metres is not None:
                        found.append(Found(metres, member, score, position))
                        if len(found) == limit:
                            return found
        return found

    def _result(self) -> list[Found]:
        """What the client asked for. COUNT without ANY means the nearest ones."""
        found = self._search()
        count = min(self.count or len(found), len(found))
        if self.ordered or (self.count and not self.any):
            return in_order(found, count, self.descending)
        return found[:count]

    def run(self, session: "Client", event: Event) -> bytes:
        """The reply: what was found, or how much of it was stored, with that event."""
        result = self._result()
        if self.target is None:
            return self._reply(session, result)
        return self._store(session, self.target, result, event)

    def _reply(self, session: "Client", result: list[Found]) -> bytes:
        if not (self.with_distance or self.with_hash or self.with_position):
            return bulks([found.member for found in result]) if result else EMPTY_ARRAY
        header = array_header(1 + self.with_distance + self.with_hash + self.with_position)
        double = session.resp.double
        unit = self.area.unit if self.area else 1.0
        parts = []
        for metres, member, score, position in result:
            part = header + bulk(member)
            if self.with_distance:
                part += distance_reply(metres / unit)
            if self.with_hash:
                part += integer(int(score))
            if self.with_position:
                part += b"*2\r\n" + double(position[0]) + double(position[1])
            parts.append(part)
        return array(parts)

    def _store(self, session: "Client", target: bytes, result: list[Found], event: Event) -> bytes:
        db = session.db
        if result:
            unit = self.area.unit if self.area else 1.0
            by_distance = self.stores_distances
            scores = {found.member: found.metres / unit if by_distance else found.score for found in result}
            db.set(target, SortedSet(scores))
            db.changed(target, event, len(scores))
            return integer(len(scores))
        if db.delete(target):
            db.changed(target, DEL)
        return ZERO
