"""Searching for members in an area: the shared options, the search itself, the reply or the stored result."""

from typing import Final, NamedTuple

from broker.broker import Client
from broker.commands.geo.arguments import distance_reply
from broker.keyspace.events import DEL, Event
from broker.table.arguments import at_least
from broker.values.geo.area import Area
from broker.values.geo.geohash import Position, position_of
from broker.values.geo.nearest import Found, in_order
from broker.values.sorted_set import SortedSet
from protocol.errors import CommandError
from protocol.replies import EMPTY_ARRAY, ZERO, array, array_header, bulk, bulks, integer

NO_MEMBER: Final = b"ERR could not decode requested zset member"
COUNT_POSITIVE: Final = b"ERR COUNT must be > 0"
ANY_WITHOUT_COUNT: Final = b"ERR the ANY argument requires COUNT argument"
STORE_WITH: Final = b"ERR %b is not compatible with WITHDIST, WITHHASH and WITHCOORD options"

# How many members are fetched from the set at a time: a search with ANY ends early.
_CHUNK: Final = 256


COUNT: Final = {"COUNT": at_least(1, COUNT_POSITIVE)}
"""Default for the parsers of all searches; 0 means no COUNT."""


class Details(NamedTuple):
    """What the reply includes for each member besides its name."""

    position: bool = False
    distance: bool = False
    hash: bool = False


def position_in(source: SortedSet | None, member: bytes) -> Position:
    """Returns the position of a member of the set; raises if it is missing."""
    score = None if source is None else source.scores.get(member)
    if score is None:
        raise CommandError(NO_MEMBER)
    return position_of(score)


NO_DETAILS: Final = Details()


class Query:
    """One search in the sorted set `source`; None, for a missing key, finds nothing.

    `area` is None only for a missing key. `order` is ASC, DESC or b"". `target` is the key to store the result at, None
    to send it to the client; with `stores_distances` its scores are the distances.
    """

    __slots__ = ("any", "area", "count", "details", "order", "source", "stores_distances", "target")

    def __init__(
        self,
        source: SortedSet | None,
        area: Area | None,
        *,
        count: int = 0,
        any: bool = False,
        order: bytes = b"",
        details: Details = NO_DETAILS,
        target: bytes | None = None,
        stores_distances: bool = False,
    ) -> None:
        """Raises for an ANY without COUNT, which Redis checks last."""
        if any and not count:
            raise CommandError(ANY_WITHOUT_COUNT)
        self.source = source
        self.area = area
        self.count = count
        self.any = any
        self.order = order
        self.details = details
        self.target = target
        self.stores_distances = stores_distances

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
        """Returns the result that the client asked for. COUNT without ANY means the nearest members."""
        found = self._search()
        count = min(self.count or len(found), len(found))
        if self.order or (self.count and not self.any):
            return in_order(found, count, self.order == b"DESC")
        return found[:count]

    def run(self, session: Client, event: Event) -> bytes:
        """Returns the reply: the members found, or how many were stored, firing `event`."""
        result = self._result()
        if self.target is None:
            return self._reply(session, result)
        return self._store(session, self.target, result, event)

    def _reply(self, session: Client, result: list[Found]) -> bytes:
        details = self.details
        if not any(details):
            return bulks([found.member for found in result]) if result else EMPTY_ARRAY
        header = array_header(1 + sum(details))
        double = session.resp.double
        unit = self.area.unit if self.area else 1.0
        parts = []
        for metres, member, score, position in result:
            part = header + bulk(member)
            if details.distance:
                part += distance_reply(metres / unit)
            if details.hash:
                part += integer(int(score))
            if details.position:
                part += b"*2\r\n" + double(position[0]) + double(position[1])
            parts.append(part)
        return array(parts)

    def _store(self, session: Client, target: bytes, result: list[Found], event: Event) -> bytes:
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
