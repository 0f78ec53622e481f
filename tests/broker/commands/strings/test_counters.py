"""Counters."""

import pytest

from tests.broker.effects import journal, lines
from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("before", "command", "reply", "effects"),
    [
        (None, "INCR k", b":1", ["INCR k"]),
        ("5", "DECR k", b":4", ["DECR k"]),
        ("9999", "INCRBY k 2", b":10001", ["INCRBY k 2"]),
        ("5", "DECRBY k -2", b":7", ["DECRBY k -2"]),
        ("9223372036854775807", "INCR k", b"-ERR increment or decrement would overflow", []),
        ("-9223372036854775808", "DECR k", b"-ERR increment or decrement would overflow", []),
        ("1", "DECRBY k -9223372036854775808", b"-ERR decrement would overflow", []),
        ("07", "INCR k", b"-ERR value is not an integer or out of range", []),
        ("x", "INCRBYFLOAT k 1", b"-ERR value is not a valid float", []),
        ("0.1", "INCRBYFLOAT k 0.2", b"$3\r\n0.3", ["SET k 0.3 KEEPTTL"]),
        (None, "INCRBYFLOAT k 5", b"$1\r\n5", ["SET k 5 KEEPTTL"]),
        ("1", "INCRBYFLOAT k inf", b"-ERR increment would produce NaN or Infinity", []),
    ],
)
async def test_counting(before: str | None, command: str, reply: bytes, effects: list[str]) -> None:
    async with running() as broker:
        client = await broker.client()
        if before is not None:
            await client.call(f"SET k {before}")
        seen = journal(broker.broker)
        assert await client.call(command) == reply + b"\r\n"
        assert lines(seen) == effects


async def test_a_counter_keeps_its_deadline() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET k 1 PXAT 99999999999000")
        await client.call("INCR k")
        await client.call("INCRBYFLOAT k 0.5")
        assert await client.call("PEXPIRETIME k") == b":99999999999000\r\n"
