"""Members with positions: adding and locating them, and measuring distances: GEOADD, GEOPOS, GEOHASH, GEODIST.

Positions are the scores of a sorted set, so all sorted set commands work on them too.
"""

from typing import Final

from broker.broker import Client
from broker.commands.geo.arguments import distance_reply, position, unit
from broker.commands.sorted_sets.members import zadd
from broker.table.command import ACCESS, DENYOOM, READONLY, RO, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.geo.area import distance
from broker.values.geo.geohash import position_of, score_of, text_of
from broker.values.sorted_set import SortedSet
from protocol.errors import SYNTAX, CommandError
from protocol.replies import array_header, bulk

_OPTIONS: Final = Parser[tuple[int, bytes, bool]]("GEOADD", leading=True)


@command("GEOADD", arity=-5, flags=WRITE | DENYOOM, keys=(key(RW, UPDATE),), group="geo", since="3.2.0",
         syntax="key [NX|XX]@6.2.0 [change=CH]@6.2.0 <longitude:double latitude:double member> ...",
         summary="Adds members with positions to a sorted set, which is created if needed, or moves members.",
         complexity="O(log(N)) for each member, N being the size of the sorted set")  # fmt: skip
def geoadd(session: Client, args: list[bytes]) -> bytes:
    at, _, _ = _OPTIONS.parse(args, 2)
    if (len(args) - at) % 3:
        raise CommandError(SYNTAX)
    # Redis turns it into a ZADD, and propagates that as well.
    words = [b"ZADD", *args[1:at]]
    for longitude, latitude, member in zip(args[at::3], args[at + 1 :: 3], args[at + 2 :: 3], strict=True):
        words += (b"%d" % score_of(*position(longitude, latitude)), member)
    reply = zadd(session, words)
    keyspace = session.db.keyspace
    if keyspace.dirty:
        keyspace.effects.replace_with(words)
    return reply


@command("GEOPOS", arity=-2, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="3.2.0",
         syntax="key [member ...]", summary="Returns the positions of members.",
         complexity="O(N) where N is the number of requested members")  # fmt: skip
def geopos(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], SortedSet)
    scores = {} if value is None else value.scores
    resp = session.resp
    parts = [array_header(len(args) - 2)]
    for member in args[2:]:
        score = scores.get(member)
        if score is None:
            parts.append(resp.null_array)
        else:
            longitude, latitude = position_of(score)
            parts.append(b"*2\r\n" + resp.double(longitude) + resp.double(latitude))
    return b"".join(parts)


@command("GEOHASH", arity=-2, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="3.2.0",
         syntax="key [member ...]", summary="Returns the positions of members as standard geohashes.",
         complexity="O(N) where N is the number of requested members")  # fmt: skip
def geohash(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], SortedSet)
    scores = {} if value is None else value.scores
    parts = [array_header(len(args) - 2)]
    for member in args[2:]:
        score = scores.get(member)
        parts.append(session.resp.null if score is None else bulk(text_of(*position_of(score))))
    return b"".join(parts)


@command("GEODIST", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="geo", since="3.2.0",
         syntax="key member1 member2 unit=[m=M|km=KM|ft=FT|mi=MI]",
         summary="Returns the distance between two members.", complexity="O(1)")  # fmt: skip
def geodist(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 5:
        raise CommandError(SYNTAX)
    metres_of_unit = unit(args[4]) if len(args) == 5 else 1.0
    value = session.db.read_as(args[1], SortedSet)
    scores = {} if value is None else value.scores
    first = scores.get(args[2])
    second = scores.get(args[3])
    if first is None or second is None:
        return session.resp.null
    return distance_reply(distance(*position_of(first), *position_of(second)) / metres_of_unit)
