"""Options against the reference: for each command with options, generated sequences of its tokens and of others.

In any order and case, with values that are right, wrong and missing: of several errors in one command, the same must be
answered.
"""

from itertools import chain
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, examples, requires, same, stream_ids

pytestmark = requires("8.10")

NUMBERS = ("1", "0", "-1", "100", "x", "1.5", "", "9223372036854775807", "9223372036854775808", "-9223372036854775808")
"""What stands for `#` in a token's values."""

OTHERS = ("FOO", "1", "", "*", "NOVALUES", "COUNT", "LIMIT 1")


class Case(NamedTuple):
    """A command up to its options, its tokens with their values, and what stands behind the options."""

    start: str
    tokens: str
    end: str = ""
    setup: tuple[str, ...] = ()
    max_tokens: int = 4


DEADLINES = "EX #, PX #, EXAT #, PXAT #"
PICTURES = ("SET a mytext", "SET b ourtext")

RANGE = "BYSCORE, BYLEX, REV, LIMIT # #, WITHSCORES"
WEIGHTS = "WEIGHTS # #, AGGREGATE SUM, AGGREGATE min, AGGREGATE MAX, AGGREGATE COUNT, AGGREGATE x, WITHSCORES, LIMIT #"
MEMBERS = ("ZADD z 0 m 0 n",)
SCORES = ("ZADD z 1 m 5 n", "ZADD y 2 m 3 o")

STREAM = ("DEL s", "XADD s 1-1 a b", "XADD s 1-2 c d", "XGROUP CREATE s g 0")
READING = (
    "COUNT #, MAXCOUNT #, MAXSIZE #, BLOCK 1, BLOCK -1, BLOCK x, BLOCK 9223372036854775807, NOACK, CLAIM 100000,"
    " CLAIM -1, CLAIM x, GROUP other c, STREAMS"
)

PENDING = (*STREAM, "XREADGROUP GROUP g c STREAMS s >")
TRIMMING = "MAXLEN #, MAXLEN ~ #, MAXLEN = #, MINID 1-2, MINID = x, MINID ~ #, LIMIT #, KEEPREF, DELREF, ACKED"
IDS = "KEEPREF, DELREF, ACKED, IDS 1 1-1, IDS 2 1-1 1-2, IDS # 1-1, IDS 1 x, IDS 3 1-1"

SCANNING = "MATCH *, MATCH b, COUNT #, NOVALUES"
SORTING = "BY w*, BY nosort, GET #, GET w*, LIMIT # #, LIMIT 0 2, ASC, DESC, ALPHA, STORE to"

GEO = ("FLUSHALL", "GEOADD g 13.361389 38.115556 a 15.087269 37.502669 b")
PLACES = "WITHCOORD, WITHDIST, WITHHASH, COUNT #, COUNT 1, ANY, ASC, DESC"
CENTRES = (
    "FROMMEMBER a, FROMMEMBER c, FROMLONLAT 15 37, FROMLONLAT x 1, FROMLONLAT 999 1, BYRADIUS 200 km, BYRADIUS -1 km,"
    " BYRADIUS 1 x, BYBOX 400 400 km, BYBOX x 1 km, BYBOX -1 1 m"
)

HASH = ("DEL h", "HSET h a 1 b 2")
FIELDS = "FIELDS 1 a, FIELDS 2 a b, FIELDS # a, FIELDS x a, FIELDS 5 a"

