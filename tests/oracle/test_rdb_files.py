"""RDB files against the reference, redis-server 7.0 and valkey-server 9: each loads what the other saves.

The files of the servers are loaded by the library, without a broker process; its own are loaded by the servers with
DEBUG RELOAD NOSAVE. As with DUMP, 7.0 and Valkey take part where they are installed.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from broker.broker import Broker
from broker.clients.session import Session
from broker.formats.aof.base_commands import save_commands
from broker.formats.rdb.file_loading import Loaded, load_rdb
from broker.formats.rdb.file_saving import save_rdb
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.target import KeyspaceTarget
from broker.process.clock import Clock
from tests.broker.persistence.files_made import sealed_file
from tests.broker.persistence.payloads import HAND_MADE, sealed, string
from tests.broker.sessions import make_broker, make_session, run
from tests.oracle import servers
from tests.oracle.harness import requires, version
from tests.oracle.servers import Server
from tests.oracle.state import differences, keyspace_of
from tests.oracle.test_dump import CORPORA, FIELD_DEADLINES, NEWER, Command, _started, fill, streams_of
from tests.oracle.wire import Connection, Node, frame_end, parse

DEADLINES: list[Command] = [
    "SET k:soon 1 PXAT 4000000000123", "RPUSH l:soon a", "PEXPIREAT l:soon 4000000000124",
    "HSET h:soon f v", "PEXPIREAT h:soon 4000000000125",
    *(f"SET k:{n} {n} PXAT {4000000000000 + n}" for n in range(3000)),
]  # fmt: skip
DATABASES: list[Command] = [
    *(command for n in (0, 3, 15) for command in (f"SELECT {n}", f"SET number {n}", f"LPUSH l{n} {n}")), "SELECT 0",
]  # fmt: skip
SEVERAL = {**CORPORA, "deadlines": DEADLINES, "databases": DATABASES}
# A type of release candidates that means something else to Valkey, and that Redis refuses by now.
PRE_GA = 22

LIBRARY = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"


@dataclass
class InProcess:
    """The library's keyspace, as far as the comparisons need it like a connection."""

    broker: Broker = field(default_factory=make_broker)
    unread: bytes = b""

    def __post_init__(self) -> None:
        self.session: Session = make_session(self.broker)

    def send(self, data: bytes) -> None:
        while data:
            end = frame_end(data)
            words = [node.text for node in parse(data[:end]).items]
            self.unread += run(self.session, words)
            data = data[end:]

    def receive(self) -> bytes:
        end = frame_end(self.unread)
        reply, self.unread = self.unread[:end], self.unread[end:]
        return reply

    def call(self, *command: str | bytes | int | float) -> bytes:
        words = [part if isinstance(part, bytes) else str(part).encode() for part in command]
        return run(self.session, words)

    def load(self, data: bytes) -> tuple[Loaded, KeyspaceTarget]:
        """Load a file's bytes."""
        target = KeyspaceTarget(self.broker.keyspace)
        loading = load_rdb(
            Reader(source=io.BytesIO(data).read, size=len(data)),
            target,
            self.broker.config,
            now=self.broker.keyspace.clock.now,
        )
        while True:
            try:
                next(loading)
            except StopIteration as end:
                return end.value, target

    def save(self, functions: Sequence[bytes] = ()) -> bytes:
        """The bytes of a file of all that is here."""
        parts: list[bytes] = []
        aux = [(b"used-mem", b"1000000"), (b"whatever", b"else")]
        save_rdb(parts.append, self.broker.keyspace, self.broker.config, aux=aux, functions=functions)
        return b"".join(parts)


@dataclass
class Abroad:
    """Another server, its files and its version."""

    server: Server
    connection: Connection
    level: tuple[int, ...]

    def fill(self, commands: Sequence[Command]) -> None:
        self.connection.call("FLUSHALL")
        fill(self.connection, commands)

    def save(self) -> bytes:
        assert self.connection.call("SAVE") == b"+OK\r\n"
        return self._path().read_bytes()

    def load(self, data: bytes) -> None:
        self._path().write_bytes(data)
        assert self.connection.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n", self.server.log()

    def _path(self) -> Path:
        assert self.server.folder is not None
        return self.server.folder / "dump.rdb"


