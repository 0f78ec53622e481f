"""Deadlines, on a clock that jumps."""

import pytest
import trio

from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import running

NOW = 1_700_000_000_000


async def test_a_key_expires_in_time(autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("SET k v PX 1500")
        assert await client.call("TTL k") == b":2\r\n"
        await trio.sleep(1.4)
        assert await client.call("PTTL k") == b":100\r\n"
        seen = journal(broker.broker)
        await trio.sleep(0.2)
        assert await client.call("GET k") == b"$-1\r\n"
        assert lines(seen) == ["DEL k"]


@pytest.mark.parametrize(
    ("command", "reply", "effects"),
    [
        ("EXPIRE k 10", b":1", [f"PEXPIREAT k {NOW + 10_000}"]),
        ("PEXPIRE k 10 NX", b":1", [f"PEXPIREAT k {NOW + 10}"]),
        ("EXPIREAT k 1800000000 LT", b":1", ["PEXPIREAT k 1800000000000"]),
        ("PEXPIREAT k 1800000000000", b":1", ["PEXPIREAT k 1800000000000"]),
        ("EXPIRE k 0", b":1", ["DEL k"]),
        ("EXPIRE k -1", b":1", ["DEL k"]),
        ("EXPIRE no 10", b":0", []),
        ("EXPIRE k 10 XX", b":0", []),
        ("EXPIRE k 10 GT", b":0", []),
        ("EXPIRE t 10 NX", b":0", []),
        ("EXPIRE t 10 GT", b":0", []),
        ("EXPIRE t 10 LT XX", b":1", [f"PEXPIREAT t {NOW + 10_000}"]),
        ("EXPIRE k 10 LT XX", b":0", []),
        ("PERSIST t", b":1", ["PERSIST t"]),
        ("PERSIST k", b":0", []),
        ("TTL t", b":100", []),
        ("PEXPIRETIME t", b":%d" % (NOW + 100_000), []),
        ("EXPIRETIME k", b":-1", []),
        ("PTTL no", b":-2", []),
        ("EXPIRE k 9223372036854775807", b"-ERR invalid expire time in 'expire' command", []),
        ("PEXPIRE k 9223372036854775807", b"-ERR invalid expire time in 'pexpire' command", []),
        ("EXPIRE k x NX GT", b"-ERR NX and XX, GT or LT options at the same time are not compatible", []),
        ("EXPIRE k x GT LT", b"-ERR GT and LT options at the same time are not compatible", []),
        ("EXPIRE k x NX bogus", b"-ERR Unsupported option bogus", []),
        ("EXPIRE k x", b"-ERR value is not an integer or out of range", []),
    ],
)
async def test_effects(command: str, reply: bytes, effects: list[str], autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("SET k v")
        await client.call("SET t v EX 100")
        seen = journal(broker.broker)
        assert await client.call(command) == reply + b"\r\n"
        assert lines(seen) == effects
