"""Delayed entries through the files of other servers: what they load is the same, and it is due here afterwards."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle import servers
from tests.oracle.background import rewrite
from tests.oracle.conftest import skip_loudly
from tests.oracle.test_append_only_folders import Abroad, digests
from tests.oracle.wire import Connection, parse

FIND = {
    "reference": lambda: servers.find_reference()[0],
    "7.0": servers.find_7_0,
    "valkey": lambda: servers.find_valkey()[0],
}
SECONDS = 60.0


@pytest.fixture(params=FIND)
def abroad(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Abroad]:
    try:
        server = Abroad(FIND[request.param](), tmp_path, ())
    except servers.OracleMissing as missing:
        skip_loudly(str(missing))
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, appendonly="yes", save="", appendfsync="always", stream_extensions="yes")
    yield process
    process.kill()


def values(connection: Connection, key: str) -> list[bytes]:
    entries = parse(connection.call("XRANGE", key, "-", "+")).items
    return [entry.items[1].items[1].text for entry in entries]


def until(connection: Connection, key: str, expected: list[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while values(connection, key) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    assert values(connection, key) == expected


@pytest.mark.parametrize("rewritten", [False, True], ids=["increment", "base"])
def test_there_and_back(rewritten: bool, abroad: Abroad, home: Process) -> None:
    home.start()
    ours = home.connect()
    ours.call("SELECT", "3")
    late = int(time.time() * 1000) + 3_600_000
    for number in range(4):
        ours.call("XADD", "{t}now", "DELAY", "5", "MAXLEN", "3", "*", "n", str(number))
        ours.call("XADD", "later", "AT", str(late - number), "NOMKSTREAM", "*", "n", str(number), "text", "x" * 300)
    handle = parse(ours.call("XADD", "later", "AT", str(late), "*", "n", "cancelled")).text
    assert ours.call("XDEL", "later", handle) == b":1\r\n"
    ours.call("XADD", "soon", "DELAY", "60000", "MAXLEN", "~", "5", "*", "n", "1")
    ours.call("XADD", "soon", "DELAY", "60000", "*", "n", "2")
    until(ours, "{t}now", [b"1", b"2", b"3"])
    if rewritten:
        rewrite(ours)
    before = digests(ours)
    assert len(before) == 3
    ours.close()
    home.kill()

    theirs = abroad.start()
    assert digests(theirs) == before
    rewrite(theirs)
    # What is soon becomes due while the file is theirs.
    theirs.call("SELECT", "3")
    for member in parse(theirs.call("ZRANGE", "~delayed:{soon}:soon", "0", "-1")).items:
        theirs.call("ZADD", "~delayed:{soon}:soon", "5", member.text)
    assert digests(theirs).keys() == before.keys()
    theirs.close()
    abroad.stop()

    home.start()
    ours = home.connect()
    ours.call("SELECT", "3")
    until(ours, "soon", [b"1", b"2"])
    after = digests(ours)
    ours.call("SELECT", "3")
    assert {key: after[key] for key in before if b"soon" not in key[1]} == {
        key: digest for key, digest in before.items() if b"soon" not in key[1]
    }
    assert values(ours, "later") == []
    # Numbers go on, so handles stay unique.
    handle = parse(ours.call("XADD", "later", "AT", str(late), "*", "n", "4")).text
    assert int(handle.rpartition(b"-")[2]) > 10
    ours.close()