CASES = {
    "SET": Case("SET k v", f"NX, XX, GET, KEEPTTL, IFEQ v, IFNE v, IFDEQ 0123456789abcdef, IFDNE 1, {DEADLINES}"),
    "GETEX": Case("GETEX k", f"PERSIST, {DEADLINES}", setup=("SET k v",)),
    "MSETEX": Case("MSETEX 1 k v", f"NX, XX, KEEPTTL, {DEADLINES}"),
    "INCREX": Case(
        "INCREX k", f"BYINT #, BYFLOAT #, LBOUND #, UBOUND #, SATURATE, ENX, PERSIST, {DEADLINES}", setup=("SET k 5",)
    ),
    "LCS": Case("LCS a b", "LEN, IDX, MINMATCHLEN #, WITHMATCHLEN", setup=PICTURES),
    "ZADD": Case("ZADD z", "NX, XX, GT, LT, CH, INCR", "2 m", ("DEL z", "ZADD z 1 m 5 n")),
    "ZADD several": Case("ZADD z", "NX, XX, GT, LT, CH, INCR, # o", "2 m x n", ("DEL z", "ZADD z 1 m 5 n")),
    "ZRANGE": Case("ZRANGE z 0 5", RANGE, setup=SCORES),
    "ZRANGE by members": Case("ZRANGE z [a (z", RANGE, setup=MEMBERS),
    "ZRANGESTORE": Case("ZRANGESTORE to z 0 5", RANGE, setup=SCORES),
    "ZREVRANGE": Case("ZREVRANGE z 0 5", RANGE, setup=SCORES),
    "ZRANGEBYSCORE": Case("ZRANGEBYSCORE z 0 5", RANGE, setup=SCORES),
    "ZREVRANGEBYSCORE": Case("ZREVRANGEBYSCORE z 5 0", RANGE, setup=SCORES),
    "ZRANGEBYLEX": Case("ZRANGEBYLEX z [a (z", RANGE, setup=MEMBERS),
    "ZREVRANGEBYLEX": Case("ZREVRANGEBYLEX z (z [a", RANGE, setup=MEMBERS),
    "ZUNION": Case("ZUNION 2 z y", WEIGHTS, setup=SCORES),
    "ZUNIONSTORE": Case("ZUNIONSTORE to 2 z y", WEIGHTS, setup=SCORES),
    "ZINTER": Case("ZINTER 2 z y", WEIGHTS, setup=SCORES),
    "ZINTERSTORE": Case("ZINTERSTORE to 1 z", "WEIGHTS #, AGGREGATE SUM, WITHSCORES, LIMIT #", setup=SCORES),
    "ZINTERCARD": Case("ZINTERCARD 2 z y", WEIGHTS, setup=SCORES),
    "ZDIFF": Case("ZDIFF 2 z y", WEIGHTS, setup=SCORES),
    "ZDIFFSTORE": Case("ZDIFFSTORE to 2 z y", WEIGHTS, max_tokens=1, setup=SCORES),
    "XRANGE": Case("XRANGE s - +", "COUNT #", setup=STREAM),
    "XREVRANGE": Case("XREVRANGE s + -", "COUNT #", setup=STREAM),
    "XREAD": Case("XREAD", READING, "STREAMS s 0", STREAM),
    "XREAD several": Case("XREAD", READING, "STREAMS s other 0 0", STREAM),
    "XREAD unbalanced": Case("XREAD", READING, "STREAMS s 0 0", STREAM),
    "XREAD nothing": Case("XREAD", READING, "", STREAM),
    "XREADGROUP": Case("XREADGROUP GROUP g c", READING, "STREAMS s >", STREAM),
    "XREADGROUP history": Case("XREADGROUP GROUP g c", READING, "STREAMS s 0", STREAM),
    "XREADGROUP several": Case("XREADGROUP", "GROUP g c, " + READING, "STREAMS s s > 0", STREAM),
    "XREADGROUP without": Case("XREADGROUP", READING, "streams s >", STREAM),
    "XADD": Case("XADD s", f"NOMKSTREAM, IDMPAUTO p, IDMPAUTO, IDMP p i, {TRIMMING}", "9-* a b", STREAM),
    "XADD auto": Case("XADD s", f"NOMKSTREAM, {TRIMMING}", "* a b", STREAM),
    "XADD bounded": Case("XADD s MAXLEN ~ 1", "", "* a b", STREAM),
    "XTRIM": Case("XTRIM s", TRIMMING, setup=STREAM),
    "XDELEX": Case("XDELEX s", IDS, setup=STREAM),
    "XACKDEL": Case("XACKDEL s g", IDS, setup=PENDING),
    "XNACK": Case("XNACK s g FAIL", f"RETRYCOUNT #, FORCE, {IDS}", setup=PENDING),
    "XSETID": Case("XSETID s 5-5", "ENTRIESADDED #, MAXDELETEDID 1-1, MAXDELETEDID 9-9, MAXDELETEDID x", setup=STREAM),
    "XCFGSET": Case("XCFGSET s", "IDMP-DURATION #, IDMP-MAXSIZE #", setup=STREAM),
    "XGROUP CREATE": Case("XGROUP CREATE s new $", "MKSTREAM, ENTRIESREAD #", setup=STREAM),
    "XGROUP SETID": Case("XGROUP SETID s g $", "MKSTREAM, ENTRIESREAD #", setup=STREAM),
    "XCLAIM": Case(
        "XCLAIM s g d 0 1-1", "IDLE #, TIME #, RETRYCOUNT #, FORCE, JUSTID, LASTID 1-1, LASTID x, 1-2", setup=PENDING
    ),
    "XAUTOCLAIM": Case("XAUTOCLAIM s g d 0 0", "COUNT 1, COUNT 0, COUNT -1, COUNT x, JUSTID", setup=PENDING),
    "LPOS": Case("LPOS l a", "RANK #, COUNT #, MAXLEN #", setup=("RPUSH l a b a",)),
    # No key: where the cursor goes is up to each server.
    "SCAN": Case("SCAN 0", SCANNING + ", TYPE string, TYPE x, TYPE", setup=("FLUSHALL",)),
    "HSCAN": Case("HSCAN h 0", SCANNING, setup=("HSET h a 1",)),
    "SSCAN": Case("SSCAN s 0", SCANNING, setup=("DEL s", "SADD s a")),
    "ZSCAN": Case("ZSCAN z 0", SCANNING, setup=("DEL z", "ZADD z 1 a")),
    "SINTERCARD": Case("SINTERCARD 1 s", "LIMIT #, APPROX", setup=("DEL s", "SADD s a b")),
    "SUNIONCARD": Case("SUNIONCARD 1 s", "LIMIT #, APPROX", setup=("DEL s", "SADD s a b")),
    "COPY": Case("COPY k to", "REPLACE, DB #, DB 1", setup=("SET k v",)),
    "EXPIRE": Case("EXPIRE k 100000", "NX, XX, GT, LT", setup=("SET k v",)),
    "EXPIRE later": Case("EXPIRE k 100000", "NX, XX, GT, LT", setup=("SET k v EX 5000",)),
    "RESTORE": Case("RESTORE to 0", "REPLACE, ABSTTL, IDLETIME #, FREQ #, FREQ 255", setup=("SET k v", "FLUSHALL")),
    "SORT": Case("SORT l", SORTING, setup=("FLUSHALL", "RPUSH l 2 1 3", "MSET w1 9 w2 8 w3 7")),
    "SORT_RO": Case("SORT_RO l", SORTING, setup=("FLUSHALL", "RPUSH l 2 1 3", "MSET w1 9 w2 8 w3 7")),
    "HELLO": Case("HELLO 2", "AUTH default x, AUTH a b, SETNAME n, SETNAME a\nb"),
    "CLIENT KILL": Case(
        "CLIENT KILL",
        "ID #, ID 999999, TYPE pubsub, TYPE x, USER default, USER x, ADDR 1.2.3.4:5, LADDR 1.2.3.4:5,"
        " SKIPME yes, SKIPME x, MAXAGE 100000, MAXAGE #",
        "ID 999999",
    ),
    "MEMORY USAGE": Case("MEMORY USAGE missing", "SAMPLES #"),
    "GEOADD": Case("GEOADD g", "NX, XX, CH, 1 2 m", "13 38 a", GEO),
    "GEORADIUS": Case("GEORADIUS g 15 37 200 km", PLACES + ", STORE to, STOREDIST to", setup=GEO),
    "GEORADIUS_RO": Case("GEORADIUS_RO g 15 37 200 km", PLACES + ", STORE to", setup=GEO),
    "GEORADIUSBYMEMBER": Case("GEORADIUSBYMEMBER g a 200 km", PLACES + ", STORE to, STOREDIST to", setup=GEO),
    "GEORADIUSBYMEMBER nowhere": Case("GEORADIUSBYMEMBER none a 200 km", PLACES + ", STORE to", setup=GEO),
    "GEOSEARCH": Case("GEOSEARCH g", f"{CENTRES}, {PLACES}, STOREDIST", "FROMLONLAT 15 37 BYRADIUS 200 km", GEO),
    "GEOSEARCH anywhere": Case("GEOSEARCH g", f"{CENTRES}, {PLACES}", setup=GEO, max_tokens=5),
    "GEOSEARCH nowhere": Case("GEOSEARCH none", f"{CENTRES}, {PLACES}", "FROMMEMBER a BYRADIUS 2 km"),
    "GEOSEARCHSTORE": Case("GEOSEARCHSTORE to g", f"{CENTRES}, {PLACES}, STOREDIST", "BYRADIUS 200 km", GEO),
    "HGETEX": Case("HGETEX h", f"PERSIST, {DEADLINES}, {FIELDS}", setup=HASH),
    "HGETEX fields": Case("HGETEX h", f"PERSIST, {DEADLINES}", "FIELDS 1 a", HASH),
    "HSETEX": Case("HSETEX h", f"KEEPTTL, FNX, FXX, {DEADLINES}, FIELDS 1 a 1, {FIELDS}", setup=HASH),
    "HEXPIRE": Case("HEXPIRE h 100000", f"NX, XX, GT, LT, {FIELDS}", setup=HASH),
    "BITFIELD": Case(
        "BITFIELD k",
        "GET u8 0, SET u8 # #, INCRBY i5 #1 #, OVERFLOW WRAP, OVERFLOW SAT, OVERFLOW FAIL, OVERFLOW x, GET x 1",
        setup=("DEL k",),
    ),
}