def _reference() -> Iterator[Server]:
    port = servers.free_port()
    path = str(servers.find_reference()[0])
    options = ["--save", "", "--bind", "127.0.0.1", "--enable-debug-command", "yes"]
    server = servers.start("reference", [path, "--port", str(port), *options], port)
    yield server
    server.stop()


_SERVERS = {
    "reference": (_reference, ()),
    "7.0": (lambda: _started("redis-server", b" v=7.0."), (7, 0)),
    "valkey": (lambda: _started("valkey-server", b" v=9."), (7, 2)),
}


@pytest.fixture(scope="module", params=_SERVERS)
def abroad(request: pytest.FixtureRequest) -> Iterator[Abroad]:
    start, level = _SERVERS[request.param]
    for server in start():
        connection = server.connect()
        yield Abroad(server, connection, level or version())
        connection.close()


def state(
    here: Connection | InProcess, level: tuple[int, ...]
) -> tuple[dict[tuple[int, bytes], str], dict[bytes, bytes]]:
    connection = cast(Connection, here)
    return keyspace_of(connection, level), streams_of(connection)


def assert_same(one: Connection | InProcess, other: Connection | InProcess, level: tuple[int, ...]) -> None:
    (keys, streams), (other_keys, other_streams) = state(one, level), state(other, level)
    assert differences(keys, other_keys) == []
    assert streams == other_streams


def deadlines(here: Connection | InProcess) -> list[bytes]:
    return [here.call("PEXPIRETIME", key) for key in ("k:soon", "l:soon", "h:soon", "k:7", "k:2999")]


@pytest.mark.parametrize("name", SEVERAL)
def test_there_and_back(name: str, abroad: Abroad) -> None:
    """A server's file, loaded and saved here, loads there to what it was."""
    abroad.fill(SEVERAL[name])
    before = state(abroad.connection, abroad.level)
    digest = abroad.connection.call("DEBUG", "DIGEST")
    times = deadlines(abroad.connection)
    here = InProcess()
    loaded, _ = here.load(abroad.save())
    assert loaded.checked and not loaded.expired and not loaded.empty
    assert deadlines(here) == times
    if abroad.level >= (8, 8):
        assert_same(abroad.connection, here, abroad.level)
    data = here.save()
    assert data.startswith(b"REDIS0010")
    abroad.connection.call("FLUSHALL")
    abroad.load(data)
    assert state(abroad.connection, abroad.level) == before
    assert abroad.connection.call("DEBUG", "DIGEST") == digest
    assert deadlines(abroad.connection) == times


@requires("8.8")
@pytest.mark.parametrize("name", NEWER)
@pytest.mark.parametrize("abroad", ["reference"], indirect=True)
def test_what_is_newer(name: str, abroad: Abroad) -> None:
    # Idle consumers alone make no file newer.
    abroad.fill([*NEWER[name], *(FIELD_DEADLINES if name == "idle consumers" else ())])
    before = state(abroad.connection, abroad.level)
    here = InProcess()
    here.load(abroad.save())
    assert_same(abroad.connection, here, abroad.level)
    data = here.save()
    assert data.startswith(b"REDIS0012")
    abroad.load(data)
    assert state(abroad.connection, abroad.level) == before


class StandingClock(Clock):
    """Time that goes on when the test says so, to compare what XINFO counts from it."""

    def update(self) -> int:
        self.now = self.now or 1_700_000_000_000
        return self.now


def idle_consumers(clock: Clock) -> InProcess:
    """Streams with consumers that never succeeded, that did once, and that did now; one of them expires."""
    here = InProcess(make_broker(clock))
    for key in ("c", "d"):
        for command in (
            f"XADD {key} 1-1 f v", f"XADD {key} 2-1 f v", f"XGROUP CREATE {key} g 0", f"XGROUP CREATE {key} a 1-1",
            f"XGROUP CREATECONSUMER {key} g never", f"XREADGROUP GROUP g once COUNT 1 STREAMS {key} >",
            f"XREADGROUP GROUP g now STREAMS {key} >", f"XREADGROUP GROUP g once STREAMS {key} >",
            f"XREADGROUP GROUP a late STREAMS {key} >", f"XREADGROUP GROUP a late STREAMS {key} >",
        ):  # fmt: skip
            assert not here.call(*command.split()).startswith(b"-")
            clock.now += 7
    here.call("SET", "k", "v")
    here.call("PEXPIREAT", "d", "4000000000123")
    return here


