"""Generated commands of every family over a few shared keys, so that each command meets each type.

A command is one of the lines below, its words in braces drawn again each time. Every reply is the same on two servers
that are not in step: times are far off or long past, stream IDs are explicit, and no command picks at random.
"""

import re

import hypothesis.strategies as st

from tests.oracle.harness import AnyCommand, Loose, Unordered

__all__ = ["commands", "sequences"]

_KEYS = ("a", "b", "c", "d")
_ELEMENTS = ("1", "2", "3", "-7", "x", "y", "long" * 20, "", "a")

_DRAWN: dict[str, tuple[str, ...]] = {
    "k": _KEYS,
    "e": _ELEMENTS,
    "i": ("0", "1", "-1", "2", "5", "-3", "100"),
    "n": ("1", "2", "3"),
    "s": ("1", "2.5", "-3", "0", "inf", "-inf", "1e17", "0.1", "x"),
    "id": ("1-1", "1-2", "2-1", "3-0", "5-5", "9-9"),
    "db": ("0", "1"),
    "at": ("4000000000", "3000000000", "1"),
    "ms": ("4000000000000", "3000000000000", "1"),
    "sec": ("100000", "200000", "0", "-5"),
    "flag": ("NX", "XX", "GT", "LT", ""),
    "end": ("LEFT", "RIGHT"),
    "agg": ("SUM", "MIN", "MAX"),
    "op": ("AND", "OR", "XOR", "NOT", "DIFF", "DIFF1", "ANDOR", "ONE"),
    "city": ("13.361389 38.115556 x", "15.087269 37.502669 y", "2.35 48.85 a", "-122.4 37.7 1"),
    "bound": ("(1", "-inf", "+inf", "2", "[a", "-", "+"),
}

