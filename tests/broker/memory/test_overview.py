"""What a broker's memory goes to."""

import sys

import pytest

from broker.clients.memory_use import CLIENT_SIZE
from broker.process import memory as process_memory
from broker.process.memory import Memory
from tests.broker.inprocess import running

MEGABYTE = 1 << 20


async def test_the_parts_make_up_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SELECT 3")
        await client.call("SET k v EX 100")
        await client.call("SET l v")
        broker.broker.eviction.startup = Memory(20 * MEGABYTE, 30 * MEGABYTE)
        monkeypatch.setattr(process_memory, "measure", lambda: Memory(50 * MEGABYTE, 60 * MEGABYTE))
        monkeypatch.setattr(process_memory, "peak_resident", lambda: 90 * MEGABYTE)
        memory = broker.broker.memory()
        assert (memory.used, memory.allocated) == (30 * MEGABYTE, 50 * MEGABYTE)
        assert (memory.resident, memory.peak) == (60 * MEGABYTE, 60 * MEGABYTE)
        assert memory.clients == CLIENT_SIZE and memory.keys == 2
        database = broker.broker.keyspace.databases[3]
        assert memory.tables == {3: (sys.getsizeof(database.data), sys.getsizeof(database.expires))}
        assert memory.overhead == memory.clients + memory.tables_total
        assert memory.overhead + memory.dataset == memory.used
        assert 99 < memory.dataset_percent < 100
        assert memory.peak_percent == 50
        assert memory.fragmentation == 1.2


async def test_info() -> None:
    async with running({"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"}) as broker:
        client = await broker.client()
        lines = (await client.text("INFO memory")).splitlines()[1:]
        fields = dict(line.split(":", 1) for line in lines)
        used, resident = int(fields["used_memory"]), int(fields["used_memory_rss"])
        assert CLIENT_SIZE <= used <= int(fields["used_memory_peak"])
        assert resident > 10 * MEGABYTE
        assert int(fields["allocator_allocated"]) > used and fields["used_memory_startup"] == "0"
        assert int(fields["mem_fragmentation_bytes"]) == resident - int(fields["allocator_allocated"])
        assert fields["maxmemory"] == str(1 << 30) and fields["maxmemory_human"] == "1.00G"
        assert int(fields["mem_clients_normal"]) >= CLIENT_SIZE
        assert int(fields["used_memory_dataset"]) + int(fields["used_memory_overhead"]) == used


async def test_a_large_value_shows() -> None:
    async with running() as broker:
        client = await broker.client()
        before = broker.broker.memory()
        await client.call("SETRANGE k 30000000 x")
        after = broker.broker.memory()
        assert 28 * MEGABYTE < after.used - before.used < 40 * MEGABYTE
        assert 28 * MEGABYTE < after.dataset - before.dataset < 40 * MEGABYTE
        await client.call("DEL k")
        assert broker.broker.memory().used - before.used < 10 * MEGABYTE