def told(one: Connection | InProcess, key: str) -> dict[bytes, object]:
    """XINFO STREAM FULL without what a file for 7.0 doesn't tell other servers."""
    return _told(parse(one.call("XINFO", "STREAM", key, "FULL", "COUNT", "0")))


def _told(pairs: Node) -> dict[bytes, object]:
    facts = {name.text: value for name, value in zip(pairs.items[::2], pairs.items[1::2], strict=True)}
    return {
        name: [_told(item) for item in value.items] if name in (b"groups", b"consumers") else value
        for name, value in facts.items()
        if name not in (b"active-time", b"radix-tree-keys", b"radix-tree-nodes")
    }


def as_far_as(older: object, newer: object) -> object:
    """Those of the newer server's facts that the older one has."""
    if isinstance(older, dict) and isinstance(newer, dict):
        return {name: as_far_as(older[name], newer.get(name)) for name in older}
    if isinstance(older, list) and isinstance(newer, list):
        return [as_far_as(*both) for both in zip(older, newer, strict=True)]
    return newer


def test_idle_consumers_are_no_reason_for_a_newer_file(abroad: Abroad) -> None:
    clock = StandingClock()
    here = idle_consumers(clock)
    data = here.save()
    assert data.startswith(b"REDIS0010")
    abroad.connection.call("FLUSHALL")
    abroad.load(data)
    assert abroad.connection.call("DBSIZE") == b":3\r\n"
    assert abroad.connection.call("PEXPIRETIME", "d") == b":4000000000123\r\n"
    again = InProcess(make_broker(clock))
    again.load(data)
    for key in ("c", "d"):
        theirs = told(abroad.connection, key)
        assert len(theirs) >= 7 and theirs == as_far_as(theirs, told(here, key))
        for group in ("g", "a"):
            consumers = here.call("XINFO", "CONSUMERS", key, group)
            assert b"inactive" in consumers and again.call("XINFO", "CONSUMERS", key, group) == consumers
        info = here.call("XINFO", "STREAM", key, "FULL")
        assert b"active-time\r\n:-1\r\n" in info and again.call("XINFO", "STREAM", key, "FULL") == info


@requires("8.8")
@pytest.mark.parametrize("abroad", ["reference"], indirect=True)
def test_when_consumers_succeeded_is_native_in_a_file_that_is_newer_anyway(abroad: Abroad) -> None:
    here = idle_consumers(StandingClock())
    for command in FIELD_DEADLINES:
        here.call(*(command.split() if isinstance(command, str) else command))
    abroad.connection.call("FLUSHALL")
    abroad.load(here.save())
    assert streams_of(cast(Connection, here)) == streams_of(abroad.connection)


@pytest.mark.parametrize("name", ["deadlines of fields", *SEVERAL])
def test_as_commands(name: str, abroad: Abroad) -> None:
    """What a server's file holds, written as commands, builds the same on it and here."""
    commands = FIELD_DEADLINES if name == "deadlines of fields" else SEVERAL[name]
    if commands is FIELD_DEADLINES and abroad.level < (7, 4):
        pytest.skip("hash fields have no deadlines there")
    abroad.fill(commands)
    before = keyspace_of(abroad.connection, abroad.level)
    digest = abroad.connection.call("DEBUG", "DIGEST")
    times = deadlines(abroad.connection)
    here, again = InProcess(), InProcess()
    here.load(abroad.save())
    parts: list[bytes] = []
    save_commands(parts.append, here.broker.keyspace, here.broker.config)
    data = b"".join(parts)
    abroad.connection.call("FLUSHALL")
    for target in (abroad.connection, again):
        target.send(data)
        for _ in range(commands_in(data)):
            assert not target.receive().startswith(b"-")
        assert deadlines(target) == times
    assert keyspace_of(abroad.connection, abroad.level) == before
    assert abroad.connection.call("DEBUG", "DIGEST") == digest
    assert_same_but_times(here, again)