# ~ before a line: the reply has no order; ? before a line: numbers may be slightly off.
_LINES = """
SET {k} {e}
SET {k} {e} KEEPTTL
SET {k} {e} EXAT {at}
SET {k} {e} EX {sec} GET
SET {k} {e} {flag}
SET {k} {e} IFEQ {e}
SETNX {k} {e}
MSET {k} {e} {k} {e}
MSETNX {k} {e} {k} {e}
MSETEX 2 {k} {e} {k} {e} PXAT 4000000000000
GET {k}
MGET {k} {k} {k}
GETSET {k} {e}
GETDEL {k}
GETEX {k} PXAT {ms}
GETEX {k} PERSIST
DELEX {k} IFEQ {e}
APPEND {k} {e}
SETRANGE {k} {i} {e}
GETRANGE {k} {i} {i}
STRLEN {k}
INCR {k}
INCRBY {k} {i}
INCRBYFLOAT {k} {s}
LCS {k} {k}
SETBIT {k} {i} 1
GETBIT {k} {i}
BITCOUNT {k}
BITPOS {k} 1
BITOP {op} {k} {k} {k}
BITOP NOT {k} {k}
BITFIELD {k} SET u8 {i} {i} INCRBY i5 #{n} {i}
PFADD {k} {e} {e}
PFCOUNT {k} {k}
PFCOUNT {k}
PFMERGE {k} {k} {k}
RPUSH {k} {e} {e} {e}
LPUSH {k} {e}
LPUSHX {k} {e}
LPOP {k}
RPOP {k} {n}
LRANGE {k} 0 -1
LLEN {k}
LINDEX {k} {i}
LSET {k} {i} {e}
LINSERT {k} BEFORE {e} {e}
LREM {k} {i} {e}
LTRIM {k} {i} {i}
LPOS {k} {e}
LMOVE {k} {k} {end} {end}
RPOPLPUSH {k} {k}
LMPOP 2 {k} {k} {end} COUNT {n}
BLPOP {k} {k} 0.001
SADD {k} {e} {e} {e}
SREM {k} {e} {e}
SCARD {k}
SISMEMBER {k} {e}
SMISMEMBER {k} {e} {e}
~SMEMBERS {k}
SMOVE {k} {k} {e}
~SINTER {k} {k}
~SUNION {k} {k}
~SDIFF {k} {k}
SINTERCARD 2 {k} {k} LIMIT {n}
SINTERSTORE {k} {k} {k}
SUNIONSTORE {k} {k} {k}
SDIFFSTORE {k} {k} {k}
~SPOP {k} 100
HSET {k} {e} {e} {e} {e}
HSETNX {k} {e} {e}
HGET {k} {e}
HMGET {k} {e} {e}
HDEL {k} {e} {e}
HLEN {k}
~HGETALL {k}
~HKEYS {k}
HINCRBY {k} {e} {i}
HINCRBYFLOAT {k} {e} {s}
HPEXPIREAT {k} {ms} FIELDS 2 {e} {e}
HEXPIRE {k} {sec} FIELDS 1 {e}
HPERSIST {k} FIELDS 1 {e}
HPEXPIRETIME {k} FIELDS 1 {e}
HGETDEL {k} FIELDS 2 {e} {e}
HGETEX {k} PXAT {ms} FIELDS 1 {e}
HSETEX {k} PXAT {ms} FIELDS 1 {e} {e}
ZADD {k} {s} {e} {s} {e}
ZADD {k} {flag} CH {s} {e}
ZADD {k} INCR {s} {e}
ZINCRBY {k} {s} {e}
ZREM {k} {e} {e}
ZCARD {k}
ZSCORE {k} {e}
ZRANK {k} {e} WITHSCORE
ZRANGE {k} 0 -1 WITHSCORES
ZRANGE {k} {bound} {bound} BYSCORE
ZREVRANGE {k} {i} {i}
ZCOUNT {k} {bound} {bound}
ZRANGESTORE {k} {k} {i} {i}
ZRANGESTORE {k} {k} {bound} {bound} BYSCORE LIMIT 0 {n}
ZREMRANGEBYRANK {k} {i} {i}
ZREMRANGEBYSCORE {k} {bound} {bound}
ZPOPMIN {k} {n}
ZPOPMAX {k}
ZMPOP 2 {k} {k} MIN COUNT {n}
BZPOPMIN {k} {k} 0.001
ZUNIONSTORE {k} 2 {k} {k} AGGREGATE {agg}
ZINTERSTORE {k} 2 {k} {k} WEIGHTS 2 {s} AGGREGATE {agg}
ZDIFFSTORE {k} 2 {k} {k}
ZUNION 2 {k} {k} WITHSCORES
ZINTER 3 {k} {k} {k} WITHSCORES
ZINTERCARD 2 {k} {k}
ZDIFF 2 {k} {k}
GEOADD {k} {city}
GEOADD {k} CH {city} {city}
GEOPOS {k} x
GEODIST {k} x y km
GEOHASH {k} {e}
GEOSEARCH {k} FROMLONLAT 15 37 BYRADIUS 500 km ASC WITHDIST
GEOSEARCHSTORE {k} {k} FROMLONLAT 15 37 BYBOX 4000 4000 km ASC COUNT {n}
GEOSEARCHSTORE {k} {k} FROMMEMBER x BYRADIUS 500 km STOREDIST
GEORADIUS {k} 15 37 500 km ASC STORE {k}
XADD {k} {id} {e} {e}
XADD {k} MAXLEN 2 {id} {e} {e}
XADD {k} NOMKSTREAM 7-* {e} {e}
XLEN {k}
XRANGE {k} - +
XREVRANGE {k} + - COUNT {n}
XDEL {k} {id}
XTRIM {k} MAXLEN {n}
XSETID {k} {id}
XGROUP CREATE {k} g {id}
XGROUP CREATE {k} g $ MKSTREAM
XGROUP SETID {k} g {id}
XGROUP DESTROY {k} g
XREAD STREAMS {k} {k} 0 {id}
XREADGROUP GROUP g me COUNT {n} STREAMS {k} >
XREADGROUP GROUP g me STREAMS {k} 0
XACK {k} g {id}
XACKDEL {k} g ACKED IDS 1 {id}
XCLAIM {k} g you 0 {id} {id} JUSTID
XAUTOCLAIM {k} g you 0 0 COUNT {n}
XPENDING {k} g
DEL {k} {k}
UNLINK {k}
EXISTS {k} {k}
TYPE {k}
RENAME {k} {k}
RENAMENX {k} {k}
COPY {k} {k}
COPY {k} {k} REPLACE
COPY {k} {k} DB {db} REPLACE
MOVE {k} {db}
SELECT {db}
SWAPDB 0 1
FLUSHDB
DBSIZE
~KEYS *
~SCAN 0 TYPE zset COUNT 100
~SCAN 0 TYPE hash COUNT 100
TOUCH {k} {k}
EXPIRE {k} {sec} {flag}
EXPIREAT {k} {at} {flag}
PEXPIREAT {k} {ms} {flag}
PERSIST {k}
?TTL {k}
~SORT {k} ALPHA
SORT {k} BY * STORE {k}
SORT {k} ALPHA DESC GET # GET * STORE {k}
SORT {k} STORE {k}
~SORT {k} BY nosort GET # GET *
SORT {k} GET *->x
SORT_RO {k} BY *->x LIMIT 0 {n}
"""


@st.composite
def _filled(draw: st.DrawFn, line: str) -> AnyCommand:
    mark, line = (line[0], line[1:]) if line[0] in "~?" else ("", line)
    words = []
    for word in line.split():
        places = re.findall(r"{(\w+)}", word)
        if not places:
            words.append(word)
            continue
        drawn = draw(st.sampled_from(_DRAWN[places[0]]))
        whole = word.replace(f"{{{places[0]}}}", drawn)
        # a drawn option may be no word or several; an element is one word, and may be empty
        words += whole.split() if places[0] in ("flag", "city") else [whole]
    return Unordered(words) if mark == "~" else Loose(words) if mark else words


commands = st.one_of([_filled(line) for line in _LINES.strip().split("\n")])


@st.composite
def _transaction(draw: st.DrawFn) -> list[AnyCommand]:
    watched: list[AnyCommand] = draw(st.sampled_from([[], [], ["WATCH a b"], ["WATCH a", "SET a 1"], ["WATCH c d"]]))
    between = draw(st.lists(commands, max_size=2)) if watched else []
    # this does not compare the order of replies, but the keyspaces at the end are compared
    end = draw(st.sampled_from([Unordered("EXEC"), Unordered("EXEC"), "DISCARD"]))
    return [*watched, *between, "MULTI", *draw(st.lists(commands, max_size=5)), end]


def sequences(size: int) -> st.SearchStrategy[list[AnyCommand]]:
    """Scripts of up to about `size` commands, some of them in transactions."""
    single = commands.map(lambda command: [command])
    parts = st.lists(st.one_of([single] * 12 + [_transaction()]), min_size=size // 2, max_size=size)
    return parts.map(lambda lists: [command for part in lists for command in part])
