"""Append-only folders that go from one server to the other and back, and what each reads of the other's.

redis-server 7.0 takes part where it is installed, with what it knows.
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
from tests.oracle.background import rewrite
from tests.oracle.harness import version
from tests.oracle.state import differences, keyspace_of
from tests.oracle.test_aof_format import path_of_7_0
from tests.oracle.test_dump import CORPORA, NEWER, Command, fill, streams_of
from tests.oracle.wire import Connection, parse


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
        deadline = time.monotonic() + 60
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
            self.process.wait(60)
            self.process = None


@pytest.fixture(params=["reference", "7.0"])
def abroad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Abroad]:
    if request.param == "reference":
        server = Abroad(servers.find_reference()[0], tmp_path, version())
    else:
        server = Abroad(path_of_7_0(), tmp_path, (7, 0))
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, appendonly="yes", save="", appendfsync="always")
    yield process
    process.kill()


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
