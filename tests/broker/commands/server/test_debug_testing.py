"""DEBUG's subcommands for test suites; replies are compared in tests/oracle."""

import signal
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.process.clock import TrioClock
from tests.broker.inprocess import running
from tests.crash.process import Process
from tests.oracle.wire import CLOSED, Connection


async def test_append_only_files_are_loaded_again(tmp_path: Path) -> None:
    directives = {"enable-debug-command": "yes", "dir": str(tmp_path), "appendonly": "yes"}
    async with running(directives) as broker:
        client, watcher = await broker.client(), await broker.client()
        for command in ("SET k v", "RPUSH l a b", "SELECT 3", "SET other x PX 1000000", "SELECT 0"):
            await client.call(command)
        await watcher.call("WATCH k")
        del broker.broker.keyspace.databases[0].data[b"k"]
        assert await client.call("DEBUG LOADAOF") == b"+OK\r\n"
        assert await client.call("MGET k other") == b"*2\r\n$1\r\nv\r\n$-1\r\n"
        assert await client.call("LRANGE l 0 -1") == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
        await client.call("SELECT 3")
        assert 900_000 < int((await client.call("PTTL other"))[1:]) <= 1_000_000
        for command in ("MULTI", "PING"):
            await watcher.call(command)
        assert await watcher.call("EXEC") == b"*-1\r\n"
        await client.call("SET after 1")
    async with running(directives) as broker:
        client = await broker.client()
        assert await client.call("DBSIZE") == b":2\r\n"
        await client.call("SELECT 3")
        assert await client.call("DBSIZE") == b":2\r\n", "what was loaded again was not written again"


async def test_all_directives_are_written(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("maxclients 100\n")
    async with running({"enable-debug-command": "yes"}) as broker:
        broker.config.file = str(path)
        client = await broker.client()
        assert await client.call("DEBUG CONFIG-REWRITE-FORCE-ALL") == b"+OK\r\n"
    assert "\nhash-max-listpack-entries 512\n" in path.read_text()


async def test_the_replication_id_changes() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        client = await broker.client()
        before = await client.text("INFO replication")
        await client.call("DEBUG CHANGE-REPL-ID")
        assert await client.text("INFO replication") != before


async def test_cron_is_paused(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"enable-debug-command": "yes", "timeout": "5"}, clock=TrioClock()) as broker:
        client = await broker.client()
        await client.call("DEBUG PAUSE-CRON 1")
        await trio.sleep(60)
        assert await client.call("PING") == b"+PONG\r\n"
        await client.call("DEBUG PAUSE-CRON 0")
        await trio.sleep(60)
        assert await client.receive() == b""


@pytest.mark.parametrize(
    ("command", "status"),
    [("SEGFAULT", -signal.SIGSEGV), ("PANIC", -signal.SIGABRT), ("ASSERT", -signal.SIGABRT), ("OOM", -signal.SIGABRT)],
)
def test_the_process_ends(command: str, status: int, tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.start()
    try:
        connection = process.connect()
        connection.send(f"DEBUG {command}\r\n".encode())
        assert process.wait() == status
        connection.close()
    finally:
        process.kill()


def test_the_process_starts_anew(tmp_path: Path) -> None:
    process = Process(tmp_path, appendonly="yes")
    process.start()
    try:
        connection = process.connect()
        for command in ("RESTART", "CRASH-AND-RECOVER"):
            before = run_id(connection)
            connection.call("INCR", "k")
            connection.send(f"DEBUG {command}\r\n".encode())
            assert connection.receive() == CLOSED
            connection.close()
            connection = process.connect_again()
            assert run_id(connection) != before
        assert connection.call("GET", "k") == b"$1\r\n2\r\n"
        connection.close()
    finally:
        process.kill()


def run_id(connection: Connection) -> bytes:
    return connection.call("INFO", "server").split(b"run_id:")[1][:40]
