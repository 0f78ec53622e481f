"""Persistence against the reference: replies, and append-only folders that go from one server to the other and back.

redis-server 7.0 takes part in the exchange where it is installed, with what it knows.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle import servers
from tests.oracle.harness import Masked, Shape, pair, same, version
from tests.oracle.state import differences, keyspace_of
from tests.oracle.test_aof_format import _path_of_7_0
from tests.oracle.test_dump import CORPORA, NEWER, Command, fill, streams_of
from tests.oracle.wire import Connection, parse

# Replies


def test_the_arguments_of_saves_and_rewrites() -> None:
    same([
        "SAVE x", "BGSAVE x", "BGSAVE SCHEDULE x", "BGREWRITEAOF x", "LASTSAVE x", "WAITAOF", "WAITAOF 0 0",
        "WAITAOF 0 0 0 0", "WAITAOF x 0 0", "WAITAOF 2 0 0", "WAITAOF -1 0 0", "WAITAOF 0 x 0", "WAITAOF 0 -1 0",
        "WAITAOF 0 0 x", "WAITAOF 0 0 -1", "WAITAOF 1 0 0", "WAITAOF 0 0 0", "WAITAOF 0 0 100000000000000000000",
        "WAITAOF 0 1 1",
        "MULTI", "SAVE", "EXEC", "MULTI", "WAITAOF 0 0 0", "WAITAOF 0 1 0", "EXEC", Shape("LASTSAVE"),
        "SHUTDOWN x", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT", "SHUTDOWN ABORT NOW", "SHUTDOWN SAVE x",
    ])  # fmt: skip


def test_scripts_do_not_save() -> None:
    mask = re.compile(rb"[0-9a-f]{40}")
    same([
        Masked(["EVAL", f"return redis.pcall('{name}')", "0"], lambda reply: mask.sub(b"", reply))
        for name in ("SAVE", "BGSAVE", "BGREWRITEAOF", "SHUTDOWN", "LASTSAVE')[1] and ('")
    ])  # fmt: skip


@pytest.mark.parametrize("save", ["", "3600 1"])
@pytest.mark.parametrize(
    "commands",
    [
        ["FLUSHALL"],
        ["MSET a 1 b 2", "FLUSHALL"],
        ["MSET a 1 b 2", "FLUSHDB"],
        ["SET a 1", "FLUSHALL ASYNC", "SET b 1"],
        ["MULTI", "SET a 1", "FLUSHALL", "SET b 1", "EXEC"],
        ["EVAL \"redis.call('SET', 'a', 1) redis.call('FLUSHALL') redis.call('SET', 'b', 1)\" 0"],
        ["SET a 1", "SWAPDB 0 1"],
    ],
)
def test_changes_since_the_last_save(commands: list[str], save: str) -> None:
    def changes(reply: bytes) -> bytes:
        found = re.search(rb"rdb_changes_since_last_save:\d+", reply)
        return found[0] if found else reply

    with pair() as p:
        client = p.client()
        try:
            client.do(["CONFIG", "SET", "save", save])
            client.do("SAVE")
            for command in commands:
                client.do(command)
                if "MULTI" not in commands:
                    client.do(Masked("INFO persistence", changes))
            client.do(Masked("INFO persistence", changes))
        finally:
            client.do("CONFIG SET save ''")


def test_saves_and_rewrites_in_their_course() -> None:
    with pair() as p:
        client = p.client()
        for command, running in (
            ("BGSAVE", "rdb_bgsave"),
            ("BGSAVE SCHEDULE", "rdb_bgsave"),
            ("BGREWRITEAOF", "aof_rewrite"),
        ):
            client.do(command)
            for connection in (client.theirs, client.ours):
                until(connection, f"{running}_in_progress:0", f"{running.replace('rdb_', '')}_scheduled:0")
        client.do("SAVE")
        client.do("MULTI")
        client.do("BGSAVE SCHEDULE")
        client.do("EXEC")
        for connection in (client.theirs, client.ours):
            until(connection, "rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok", "aof_last_bgrewrite_status:ok")


def test_what_was_changed_since_the_last_save() -> None:
    with pair() as p:
        client = p.client()
        client.do("SAVE")
        for command in (
            "SET k v", "SET k w XX", "SET new v XX", "DEL nothing", "MSET a 1 b 2", "RPUSH l a b c", "SADD s a a b",
            "DEL k l", "HSET h a 1 b 2", "ZADD z 1 a 2 b", "XADD x 1-1 f v", "PEXPIRE a 100000", "GETDEL a",
            "SREM s a x", "FLUSHDB",
        ):  # fmt: skip
            client.do(command)
            client.do(Masked("INFO persistence", _changes))


def _changes(reply: bytes) -> bytes:
    found = re.search(rb"rdb_changes_since_last_save:\d+", reply)
    assert found is not None
    return found[0]


NOT_HERE = {
    b"backup_in_progress", b"current_cow_peak", b"current_cow_size", b"current_cow_size_age", b"current_fork_perc",
    b"current_save_keys_processed", b"current_save_keys_total", b"module_fork_in_progress",
    b"module_fork_last_cow_size",
}  # fmt: skip
"""Of what Redis's INFO tells: about modules, about its backups, and how it counts the pages of a child under way."""


