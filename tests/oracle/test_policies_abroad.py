"""Files of groups under policies go to Redis and Valkey, which rewrite them, and come back: all goes on as before."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle import servers
from tests.oracle.background import rewrite
from tests.oracle.test_append_only_folders import Abroad, digests
from tests.oracle.wire import Connection, parse

SERVERS: dict[str, Callable[[], Path]] = {
    "reference": lambda: servers.find_reference()[0],
    "7.0": servers.find_7_0,
    "valkey": lambda: servers.find_valkey()[0],
}
READ = "XREADGROUP GROUP g {} COUNT 10 STREAMS s >"
SETUP = (
    *(f"XADD s {number}-1 user {user}" for number, user in enumerate("aababc", 1)),
    "XGROUP CREATE s g 0",
    "XGROUP CFGSET s g ORDERBY user MAXINFLIGHT 4 ACKWAIT 3600000 MAXDELIVER 2 DEADLETTER dlq",
    READ.format("alice"),
    "XNACK s g FATAL IDS 1 6-1",
    "XADD s 7-1 user c",
    READ.format("bob"),
    "XADD s 8-1 user c",
)
"""1-1, 3-1 and 7-1 are in flight, 2-1, 4-1 and 5-1 are parked, 6-1 is dead, and nobody has read 8-1."""


@pytest.fixture(params=SERVERS)
def abroad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Abroad]:
    try:
        path = SERVERS[request.param]()
    except servers.OracleMissing as problem:
        pytest.skip(str(problem))
    server = Abroad(path, tmp_path, ())
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, appendonly="yes", save="", appendfsync="always", stream_extensions="yes")
    yield process
    process.kill()


def pending(connection: Connection) -> list[tuple[bytes, bytes, bytes]]:
    rows = parse(connection.call("XPENDING", "s", "g", "-", "+", "100")).items
    return [(row.items[0].text, row.items[1].text, row.items[3].text) for row in rows]


def delivered(reply: bytes) -> list[bytes]:
    return [entry.items[0].text for stream in parse(reply).items for entry in stream.items[1].items]


def test_there_and_back(home: Process, abroad: Abroad) -> None:
    home.start()
    connection = home.connect()
    for line in SETUP:
        assert not connection.call(*line.split()).startswith(b"-"), line
    before, facts = digests(connection), pending(connection)
    assert [owner for _, owner, _ in facts] == [
        b"alice", b"~parked", b"alice", b"~parked", b"~parked", b"bob",
    ]  # fmt: skip
    connection.close()
    assert home.terminate() == 0

    there = abroad.start()
    assert digests(there) == before
    assert pending(there) == facts
    rewrite(there)
    assert pending(there) == facts
    # A worker there takes one of the parked entries, as it would take any other.
    there.call("XCLAIM", "s", "g", "carol", "0", "5-1")
    there.call("XACK", "s", "g", "5-1")
    abroad.stop()

    home.start()
    connection = home.connect()
    try:
        assert pending(connection) == [row for row in facts if row[0] != b"5-1"]
        bob = READ.format("bob").split()
        assert delivered(connection.call(*bob)) == []
        connection.call("XACK", "s", "g", "1-1", "7-1")
        assert delivered(connection.call(*bob)) == [b"2-1", b"8-1"]
        connection.call("XACK", "s", "g", "2-1")
        assert delivered(connection.call(*bob)) == [b"4-1"]
        assert connection.call("XLEN", "dlq") == b":1\r\n"
    finally:
        connection.close()
