"""RDB files sent to clients: what they contain, how far they are read ahead, and clients that leave or stall."""

import re

import pytest
import trio
import trio.testing

from broker.formats.rdb.file_loading import load_rdb
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.target import KeyspaceTarget
from broker.replication import snapshot_transfer
from broker.replication.snapshot_transfer import AHEAD
from tests.broker.inprocess import Broker, Client, running
from tests.broker.sessions import make_broker

KEYS = 2000


async def filled(broker: Broker) -> Client:
    client = await broker.client()
    await client.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 7 end)")
    await client.call("DEBUG", "POPULATE", str(KEYS), "key", "100")
    return client


async def asking(broker: Broker, *settings: str, command: str = "SYNC") -> Client:
    client = await broker.client()
    assert await client.call("REPLCONF", "rdb-only", "1", *settings) == b"+OK\r\n"
    await client.send(command)
    return client


async def rest(client: Client) -> bytes:
    """All that is sent until the connection is closed."""
    found = bytearray()
    with trio.fail_after(60):
        while data := await client.stream.receive_some(1 << 20):
            found += data
    return bytes(found)


def content(received: bytes) -> bytes:
    """The file in what was received, in either form."""
    found = re.match(rb"\n*(?:\+FULLRESYNC [0-9a-f]{40} 0\r\n)?\$(?:EOF:(.{40})|(\d+))\r\n", received)
    assert found is not None, received[:100]
    file = received[found.end() :]
    if found[1]:
        assert file.endswith(found[1])
        return file[:-40]
    assert len(file) == int(found[2])
    return file


def loaded(file: bytes) -> tuple[int, list[bytes]]:
    """The number of keys in a file, and its functions."""
    broker = make_broker()
    target = KeyspaceTarget(broker.keyspace)
    for _ in load_rdb(Reader(file), target, broker.config, now=None):
        pass
    return len(broker.keyspace.databases[0].data), target.functions


@pytest.mark.parametrize("command", ["SYNC", "PSYNC ? -1"])
@pytest.mark.parametrize("settings", [[], ["capa", "eof"]])
async def test_the_file_is_of_the_moment(settings: list[str], command: str) -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        other = await filled(broker)
        client = await asking(broker, *settings, command=command)
        await trio.testing.wait_all_tasks_blocked()
        await other.call("FLUSHALL")
        received = await rest(client)
        assert (b"FULLRESYNC" in received) == (command != "SYNC")
        keys, functions = loaded(content(received))
        assert (keys, len(functions)) == (KEYS, 1)
        assert "sync_full:1" in await other.text("INFO stats")


async def test_functions_alone() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        await filled(broker)
        for wanted, number in (("functions", 1), ("", 0)):
            client = await asking(broker, "capa", "eof", "rdb-filter-only", wanted)
            keys, functions = loaded(content(await rest(client)))
            assert (keys, len(functions)) == (0, number)


async def test_several_at_once() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        await filled(broker)
        clients = [await asking(broker, *settings) for settings in ([], ["capa", "eof"], ["capa", "eof"], [])]
        for client in clients:
            assert loaded(content(await rest(client)))[0] == KEYS


async def test_a_slow_reader_is_not_read_ahead_for_and_nothing_else_waits() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        other = await broker.client()
        await other.call("CONFIG", "SET", "rdbcompression", "no")
        await other.call("DEBUG", "POPULATE", "100", "key", "100000")
        client = await asking(broker, "capa", "eof")
        await trio.sleep(0.2)
        session = next(iter(broker.broker.snapshot_transfers._transfers)).receivers[0].session
        assert 0 < session.transport.sizes()[3] < AHEAD + (1 << 18) + 100
        assert await other.call("PING") == b"+PONG\r\n"
        assert "flags=S" in await other.text("CLIENT LIST TYPE replica")
        number = str(session.id)
        assert await other.call("CLIENT", "UNBLOCK", number) == b":0\r\n"
        assert loaded(content(await rest(client)))[0] == 100


async def test_a_client_that_leaves_ends_the_child() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        other = await broker.client()
        await other.call("CONFIG", "SET", "rdbcompression", "no")
        await other.call("DEBUG", "POPULATE", "100", "key", "100000")
        client = await asking(broker, "capa", "eof")
        await trio.testing.wait_all_tasks_blocked()
        assert broker.broker.persistence.background.has_child
        await client.stream.aclose()
        with trio.fail_after(30):
            while broker.broker.persistence.background.active:
                await trio.sleep(0.01)
        # The place is free for the next.
        assert loaded(content(await rest(await asking(broker))))[0] == 100


async def test_a_client_that_stops_reading_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running({"enable-debug-command": "yes", "repl-timeout": "60"}) as broker:
        other = await broker.client()
        await other.call("CONFIG", "SET", "rdbcompression", "no")
        await other.call("DEBUG", "POPULATE", "100", "key", "100000")
        client = await asking(broker, "capa", "eof")
        await trio.sleep(0.2)
        transfers = broker.broker.snapshot_transfers
        transfers.cron()  # nothing more leaves after what this has seen
        receiver = transfers._transfers[0].receivers[0]
        session = receiver.session
        now = receiver.moved = snapshot_transfer.time.monotonic()
        for seconds, open_ in ((1, True), (60, True), (61, False)):
            monkeypatch.setattr(snapshot_transfer.time, "monotonic", lambda at=now + seconds: at)
            broker.server.tick.begin()
            transfers.cron()
            broker.server.tick.finish()
            assert (session.id in broker.broker.sessions) == open_
        monkeypatch.undo()
        assert transfers._transfers == []
        received = await rest(client)
        assert not received.endswith(received[5:45])


async def test_a_child_that_fails() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        await filled(broker)
        broker.broker.persistence.background.reserve("something else")
        client = await asking(broker)
        await trio.testing.wait_all_tasks_blocked()
        broker.broker.snapshot_transfers.cron()
        assert await client.stream.receive_some(1) == b"\n"
        broker.config.dir = "/nonexistent"
        broker.broker.persistence.background.release()
        broker.server.tick.begin()
        broker.broker.snapshot_transfers.cron()
        broker.server.tick.finish()
        assert not (await rest(client)).strip()
