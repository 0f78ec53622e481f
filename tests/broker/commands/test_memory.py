"""MEMORY."""

import pytest

from broker import process_memory
from broker.commands import memory
from tests.broker.inprocess import running


async def test_usage_grows_with_the_value() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET", "small", "x")
        await client.call("SET", "large", "x" * 10_000)
        small, large = [int((await client.call("MEMORY", "USAGE", key))[1:]) for key in ("small", "large")]
        assert small < 300
        assert large - small == 9_999


async def test_stats() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HELLO 3")
        await client.call("SET k v")
        reply = await client.call("MEMORY STATS")
        assert reply.startswith(b"%13\r\n")
        assert b"$4\r\ndb.0\r\n%2\r\n" in reply
        assert b"$10\r\nkeys.count\r\n:1\r\n" in reply


async def test_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running({"maxmemory": "1gb"}) as broker:
        monkeypatch.setattr(process_memory, "resident", lambda: 100 << 20)
        monkeypatch.setattr(process_memory, "peak_resident", lambda: 100 << 20)
        monkeypatch.setattr(process_memory, "of_machine", lambda: 10 << 30)
        assert memory._findings(broker.broker) == ["Nothing to report."]
        monkeypatch.setattr(process_memory, "peak_resident", lambda: 200 << 20)
        assert "at its peak" in memory._findings(broker.broker)[0]
        monkeypatch.setattr(process_memory, "resident", lambda: 9 << 30)
        assert len(memory._findings(broker.broker)) == 2


async def test_purge_and_malloc_stats() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("MEMORY PURGE") == b"+OK\r\n"
        assert await client.text("MEMORY MALLOC-STATS") == memory.NO_STATISTICS.decode()
