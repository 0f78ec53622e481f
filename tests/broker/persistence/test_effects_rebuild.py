"""What is appended rebuilds what was there: random commands of all families, and every kind of file they end up in."""

import os
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import trio
import trio.testing

from broker import broker as core
from broker.formats.rdb.dump_payload import dump
from broker.persistence.persistence import Storage
from broker.process.clock import Clock
from broker.server import Server, open_broker
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.stream import Stream
from protocol.numbers import format_double
from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, FOLDER, InPlace
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.oracle import mixed_commands
from tests.oracle.wire import encode

RUNS = int(os.environ.get("TRIMARAN_REBUILDS", "6"))
STEPS = 250
DATABASES = 3
FAR = 40 * 24 * 3600 * 1000
"""Milliseconds: a start so much later finds all short deadlines past."""

LIBRARY = (
    "#!lua name=lib{n}\n"
    "redis.register_function('push{n}', function(keys, args) redis.pcall('RPUSH', keys[1], args[1], '{n}')"
    " return redis.pcall('INCR', 'fn') end)"
)

_DRAWN: dict[str, tuple[str, ...]] = {
    **mixed_commands._DRAWN,
    "k": ("a", "b", "c", "d", "e", "f"),
    "px": ("1", "5", "20", "100", "1000", "100000", "3000000000"),
    "soon": ("-1000", "0", "3", "30", "3000", "5000000"),
    "db": ("0", "1", "2"),
    "xid": ("*", "*", "*", "5-*", "1-1", "2-1"),
    "bk": ("q", "w"),
    "c1": ("one", "two"),
    "lua": (
        "redis.pcall('SET',KEYS[1],ARGV[1]) redis.pcall('PEXPIRE',KEYS[1],30) return 1",
        "redis.pcall('RPUSH',KEYS[2],ARGV[1],ARGV[2]) redis.call('INCR',KEYS[1]) redis.pcall('DEL',KEYS[2]) return 2",
        "redis.pcall('SADD',KEYS[1],1,2,3,4) redis.pcall('SPOP',KEYS[1]) redis.call('LPOP',KEYS[2])",
        "redis.pcall('SELECT',1) redis.pcall('SET',KEYS[1],'in1') redis.pcall('SELECT',2) redis.call('NO')",
        "redis.pcall('XADD',KEYS[1],'*','f',ARGV[1]) redis.pcall('XGROUP','CREATE',KEYS[1],'g','0')"
        " return redis.pcall('XREADGROUP','GROUP','g','lua','COUNT','2','STREAMS',KEYS[1],'>')",
        "for i=1,3 do redis.pcall('LPUSH','q',i) end redis.pcall('HPEXPIRE',KEYS[1],20,'FIELDS',1,'x')"
        " return redis.pcall('GETEX',KEYS[2],'PX',10)",
        "redis.set_repl(redis.REPL_ALL) redis.pcall('MOVE',KEYS[1],2) return redis.pcall('COPY',KEYS[2],KEYS[1])",
    ),
    "n3": ("1", "2", "3"),
}  # fmt: skip

