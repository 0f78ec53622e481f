"""What policies have done is the same on other servers, which keep the policies through a rewrite of their own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle import servers
from tests.oracle.background import rewrite
from tests.oracle.conftest import skip_loudly
from tests.oracle.wire import Connection

LINES = (
    "XCFGSET ring MAXLEN 3 MAXBYTES 100000 MAXAGE 900000000",
    *[f"XADD ring * number {number}" for number in range(10)],
    "XCFGSET jobs RETAIN WORKQUEUE",
    *[f"XADD jobs {number}-1 number {number}" for number in range(1, 7)],
    "XGROUP CREATE jobs g 0",
    "XGROUP CFGSET jobs g DEADLETTER dead",
    "XCFGSET dead MAXLEN 1 DISCARD NEW",
    "XREADGROUP GROUP g c COUNT 5 STREAMS jobs >",
    "XACK jobs g 3-1 1-1",
    "XNACK jobs g FATAL IDS 2 2-1 4-1",
    "XCFGSET news CHANNELS 2 news.* b\\0 MAXLEN 2",
    "PUBLISH news.world 1",
    "MULTI",
    "PUBLISH news.world 2",
    "PUBLISH news.world 3",
    "EXEC",
)

SERVERS: dict[str, Callable[[], Path]] = {
    "7.0": servers.find_7_0,
    "reference": lambda: servers.find_reference()[0],
    "valkey": lambda: servers.find_valkey()[0],
}


def ours(folder: Path) -> Process:
    process = Process(folder, appendonly="yes", save="", stream_extensions="yes", replication_compat="7.0")
    process.start()
    return process


def digest(connection: Connection) -> bytes:
    reply = connection.call("DEBUG", "DIGEST")
    assert reply.startswith(b"+")
    return reply


@pytest.mark.parametrize("name", SERVERS)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    try:
        program = SERVERS[name]()
    except servers.OracleMissing as missing:
        skip_loudly(str(missing))
    folder = tmp_path / "ours"
    folder.mkdir()
    process = ours(folder)
    connection = process.connect()
    for line in LINES:
        assert not connection.call(*line.split()).startswith(b"-"), line
    before = digest(connection)
    connection.close()
    process.terminate()
    port = servers.free_port()
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
    other = servers.start(name, [*command, "--enable-debug-command", "yes"], port, folder=folder)
    try:
        connection = other.connect()
        assert digest(connection) == before
        rewrite(connection)
        connection.call("SHUTDOWN", "NOSAVE")
        connection.close()
        assert other.process is not None
        other.process.wait(60)
        shutil.copytree(folder, tmp_path / "back")
    finally:
        other.stop()
    process = ours(tmp_path / "back")
    connection = process.connect()
    assert digest(connection) == before
    connection.call("XADD", "ring", "*", "number", "10")
    assert connection.call("XLEN", "ring") == b":3\r\n"
    assert connection.call("PUBLISH", "news.world", "4") == b":1\r\n"
    assert connection.call("XLEN", "news") == b":2\r\n"
    assert connection.call("XACK", "jobs", "g", "5-1") == b":1\r\n"
    assert connection.call("XLEN", "jobs") == b":1\r\n"
    assert connection.call("XADD", "dead", "*", "a", "1").startswith(b"-STREAMFULL")
    connection.close()
    process.kill()