@st.composite
def option(draw: st.DrawFn, tokens: tuple[str, ...]) -> list[str]:
    """One token with values, often in small or mixed letters, now and then lacking its last value."""
    words = draw(st.sampled_from(tokens)).split(" ")
    if draw(st.integers(0, 9)) == 0 and len(words) > 1:
        words.pop()
    words[0] = draw(st.sampled_from([words[0], words[0].lower(), words[0].capitalize()]))
    return [draw(st.sampled_from(NUMBERS)) if word == "#" else word for word in words]


def commands(case: Case) -> st.SearchStrategy[list[str]]:
    """The command with some options."""
    tokens = tuple(case.tokens.split(", "))
    # Another command's token once for eight of its own.
    one = st.one_of(*[option(tokens)] * 8, option(OTHERS))
    options = st.lists(one, max_size=case.max_tokens)
    return options.map(lambda drawn: [*case.start.split(" "), *chain.from_iterable(drawn), *case.end.split()])


def compared(reply: bytes) -> bytes:
    """A reply without what differs between two servers: IDs, and all that HELLO tells."""
    return b"HELLO" if reply.startswith(b"*14\r\n$6\r\nserver") else stream_ids(reply)


@pytest.mark.parametrize("name", CASES)
@examples(8)
@given(data=st.data())
def test_options(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    script: list[AnyCommand] = []
    for command in data.draw(st.lists(commands(case), min_size=8, max_size=8)):
        script += [*case.setup, command]
    same(script, resp=(2,), mask=compared)