_MORE = """
SET {k} {e} PX {px}
SET {k} {e} PX {px} GET
SET {k} {e} PXAT {t}
SETEX {k} 1 {e}
PSETEX {k} {px} {e}
GETEX {k} PX {px}
GETEX {k} EXAT 1
GETEX {k} PXAT {t}
MSETEX 2 {k} {e} {k} {e} PX {px}
MSETEX 2 {k} {e} {k} {e} NX KEEPTTL
MSETEX 1 {k} {e} PXAT {t}
INCREX {k} BYINT {i} PX {px}
INCREX {k} BYFLOAT {s}
INCREX {k} UBOUND 3 SATURATE EX 1 ENX
PEXPIRE {k} {soon}
PEXPIRE {k} {soon} {flag}
PEXPIREAT {k} {t} {flag}
HPEXPIRE {k} {soon} FIELDS 2 {e} {e}
HPEXPIREAT {k} {t} FIELDS 1 {e}
HSETEX {k} PX {px} FIELDS 2 {e} {e} {e} {e}
HSETEX {k} FNX PXAT {t} FIELDS 1 {e} {e}
HSETEX {k} KEEPTTL FIELDS 1 {e} {e}
HGETEX {k} PX {px} FIELDS 2 {e} {e}
HGETEX {k} PERSIST FIELDS 1 {e}
HGETEX {k} PXAT {t} FIELDS 1 {e}
HMSET {k} {e} {e} {e} {e}
HRANDFIELD {k}
SPOP {k}
SPOP {k} {n}
SRANDMEMBER {k}
ZPOPMIN {k}
ZADD {k} GT CH {s} {e}
ZREMRANGEBYLEX {k} [a [z
ZRANGESTORE {k} {k} 0 -1 REV
GEOSEARCHSTORE {k} {k} FROMLONLAT 2 48 BYRADIUS 2000 km
GEORADIUSBYMEMBER {k} x 1000 km STORE {k}
SUNIONSTORE {k} {k} {k}
SORT {k} ALPHA STORE {k}
BITFIELD {k} INCRBY u8 0 200 OVERFLOW FAIL INCRBY u8 0 100
RESTOREOF {k} {k} {soon}
XADD {k} {xid} {e} {e}
XADD {k} MAXLEN ~ 1 {xid} {e} {e}
XADD {k} MINID 3-0 {xid} {e} {e}
XADD {k} MAXLEN = 3 KEEPREF * {e} {e}
XADD {k} MAXLEN = 1 ACKED * {e} {e}
XADD {k} IDMP p {e} * f {e}
XADD {k} IDMP p {e} * f {e}
XADD {k} IDMPAUTO p * f {e}
XCFGSET {k} IDMP-DURATION 100 IDMP-MAXSIZE 2
XTRIM {k} MINID 3-0
XTRIM {k} MAXLEN = 1 DELREF
XDELEX {k} ACKED IDS 2 {id} {id}
XDELEX {k} DELREF IDS 1 {id}
XGROUP CREATE {k} g {id}
XGROUP CREATE {k} g $ MKSTREAM
XGROUP CREATE {k} h 0 MKSTREAM ENTRIESREAD 2
XGROUP SETID {k} g {id} ENTRIESREAD 5
XGROUP CREATECONSUMER {k} g {c1}
XGROUP DELCONSUMER {k} g {c1}
XREADGROUP GROUP g {c1} COUNT {n} STREAMS {k} >
XREADGROUP GROUP g {c1} STREAMS {k} {k} > >
XREADGROUP GROUP h {c1} COUNT {n} NOACK STREAMS {k} >
XREADGROUP GROUP g {c1} STREAMS {k} 0
XREADGROUP GROUP g {c1} CLAIM 10 STREAMS {k} >
XCLAIM {k} g {c1} 0 {id} {id}
XCLAIM {k} g {c1} 5 {id} FORCE TIME 5 RETRYCOUNT 3 LASTID {id}
XAUTOCLAIM {k} g {c1} 5 0 COUNT 2
XNACK {k} g FAIL IDS 2 {id} {id}
XNACK {k} g SILENT IDS 1 {id} FORCE
XACKDEL {k} g DELREF IDS 2 {id} {id}
XSETID {k} 10-0 ENTRIESADDED 50 MAXDELETEDID 3-3
PFADD {k} {e}
PFMERGE {k} {k}
PFCOUNT {k} {k}
LMOVE {k} {bk} {end} {end}
LMOVEM {k} {bk} {end} {end} COUNT {n} ASLIST
LMOVEM {k} {k} {end} {end} EXACTLY {n} REVERSED
LMPOP 2 {k} {bk} {end} COUNT {n}
RPUSH {bk} {e} {e}
RPUSH {bk} {e}
LPUSH {bk} {e} {e} {e}
ZADD z {s} {e}
ZADD z 1 one 2 two 3 three
ZMPOP 2 z {k} MAX COUNT {n}
RENAME {k} {bk}
COPY {k} {bk} REPLACE
SORT {k} BY nosort STORE {bk}
EVAL {lua} 2 {k} {k} {e} {e}
EVAL {lua} 2 {k} {k} {e} {e}
EVAL {lua} 2 {k} {bk} {e} {e}
LIBRARY {n3}
FUNCTION DELETE lib{n3}
FUNCTION FLUSH
FCALL push{n3} 1 {bk} {e}
FCALL push{n3} 1 {k} {e}
SELECT {db}
SWAPDB 0 2
MOVE {k} {db}
MOVE {bk} {db}
COPY {k} {k} DB {db}
COPY {k} {bk} DB {db} REPLACE
FLUSHDB
FLUSHALL
DEBUG SET-ACTIVE-EXPIRE 1
DELIFEQ {k} {e}
GETDEL {k}
PERSIST {k}
HPERSIST {k} FIELDS 2 {e} {e}
"""
# Of those that empty everything, fewer.
_RARE = ("FLUSHDB", "FLUSHALL", "FUNCTION FLUSH")

_WAITS = (
    "BLPOP {bk} {k} 0", "BRPOP q w 0", "BLMOVE {bk} {k} {end} {end} 0", "BLMPOP 0 2 {bk} {k} {end} COUNT {n}",
    "BRPOPLPUSH q w 0", "BLMOVEM {bk} {k} {end} {end} 0 COUNT {n}",
    "BZPOPMIN z {k} 0", "BZMPOP 0 2 z {k} MAX COUNT {n}", "XREADGROUP GROUP g {c1} BLOCK 0 STREAMS {k} >",
    "XREAD BLOCK 0 STREAMS {k} $",
)  # fmt: skip

