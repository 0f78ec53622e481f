"""Operations on sorted sets: sums of infinities, inputs of both types, and what they leave for the journal."""

import pytest

from tests.broker.effects import effects_of
from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("ZUNIONSTORE d 2 a b", ["ZUNIONSTORE d 2 a b"]),
        ("ZINTERSTORE d 2 a none", []),
        ("ZINTERSTORE a 2 a none", ["ZINTERSTORE a 2 a none"]),
        ("ZDIFFSTORE d 2 a a", []),
        ("ZUNION 2 a b", []),
        ("ZINTERCARD 2 a b", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["ZADD a 1 x 2 y", "SADD b x z"], command) == effects


async def test_infinities_cancel_out() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD a inf x 0 y")
        await client.call("ZADD b -inf x 1 y")
        assert await client.call("ZUNION 2 a b WITHSCORES") == b"*4\r\n$1\r\nx\r\n$1\r\n0\r\n$1\r\ny\r\n$1\r\n1\r\n"
        reply = await client.call("ZUNION 1 a WEIGHTS inf WITHSCORES")
        assert reply == b"*4\r\n$1\r\ny\r\n$1\r\n0\r\n$1\r\nx\r\n$3\r\ninf\r\n"


async def test_the_result_shares_nothing_with_its_source() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD a 1 x 2 y")
        for operation in ("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"):
            await client.call(operation, "d", "1", "a")
            await client.call("ZREM d x")
            assert await client.call("ZCARD a") == b":2\r\n"