def test_info_has_the_same_fields() -> None:
    with pair() as p:
        client = p.client()
        theirs, ours = (_fields(one.call("INFO", "persistence")) for one in (client.theirs, client.ours))
        assert theirs - ours <= NOT_HERE


def _fields(reply: bytes) -> set[bytes]:
    return {line.split(b":")[0] for line in reply.split(b"\r\n") if b":" in line}


def test_reloading_by_debug() -> None:
    same([
        "SET k v", "RPUSH l a b", "SELECT 3", "SADD s 1", "DEBUG RELOAD", "SMEMBERS s", "SELECT 0", "GET k",
        "LRANGE l 0 -1", "SET k w", "DEBUG RELOAD NOSAVE", "GET k", "DEBUG RELOAD NOSAVE NOFLUSH MERGE", "SET new 1",
        "SET k x", "DEBUG RELOAD NOSAVE NOFLUSH MERGE", "MGET k new", "DEBUG RELOAD WHATEVER",
        "DEBUG RELOAD NOFLUSH NOSAVE X", "SET later 1 PX 1000000", "DEBUG RELOAD MERGE", "EXISTS later k new",
    ], state=True)  # fmt: skip


# Folders


@dataclass
class Abroad:
    """A redis-server with an append-only file, in a folder that others may use while it is stopped."""

    path: Path
    folder: Path
    level: tuple[int, ...]
    options: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    connections: list[Connection] = field(default_factory=list, init=False)

    def start(self) -> Connection:
        port = servers.free_port()
        command = [str(self.path), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
        command += [
            "--dir",
            str(self.folder),
            "--enable-debug-command",
            "yes",
            "--appendfsync",
            "always",
            *self.options,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                connection = Connection(("127.0.0.1", port))
            except OSError:
                time.sleep(0.02)
                continue
            self.connections.append(connection)
            if connection.call("DBSIZE").startswith(b":"):
                return connection
            connection.close()
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    def stop(self) -> None:
        for connection in self.connections:
            connection.close()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@pytest.fixture(params=["reference", "7.0"])
def abroad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Abroad]:
    if request.param == "reference":
        server = Abroad(servers.find_reference()[0], tmp_path, version())
    else:
        server = Abroad(_path_of_7_0(), tmp_path, (7, 0))
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, appendonly="yes", save="", appendfsync="always")
    yield process
    process.kill()


def until(connection: Connection, *lines: str) -> None:
    """Wait until INFO persistence has these lines."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        info = connection.call("INFO", "persistence")
        if all(line.encode() in info for line in lines if line.split(":")[0].encode() in info):
            return
        time.sleep(0.02)
    raise AssertionError(info.decode())


def rewrite(connection: Connection) -> None:
    assert connection.call("BGREWRITEAOF").startswith(b"+Background append only file rewriting")
    until(connection, "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0")
    assert b"aof_last_bgrewrite_status:ok" in connection.call("INFO", "persistence")


def everything(
    connection: Connection, level: tuple[int, ...]
) -> tuple[dict[tuple[int, bytes], str], dict[bytes, bytes]]:
    connection.call("SELECT", "0")
    # Consumers are seen when they are made: the commands of a file say no more.
    streams = {key: _SEEN.sub(b"", facts) for key, facts in streams_of(connection).items()}
    return keyspace_of(connection, level), streams


_SEEN = re.compile(rb"(?:seen|active)-time\r\n:\d+")


def digests(connection: Connection) -> dict[tuple[int, bytes], bytes]:
    """A signature of each key."""
    found = {}
    for database in range(16):
        connection.call("SELECT", database)
        for key in parse(connection.call("KEYS", "*")).items:
            found[database, key.text] = connection.call("DEBUG", "DIGEST-VALUE", key.text)
    connection.call("SELECT", "0")
    return found


def commands_for(level: tuple[int, ...], *, as_commands: bool = False) -> list[Command]:
    """Every type in every encoding, and what is left after changes to some; what commands can't rebuild left out."""
    chosen = [command for corpus in CORPORA.values() for command in corpus]
    if level >= (8, 8):
        chosen += [
            command for name, corpus in NEWER.items() for command in corpus if not (as_commands and name == "producers")
        ]
    more: list[Command] = [
        "SELECT 5", "SET number 5", "PEXPIREAT number 4000000000000", "RPUSH moved a", "MOVE moved 6", "SELECT 0",
        ["FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nredis.register_function('f', function() return 1 end)"],
    ]  # fmt: skip
    return chosen + more