_LINES = [
    line.lstrip("~?") for line in (mixed_commands._LINES + _MORE).split("\n") if line.strip() and line not in _RARE
]


class SetClock(Clock):
    """A wall clock that moves when it is told to."""

    def __init__(self, at: int = 1_700_000_000_000) -> None:
        self.at = at
        super().__init__()

    def update(self) -> int:
        self.now = now = self.at
        return now

    def read(self) -> int:
        return self.at

    def microseconds(self) -> int:
        return self.at * 1000


class Script:
    """Random commands; `now` is the wall time of their broker."""

    def __init__(self, seed: int, clock: SetClock) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self.chance = self._random.random

    def words(self, lines: list[str] | tuple[str, ...] = _LINES) -> list[str]:
        if lines is _LINES and self.chance() < 0.01:
            return self._random.choice(_RARE).split()
        words: list[str] = []
        for word in self._random.choice(lines).split():
            places = re.findall(r"{(\w+)}", word)
            if not places:
                words.append(word)
                continue
            drawn = self._draw(places[0])
            whole = word.replace(f"{{{places[0]}}}", drawn)
            words += whole.split() if places[0] in ("flag", "city") else [whole]
        if words[0] == "LIBRARY":
            return ["FUNCTION", "LOAD", "REPLACE", LIBRARY.replace("{n}", words[1])]
        return words

    def _draw(self, name: str) -> str:
        if name == "t":
            return str(max(1, self._clock.at + self._random.choice((-100000, -1, 0, 1, 7, 50, 1000, 10**7))))
        return self._random.choice(_DRAWN[name])

    def pause(self) -> int:
        return self._random.choice((0, 0, 0, 0, 1, 2, 10, 40, 500))


def state(broker: core.Broker) -> dict[Any, Any]:
    """Everything that a broker knows but for what Redis doesn't keep either: when consumers last asked."""
    found: dict[Any, Any] = {"functions": sorted(broker.functions.sources())}
    for database in broker.keyspace.databases:
        for key, value in database.data.items():
            found[database.index, key] = database.expires.get(key), _plain(value, broker.clock.now)
        for key in database.expires:
            assert key in database.data, "a deadline without a key"
    return found


def _plain(value: Any, now: int) -> Any:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, List):
        return "list", list(value)
    if isinstance(value, Set):
        return "set", sorted(value)
    if isinstance(value, Hash):
        return "hash", sorted(value.items()), sorted((value.deadlines or {}).items())
    if isinstance(value, SortedSet):
        return "zset", [(format_double(score), member) for score, member in value]
    assert isinstance(value, Stream)
    producers = value.idempotency
    # What is older is void, though it may still be there.
    since = now - producers.duration * 1000
    iids = [(name, iid, id) for name, known in producers.producers.items() for iid, id in known.items()]
    return (
        "stream", [(id, bytes(entry)) for id, entry in value.entries()], value.length, value.last_id,
        value.entries_added, value.max_deleted_id, sorted(_group(group) for group in value.groups.values()),
        producers.duration, producers.maxsize, sorted(known for known in iids if known[2] >> 64 > since),
    )  # fmt: skip


def _group(group: Any) -> Any:
    pending = [
        (id, d.consumer.name if d.consumer is not None else None, d.time, d.count) for id, d in group.pel.items()
    ]
    return group.name, group.last_id, group.entries_read, sorted(pending, key=repr), sorted(group.consumers)


def differences(one: dict[Any, Any], other: dict[Any, Any]) -> list[str]:
    return [
        f"{key}\n  was: {one.get(key)}\n  is:  {other.get(key)}"
        for key in sorted({*one, *other}, key=repr)
        if one.get(key) != other.get(key)
    ]


def compare(name: str, was: dict[Any, Any], found: dict[Any, Any], said: list[str]) -> None:
    different = differences(was, found)
    if different:
        pytest.fail("\n".join([*said, name, *different]), pytrace=False)


def settings(directives: dict[str, str]) -> dict[str, str]:
    return {"dir": FOLDER, "databases": str(DATABASES), "enable-debug-command": "yes", **directives}


async def loaded(disk: SimulatedDisk, at: int, directives: dict[str, str]) -> dict[Any, Any]:
    """The state of a broker that starts from a copy of this disk at that time."""
    copy = SimulatedDisk(dict(disk.files()))
    async with open_broker(settings(directives), clock=SetClock(at), storage=Storage(copy, InPlace)) as server:
        server.tick.begin()
        return state(server.broker)