def commands_in(data: bytes) -> int:
    count = at = 0
    while at < len(data):
        at = frame_end(data, at)
        count += 1
    return count


def assert_same_but_times(one: InProcess, other: InProcess) -> None:
    level = (8, 10)
    assert differences(*(keyspace_of(cast(Connection, here), level) for here in (one, other))) == []


def test_functions_and_facts(abroad: Abroad) -> None:
    abroad.fill(["SET k v", ["FUNCTION", "LOAD", "REPLACE", LIBRARY]])
    try:
        here = InProcess()
        loaded, target = here.load(abroad.save())
        assert loaded.keys == 1
        assert target.functions == [LIBRARY.encode()]
        assert target.facts[b"aof-base"] == b"0" and b"ctime" in target.facts
        abroad.connection.call("FUNCTION", "FLUSH")
        abroad.load(here.save(target.functions))
        assert abroad.connection.call("FCALL", "f", "0") == b":1\r\n"
    finally:
        abroad.connection.call("FUNCTION", "FLUSH")


@pytest.mark.parametrize(("policy", "question"), [("allkeys-lru", "IDLETIME"), ("allkeys-lfu", "FREQ")])
def test_how_keys_were_accessed(policy: str, question: str, abroad: Abroad) -> None:
    """RESTORE sets what a file then says of the key."""
    hello = sealed(b"\0\5hello")
    abroad.fill([f"CONFIG SET maxmemory-policy {policy}", *(
        ["RESTORE", f"k{n}", "0", hello, "IDLETIME" if question == "IDLETIME" else "FREQ", str(n)] for n in (3, 100)
    )])  # fmt: skip
    try:
        here = InProcess(make_broker(maxmemory_policy=policy))
        here.load(abroad.save())
        data = here.save()
        abroad.load(data)
        for n in (3, 100):
            for one in (here, abroad.connection):
                assert number(one.call("OBJECT", question, f"k{n}")) in (n, n + 1)
    finally:
        abroad.connection.call("CONFIG", "SET", "maxmemory-policy", "noeviction")


def number(reply: bytes) -> int:
    return int(parse(reply).text)


def test_a_file_without_a_checksum(abroad: Abroad) -> None:
    here = InProcess(make_broker(rdbchecksum=False))
    here.call("SET", "k", "v")
    data = here.save()
    assert data.endswith(b"\xff" + bytes(8))
    abroad.load(data)
    assert abroad.connection.call("GET", "k") == b"$1\r\nv\r\n"
    loaded, _ = InProcess().load(data)
    assert loaded.keys == 1 and not loaded.checked


def test_files_of_older_servers(abroad: Abroad) -> None:
    """Every encoding that a version had, in files made by hand, is the same to both."""
    if abroad.connection.call("INFO", "server").count(b"valkey_version"):
        newest, strangest = 11, 21
    else:
        newest, strangest = (15, 27) if abroad.level >= (8, 8) else (10, 19)
    for version_ in (1, 2, 4, 5, 9, newest):
        records = b"\xfe\0" + b"\xfd" + (2_000_000_000).to_bytes(4, "little") + b"\0\x06k:soon\1v"
        for number, (name, payload) in enumerate(HAND_MADE.items()):
            if payload[0] <= strangest and payload[0] != PRE_GA and "stream 1" not in name:
                body = payload[1:-10].removesuffix(b"junk")
                records += payload[:1] + string(b"key %d" % number) + body
        data = sealed_file(records, version_)
        abroad.load(data)
        here = InProcess()
        here.load(data)
        theirs, ours = (keyspace_of(cast(Connection, one), abroad.level) for one in (abroad.connection, here))
        if abroad.level < (8, 8):
            # What XINFO tells has grown since, and scores have other texts.
            theirs, ours = (
                {key: text for key, text in one.items() if not text.startswith(("stream", "zset"))}
                for one in (theirs, ours)
            )
        assert differences(theirs, ours) == []
        assert (
            here.call("PEXPIRETIME", "k:soon")
            == abroad.connection.call("PEXPIRETIME", "k:soon")
            == b":2000000000000\r\n"
        )