def assert_same_state(theirs: object, ours: object, level: tuple[int, ...]) -> None:
    assert isinstance(theirs, tuple) and isinstance(ours, tuple)
    assert differences(theirs[0], ours[0]) == []
    assert theirs[1] == ours[1]


@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("halfway", [False, True], ids=["increment", "base"])
def test_there_and_back(preamble: str, halfway: bool, abroad: Abroad, home: Process) -> None:
    """A folder of redis-server, loaded, changed and rewritten here, loads there to the same; and stays readable."""
    abroad.options = ("--aof-use-rdb-preamble", preamble)
    theirs = abroad.start()
    fill(theirs, commands_for(abroad.level, as_commands=preamble == "no"))
    if halfway:
        rewrite(theirs)
        theirs.call("SET", "after", "rewrite")
    # What the file can't say is left out: consumers' times, for one.
    assert theirs.call("DEBUG", "LOADAOF") == b"+OK\r\n"
    before, digest = everything(theirs, abroad.level), digests(theirs)
    theirs.close()
    abroad.stop()

    home.start()
    ours = home.connect()
    assert ours.call("FCALL", "f", "0") == b":1\r\n"
    if abroad.level >= (8, 8):
        assert digests(ours) == digest
        assert_same_state(before, everything(ours, abroad.level), abroad.level)
    ours.call("CONFIG", "SET", "aof-use-rdb-preamble", preamble)
    rewrite(ours)
    ours.call("SET", "from home", "x")
    ours.call("DEL", "from home")
    ours.close()
    assert home.terminate() == 0

    theirs = abroad.start()
    assert digests(theirs) == digest
    assert_same_state(before, everything(theirs, abroad.level), abroad.level)
    assert theirs.call("FCALL", "f", "0") == b":1\r\n"
    theirs.call("SET", "again", "theirs")
    theirs.close()
    abroad.stop()
    home.start()
    ours = home.connect()
    assert ours.call("GET", "again") == b"$6\r\ntheirs\r\n"
    ours.close()


def test_our_increment_is_read_there(abroad: Abroad, home: Process) -> None:
    """The reverse, command by command: what we append for every command of the corpora, they execute to the same."""
    home.start()
    ours = home.connect()
    fill(ours, commands_for(abroad.level))
    for words in (["MULTI"], ["INCR", "n"], ["SELECT", "9"], ["RPUSH", "l", "a"], ["EXEC"], ["SELECT", "0"]):
        ours.call(*words)
    ours.call("EVAL", "redis.call('INCR', KEYS[1]) redis.call('LPUSH', KEYS[2], 'x')", "2", "n", "l")
    digest = digests(ours)
    ours.close()
    home.kill()
    home.start()
    ours = home.connect()
    assert digests(ours) == digest
    before = everything(ours, abroad.level)
    ours.close()
    assert home.terminate() == 0
    theirs = abroad.start()
    found = everything(theirs, abroad.level)
    if abroad.level >= (8, 8):
        assert digests(theirs) == digest
        assert_same_state(before, found, abroad.level)
    rewrite(theirs)
    theirs.close()
    abroad.stop()
    home.start()
    ours = home.connect()
    assert digests(ours) == digest
    assert_same_state(before, everything(ours, abroad.level), abroad.level)
    ours.close()


def test_trimaran_check_and_redis_check_aof_agree(home: Process) -> None:
    """On a whole folder, and on one whose end is cut off."""
    program = shutil.which("redis-check-aof")
    if program is None:
        pytest.skip("no redis-check-aof is installed")
    home.start()
    connection = home.connect()
    fill(connection, CORPORA["lists"] if "lists" in CORPORA else next(iter(CORPORA.values())))
    rewrite(connection)
    connection.call("SET", "after", "rewrite")
    connection.close()
    home.kill()
    folder = home.folder / "appendonlydir"
    manifest = folder / "appendonly.aof.manifest"
    ours = [sys.executable, "-m", "broker", "check", str(folder)]
    for cut in (0, 1):
        increment = max(folder.glob("*.incr.aof"))
        increment.write_bytes(increment.read_bytes()[: -cut or None])
        # What is left of our checksum line is an annotation to them, but not a whole one.
        if cut:
            increment.write_bytes(increment.read_bytes()[:-20])
        codes = [
            subprocess.run(words, capture_output=True, cwd=servers.ROOT).returncode
            for words in ([program, str(manifest)], ours)
        ]
        assert [bool(code) for code in codes] == [bool(cut)] * 2
