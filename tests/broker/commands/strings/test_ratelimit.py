"""INCREX."""

import pytest

from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import running

NOW = 1_700_000_000_000
MOST = 2**63 - 1


def pair(value: int, applied: int) -> bytes:
    return b"*2\r\n:%d\r\n:%d\r\n" % (value, applied)


@pytest.mark.parametrize(
    ("command", "reply", "effects"),
    [
        ("INCREX k", pair(8, 1), ["SET k 8 KEEPTTL"]),
        ("INCREX k UBOUND 7", pair(7, 0), []),
        ("INCREX k BYINT 9 UBOUND 10 SATURATE", pair(10, 3), ["SET k 10 KEEPTTL"]),
        ("INCREX k BYINT -9 LBOUND 0 SATURATE", pair(0, -7), ["SET k 0 KEEPTTL"]),
        ("INCREX no UBOUND 0", pair(0, 0), []),
        (f"INCREX k BYINT {MOST}", pair(7, 0), []),
        (f"INCREX k BYINT {MOST} SATURATE", pair(MOST, MOST - 7), [f"SET k {MOST} KEEPTTL"]),
        ("INCREX k BYFLOAT 0.5", b"*2\r\n$3\r\n7.5\r\n$3\r\n0.5\r\n", ["SET k 7.5 KEEPTTL"]),
        ("INCREX k EX 10", pair(8, 1), [f"SET k 8 PXAT {NOW + 10_000}"]),
        ("INCREX t EX 10 ENX", pair(8, 1), ["SET t 8 KEEPTTL"]),
        ("INCREX t PERSIST", pair(8, 1), ["SET t 8"]),
        ("INCREX k PXAT 5", pair(8, 1), ["DEL k"]),
        ("INCREX no PXAT 5", pair(1, 1), []),
        ("INCREX k ENX", b"-ERR ENX flag requires an expiration\r\n", []),
        ("INCREX k ENX PERSIST", b"-ERR syntax error\r\n", []),
        ("INCREX k LBOUND 2 UBOUND 1", b"-ERR LBOUND can't be greater than UBOUND\r\n", []),
        ("INCREX k BYFLOAT 1 UBOUND x", b"-ERR UBOUND is not a valid float\r\n", []),
        ("INCREX k BYFLOAT -inf", b"-ERR BYFLOAT increment cannot be Infinity\r\n", []),
        (f"INCREX m BYINT -1 LBOUND {MOST} SATURATE", b"-ERR applied increment would overflow\r\n", []),
    ],
)
async def test_increx(command: str, reply: bytes, effects: list[str], autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("MSET k 7 m -5")
        await client.call("SET t 7 EX 100")
        seen = journal(broker.broker)
        assert await client.call(command) == reply
        assert lines(seen) == effects


async def test_floats_in_resp3() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HELLO 3")
        assert await client.call("INCREX k BYFLOAT 0.1") == b"*2\r\n,0.1\r\n,0.1\r\n"
