"""Generated writes of every family, in words that the servers of a set know.

Each family has some keys of its own, so that most commands find the type that they want; a few run over all keys.
Replies don't matter: an error is an error on the master only. What a server does with them must arrive at its replicas,
whatever it says: random choices (SPOP), its clock (XADD *), what has expired, what it has evicted, scripts' effects.

XREADGROUP with an ID is left out: Redis, and this broker like it, tell replicas nothing of a repeated delivery.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence

from tests.oracle.wire import CLOSED, SILENT, Connection, encode

__all__ = ["CHANNEL", "LIBRARY", "Writes", "block", "words_of"]

Command = list[bytes]

CHANNEL = "news"
LIBRARY = """#!lua name=shared
redis.register_function('shared_push', function(keys, args)
  redis.call('RPUSH', keys[1], args[1])
  redis.call('LTRIM', keys[1], -20, -1)
  return redis.call('PUBLISH', 'news', 'function')
end)
redis.register_function{function_name='shared_look', callback=function(keys) return redis.call('GET', keys[1]) end,
  flags={'no-writes'}}
"""

_PUSH_ALL = (
    "for _, key in ipairs(KEYS) do redis.call('LPUSH', key, ARGV[1]) end "
    "redis.call('PUBLISH', 'news', 'script') return redis.call('TIME')"
)
_CHANCE = "redis.call('SADD', KEYS[1], math.random(100), redis.call('TIME')[2]) return redis.call('SPOP', KEYS[1])"
_FAILS = "redis.call('INCR', KEYS[1]) error('after a write')"
_SELECTS = "redis.call('SELECT', 1) redis.call('APPEND', KEYS[1], 'x')"

_DRAWN: dict[str, Sequence[str]] = {
    "s": [f"s{n}" for n in range(12)],
    "l": [f"l{n}" for n in range(8)],
    "S": [f"set{n}" for n in range(8)],
    "h": [f"h{n}" for n in range(8)],
    "H": [f"brief{n}" for n in range(4)],
    "z": [f"z{n}" for n in range(8)],
    "x": [f"x{n}" for n in range(6)],
    "g": [f"geo{n}" for n in range(4)],
    "p": [f"hll{n}" for n in range(4)],
    "k": ["s1", "l1", "set1", "h1", "z1", "x1", "geo1", "hll1", "any1", "any2"],
    "q": ["q0", "q1", "q2"],
    "e": ["1", "2", "3", "-7", "x", "y", "", "a b", "\r\n", "long" * 30],
    "f": ["f1", "f2", "f3", "f4", "f5", "f6"],
    "i": ["0", "1", "-1", "2", "5", "-3", "70"],
    "n": ["1", "2", "3", "9"],
    "w": ["1", "2.5", "-3", "0", "inf", "-inf", "1e17", "0.1"],
    "ms": ["1", "5", "20", "60", "100000000", "200000000"],
    "far": ["100000000", "200000000"],
    "sec": ["100000", "200000", "0", "-5"],
    "end": ["LEFT", "RIGHT"],
    "op": ["AND", "OR", "XOR"],
    "agg": ["SUM", "MIN", "MAX"],
    "city": ["13.361389 38.115556 x", "15.087269 37.502669 y", "2.35 48.85 a", "-122.4 37.7 1"],
    "who": ["ann", "bob", "cyd"],
    "db": ["0", "1", "2"],
}

# Known to Redis 7.0 and everything later.
_CLASSIC = """
SET {s} {e}
SET {s} {e} PX {ms}
SET {s} {e} KEEPTTL GET
SET {s} {e} NX EX {sec}
SETEX {s} 100 {e}
PSETEX {s} {ms} {e}
GETSET {s} {e}
GETDEL {s}
GETEX {s} PX {ms}
GETEX {s} PERSIST
MSET {s} {e} {s} {e}
MSETNX {s} {e} any1 {e}
APPEND {s} {e}
SETRANGE {s} {n} {e}
INCR {s}
DECRBY {s} {n}
INCRBYFLOAT {s} {w}
SETBIT {s} {n} 1
BITOP {op} {s} {s} {s}
BITFIELD {s} SET u8 0 {n} INCRBY i5 #2 {i}
PFADD {p} {e} {f}
PFCOUNT {p} {p}
PFMERGE {p} {p} {p}
RPUSH {l} {e} {e} {e}
LPUSH {l} {e}
LPUSHX {l} {e}
LPOP {l}
RPOP {l} {n}
LSET {l} {i} {e}
LINSERT {l} BEFORE {e} {e}
LREM {l} {i} {e}
LTRIM {l} -30 -1
LMOVE {l} {l} {end} {end}
RPOPLPUSH {l} {l}
LMPOP 2 {l} {l} {end} COUNT {n}
BLPOP {l} {l} 0.001
BLMOVE {l} {l} {end} {end} 0.001
RPUSH {q} {e}
RPUSH {q} {e} {e}
ZADD bz {w} {e}
SADD {S} {e} {e} {f}
SADD {S} 1 2 3 4 5 6 7 8
SREM {S} {e} {f}
SPOP {S}
SPOP {S} {n}
SMOVE {S} {S} {e}
SINTERSTORE {S} {S} {S}
SUNIONSTORE {S} {S} {S}
SDIFFSTORE {S} {S} {S}
HSET {h} {f} {e} {f} {e}
HSETNX {h} {f} {e}
HDEL {h} {f} {f}
HINCRBY {h} {f} {i}
HINCRBYFLOAT {h} {f} {w}
ZADD {z} {w} {e} {w} {f}
ZADD {z} GT CH {n} {e}
ZINCRBY {z} {w} {e}
ZREM {z} {e} {f}
ZRANGESTORE {z} {z} 0 {n}
ZREMRANGEBYRANK {z} 5 -1
ZREMRANGEBYSCORE {z} -inf -2
ZADD lex 0 {e} 0 {f}
ZREMRANGEBYLEX lex [f2 [f4
ZPOPMIN {z} {n}
ZMPOP 2 {z} {z} MAX COUNT {n}
BZPOPMIN {z} {z} 0.001
ZUNIONSTORE {z} 2 {z} {z} AGGREGATE {agg}
ZINTERSTORE {z} 2 {z} {S} WEIGHTS 2 {n}
ZDIFFSTORE {z} 2 {z} {z}
GEOADD {g} {city} {city}
GEOSEARCHSTORE {g} {g} FROMLONLAT 15 37 BYBOX 4000 4000 km ASC COUNT {n}
GEORADIUS {g} 15 37 500 km STORE {g}
XADD {x} * {f} {e}
XADD {x} * {f} {e} {f} {e}
XADD {x} MAXLEN ~ 30 * {f} {e}
XADD {x} MAXLEN 20 NOMKSTREAM * {f} {e}
XTRIM {x} MAXLEN {n}
XGROUP CREATE {x} g 0 MKSTREAM
XGROUP CREATE {x} g2 $ MKSTREAM
XGROUP SETID {x} g $
XGROUP SETID {x} g 0
XGROUP CREATECONSUMER {x} g {who}
XGROUP DELCONSUMER {x} g {who}
XGROUP DESTROY {x} g2
XREADGROUP GROUP g {who} COUNT {n} STREAMS {x} >
XREADGROUP GROUP g {who} COUNT 3 STREAMS {x} {x} > >
XREADGROUP GROUP g2 {who} COUNT {n} NOACK STREAMS {x} >
XAUTOCLAIM {x} g {who} 0 0 COUNT {n}
XAUTOCLAIM {x} g {who} 1 - COUNT 1 JUSTID
SORT {l} ALPHA STORE {l}
SORT {S} BY nosort LIMIT 0 {n} STORE {l}
DEL {k} {k}
UNLINK {k}
RENAME {s} {s}
RENAMENX {k} {k}
COPY {k} any1 REPLACE
COPY {k} {k} DB {db} REPLACE
MOVE {k} {db}
SWAPDB 0 1
FLUSHDB ASYNC
EXPIRE {k} {sec}
PEXPIRE {k} {ms}
PEXPIRE {k} {ms} NX
PERSIST {k}
GET {s}
TOUCH {k} {k}
OBJECT ENCODING {k}
PUBLISH news {e}
SPUBLISH news {e}
FCALL shared_push 1 {l} {e}
FCALL_RO shared_look 1 {s}
"""
_RARE = {b"FLUSHDB": 0.002, b"SWAPDB": 0.02, b"MOVE": 0.3}

# Known to Redis 8.0 and Valkey 9. Their replicas take a field for gone once its deadline has passed, whatever the
# master, which may have been quicker, says of it then: fields with short deadlines are only written and deleted.
_FIELDS = """
HPEXPIRE {h} {far} FIELDS 2 {f} {f}
HEXPIRE {h} {sec} FIELDS 1 {f}
HPEXPIREAT {h} 4000000000000 FIELDS 1 {f}
HPERSIST {h} FIELDS 1 {f}
HGETEX {h} PX {far} FIELDS 2 {f} {f}
HGETEX {h} PERSIST FIELDS 1 {f}
HSETEX {h} PX {far} FIELDS 1 {f} {e}
HSETEX {h} FNX KEEPTTL FIELDS 1 {f} {e}
HGETDEL {h} FIELDS 2 {f} {f}
HSETEX {H} PX {ms} FIELDS 1 {f} {e}
HSETEX {H} PX {ms} FIELDS 2 {f} {e} {f} {e}
HSET {H} {f} {e}
HDEL {H} {f}
"""

# Known to Redis 8.10 only, and said to others in older words.
_NEWEST = """
SET {s} {e} IFEQ {e}
SET {s} {e} IFNE {e} PX {ms}
DELEX {s} IFEQ {e}
MSETEX 2 {s} {e} {s} {e} PX {ms}
MSETEX 1 {s} {e} XX KEEPTTL
INCREX {s} BYINT 5 UBOUND 50 EX 100
BITOP DIFF {s} {s} {s} {s}
BITOP ONE {s} {s} {s}
XREADGROUP GROUP g {who} COUNT 3 CLAIM 0 STREAMS {x} >
"""

_SCRIPTS: list[list[str]] = [
    ["EVAL", _PUSH_ALL, "2", "{l}", "{l}", "{e}"],
    ["EVAL", _CHANCE, "1", "{S}"],
    ["EVAL", _FAILS, "1", "{s}"],
    ["EVAL", _SELECTS, "1", "{s}"],
    ["EVAL", "return redis.call('SET', KEYS[1], ARGV[1], 'PX', 7)", "1", "{s}", "{e}"],
]

_BLOCKING = """
BLPOP {q} {q} 0.05
BRPOP {q} 0.05
BLMOVE {q} taken LEFT RIGHT 0.05
BRPOPLPUSH {q} taken 0.05
BLMPOP 0.05 2 {q} {q} LEFT COUNT 2
BZPOPMIN bz 0.05
BZMPOP 0.05 1 bz MAX COUNT 2
XREADGROUP GROUP g {who} COUNT 2 BLOCK 50 STREAMS {x} >
"""


def words_of(*kinds: str, master: str) -> set[str]:
    """Which of "fields" and "newest" a set of servers can be sent beside the words that all know."""
    words = set()
    if "redis-7.0" not in kinds:
        words.add("fields")
    if set(kinds) <= {"trimaran", "redis-8"} or master == "trimaran":
        words.add("newest")
    return words


class Writes:
    """An endless supply of commands, the same for the same seed."""

    def __init__(self, seed: object, words: Iterable[str] = ()) -> None:
        self._chance = random.Random(str(seed))
        lines = [line.split(" ") for line in _CLASSIC.strip().split("\n")]
        lines += [line.split(" ") for line in _FIELDS.strip().split("\n") if "fields" in words]
        lines += [line.split(" ") for line in _NEWEST.strip().split("\n") if "newest" in words]
        lines += _SCRIPTS
        self._lines = [_Line(line) for line in lines]
        self._weights = [_RARE.get(line.name, 1.0) for line in self._lines]

    def units(self, count: int) -> Iterator[list[Command]]:
        """Units with about so many commands in all: single ones, transactions, and some in other databases."""
        while count > 0:
            unit = self._unit()
            count -= len(unit)
            yield unit

    def _unit(self) -> list[Command]:
        kind = self._chance.random()
        if kind < 0.92:
            return [self._command()]
        if kind < 0.97:
            end = b"EXEC" if self._chance.random() < 0.9 else b"DISCARD"
            return [[b"MULTI"], *(self._command() for _ in range(self._chance.randrange(6))), [end]]
        return [[b"SELECT", b"%d" % self._chance.randrange(3)]]

    def _command(self) -> Command:
        return self._chance.choices(self._lines, self._weights)[0].drawn(self._chance)

    def send(self, connection: Connection, count: int, pipeline: int = 100) -> int:
        """Send so many commands, and read the replies; returns how many were errors."""
        batch: list[Command] = []
        errors = 0
        for unit in self.units(count):
            batch += unit
            if len(batch) >= pipeline:
                errors += _exchange(connection, batch)
                batch = []
        return errors + _exchange(connection, batch)


class _Line:
    """One line of words, of which those in braces are drawn each time."""

    def __init__(self, words: Sequence[str]) -> None:
        self.name = words[0].encode()
        self._words: list[bytes | Sequence[list[bytes]]] = []
        for word in words:
            place = re.fullmatch(r"{(\w+)}", word)
            if place is None:
                self._words.append(word.encode())
            elif place[1] == "city":
                self._words.append([text.encode().split() for text in _DRAWN["city"]])
            else:
                self._words.append([[text.encode()] for text in _DRAWN[place[1]]])

    def drawn(self, chance: random.Random) -> Command:
        command: Command = []
        for word in self._words:
            if isinstance(word, bytes):
                command.append(word)
            else:
                command += word[int(chance.random() * len(word))]
        return command


def _exchange(connection: Connection, batch: Sequence[Command]) -> int:
    connection.send(b"".join(map(encode, batch)))
    errors = 0
    for command in batch:
        reply = connection.receive()
        assert reply not in (CLOSED, SILENT), (reply, command)
        errors += reply.startswith(b"-")
    return errors


def block(connection: Connection, seed: object) -> Iterator[bool]:
    """Blocking pops, one at each step, over the keys that the writes push to; whether something was popped."""
    chance = random.Random(str(seed))
    lines = [_Line(line.split(" ")) for line in _BLOCKING.strip().split("\n")]
    while True:
        reply = connection.call(*chance.choice(lines).drawn(chance))
        if reply in (CLOSED, SILENT):
            return
        yield not reply.startswith((b"*-1", b"$-1", b"-"))
