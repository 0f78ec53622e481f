"""Popping off sorted sets: order of service, and what it leaves for the journal."""

import pytest
import trio

from broker.broker import Broker
from tests.broker.effects import effects_of, journal, lines
from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("ZPOPMIN z", ["ZPOPMIN z"]),
        ("ZPOPMAX z 2", ["ZPOPMAX z 2"]),
        ("ZPOPMIN z 0", []),
        ("ZPOPMIN none", []),
        ("BZPOPMIN none z 0", ["ZPOPMIN z"]),
        ("BZPOPMAX z none 0", ["ZPOPMAX z"]),
        ("ZMPOP 2 none z MIN COUNT 9", ["ZPOPMIN z 3"]),
        ("ZMPOP 1 z MAX", ["ZPOPMAX z 1"]),
        ("ZMPOP 1 none MAX", []),
        ("BZMPOP 0 1 z MAX COUNT 2", ["ZPOPMAX z 2"]),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["ZADD z 1 a 2 b 3 c"], command) == effects


@pytest.mark.parametrize(("command", "changes"), [("ZPOPMIN z", 1), ("ZPOPMAX z 9", 3), ("ZMPOP 1 z MIN COUNT 2", 2)])
async def test_changes(command: str, changes: int) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD z 1 a 2 b 3 c")
        before = broker.broker.keyspace.changes
        await client.call(command)
        assert broker.broker.keyspace.changes - before == changes


async def _until_waiting(broker: Broker, count: int) -> None:
    with trio.fail_after(60):
        while len(broker.blocking.sessions) != count:
            await trio.lowlevel.checkpoint()


async def test_first_come_first_served_and_effects_in_order() -> None:
    async with running() as broker:
        first, second, writer = [await broker.client() for _ in range(3)]
        seen = journal(broker.broker)
        await first.send("BZPOPMAX y z 0")
        await _until_waiting(broker.broker, 1)
        await second.send("BZMPOP 0 1 z MIN COUNT 5")
        await _until_waiting(broker.broker, 2)
        await writer.call("ZADD z 1 a 2 b 3 c")
        assert await first.receive() == b"*3\r\n$1\r\nz\r\n$1\r\nc\r\n$1\r\n3\r\n"
        assert await second.receive() == (
            b"*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        )
        assert lines(seen) == ["ZADD z 1 a 2 b 3 c", "ZPOPMAX z", "ZPOPMIN z 2"]
        assert not broker.broker.keyspace.databases[0].data


async def test_a_client_that_has_gone_takes_nothing() -> None:
    async with running() as broker:
        gone, writer = await broker.client(), await broker.client()
        await gone.send("BZPOPMIN z 0")
        await _until_waiting(broker.broker, 1)
        await gone.stream.aclose()
        await _until_waiting(broker.broker, 0)
        await writer.call("ZADD z 1 a")
        assert await writer.call("ZCARD z") == b":1\r\n"