async def settled(server: Server) -> None:
    """Wait until all that the clients have sent is executed, as far as they don't wait for keys."""
    journal, effects = server.persistence.journal, server.broker.keyspace.effects
    await trio.testing.wait_all_tasks_blocked()
    while server.broker.config.appendfsync == "always" and journal.synced_position < effects.position:
        await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()


class Session:
    """A client of the script that is never waited for."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, *commands: Sequence[str | bytes]) -> None:
        await self._client.stream.send_all(b"".join(map(encode, commands)))
        await trio.testing.wait_all_tasks_blocked()

    def answers(self) -> Iterator[bytes]:
        """What has arrived."""
        stream = self._client.stream
        assert isinstance(stream, trio.SocketStream)
        try:
            yield stream.socket._sock.recv(1 << 20)  # type: ignore[attr-defined]
        except BlockingIOError:
            return


async def perform(script: Script, broker: Broker, clock: SetClock, said: list[str]) -> None:
    """Execute the script with three clients, and others that come to wait for keys."""
    clients = [Session(await broker.client()) for _ in range(3)]
    waiting: list[Session] = []
    for _ in range(STEPS):
        clock.at += script.pause()
        client = clients[int(script.chance() * 3)]
        if script.chance() < 0.12:
            words = script.words(_WAITS)
            waiter = Session(await broker.client())
            said.append(f"{clock.at} WAITER {words}")
            await waiter.send(["SELECT", "0" if script.chance() < 0.7 else "1"], words)
            waiting.append(waiter)
        else:
            batch: list[Any] = [script.words() for _ in range(1 + int(script.chance() * 3))]
            if script.chance() < 0.15:
                batch = [["MULTI"], *batch, ["EXEC"]]
            for at, words in enumerate(batch):
                if words[0] == "RESTOREOF":
                    data = broker.broker.keyspace.databases[0].data.get(words[1].encode())
                    batch[at] = await restore(broker, words) if data is not None else ["PING"]
            said.append(f"{clock.at} {clients.index(client)} {batch}")
            await client.send(*batch)
        for each in (*clients, *waiting):
            for answer in each.answers():
                said[-1] += f" -> {answer[:80]!r}"
                assert b"internal" not in answer.lower(), said[-1]


async def restore(broker: Broker, words: list[str]) -> list[Any]:
    """RESTORE for what the words stand for: from a key to another one, with a time to live."""
    payload = dump(broker.broker.keyspace.databases[0].data[words[1].encode()], broker.config)
    return ["RESTORE", words[2], words[3].replace("-", ""), payload, "REPLACE"]


async def until_rewritten(broker: Broker, client: Client) -> None:
    assert (await client.call("BGREWRITEAOF")).startswith(b"+")
    with trio.fail_after(60):
        while broker.server.persistence.background.active:
            await trio.sleep(0.001)
    assert broker.server.persistence.rewrites.succeeded


@pytest.mark.trio
@pytest.mark.parametrize("seed", range(RUNS))
async def test_every_file_rebuilds_what_was_there(seed: int) -> None:
    disk, clock, said = SimulatedDisk(), SetClock(), list[str]()
    script = Script(seed, clock)
    policy = "always" if seed % 2 else "everysec"
    aof = {**APPENDONLY, "appendfsync": policy, "aof-timestamp-enabled": "yes" if seed % 3 else "no"}
    async with open_broker(settings(aof), clock=clock, storage=Storage(disk, InPlace)) as server:
        broker = Broker(server)
        await perform(script, broker, clock, said)
        client = await broker.client()
        await settled(server)
        await client.call("SET end 1")
        assert await client.call("WAITAOF 1 0 0") == b"*2\r\n:1\r\n:0\r\n"
        was = state(server.broker)
        verdicts = {"appended": await loaded(disk, clock.at, aof)}
        later = clock.at + FAR
        late = {"appended, later": await loaded(disk, later, aof)}
        for form in ("yes", "no"):
            server.broker.config.aof_use_rdb_preamble = form == "yes"
            await until_rewritten(broker, client)
            verdicts[f"rewritten, preamble {form}"] = await loaded(disk, clock.at, aof)
            late[f"rewritten, preamble {form}, later"] = await loaded(disk, later, aof)
        assert await client.call("SAVE") == b"+OK\r\n"
        plain = {"save": "", "appendonly": "no"}
        verdicts["saved"] = await loaded(disk, clock.at, plain)
        late["saved, later"] = await loaded(disk, later, plain)
        assert state(server.broker) == was
        clock.at = later
        server.tick.begin()
        was_late = state(server.broker)
        for client in broker.clients:
            await client.stream.aclose()
    for name, found in verdicts.items():
        compare(name, was, found, said)
    for name, found in late.items():
        compare(name, was_late, found, said)
