"""MEMORY."""

import pytest

from broker.commands.server import memory
from broker.process import memory as process_memory
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
        await client.call("SET k v EX 100")
        reply = await client.call("MEMORY STATS")
        assert reply.startswith(b"%37\r\n")
        assert b"$4\r\ndb.0\r\n%2\r\n" in reply
        assert b"$10\r\nkeys.count\r\n:1\r\n" in reply


@pytest.mark.parametrize(
    ("used", "resident", "peak", "findings"),
    [
        (100, 110, 110, ["Nothing to report."]),
        (100, 110, 200, ["at the peak"]),
        (100, 200, 200, ["at the peak", "scattered"]),
        (1000, 9000, 1000, ["scattered", "of the machine's", "that maxmemory allows"]),
    ],
)
async def test_doctor(
    used: int, resident: int, peak: int, findings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running({"maxmemory": "1gb"}) as broker:
        client = await broker.client()
        broker.broker.eviction.startup = process_memory.Memory(0, 0)
        monkeypatch.setattr(process_memory, "measure", lambda: process_memory.Memory(used << 20, resident << 20))
        monkeypatch.setattr(process_memory, "peak_resident", lambda: peak << 20)
        monkeypatch.setattr(process_memory, "of_machine", lambda: 10 << 30)
        lines = (await client.text("MEMORY DOCTOR")).splitlines()
        assert len(lines) == len(findings)
        assert all(finding in line for finding, line in zip(findings, lines, strict=True))


async def test_purge_and_malloc_stats() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("MEMORY PURGE") == b"+OK\r\n"
        assert await client.text("MEMORY MALLOC-STATS") == memory.NO_STATISTICS.decode()
