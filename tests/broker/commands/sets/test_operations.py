"""Set operations: results against Python's sets, and what they leave for the journal."""

from itertools import permutations

import pytest

from broker.values.set import Set
from tests.broker.effects import effects_of
from tests.broker.inprocess import running
from tests.oracle.wire import parse

_SETS = {"a": "abcdefgh", "b": "bdfhx", "c": "dhxyz", "none": ""}


@pytest.mark.parametrize("keys", [keys for n in (1, 2, 3) for keys in permutations(_SETS, n)], ids=" ".join)
async def test_results(keys: tuple[str, ...]) -> None:
    async with running() as broker:
        client = await broker.client()
        for key, members in _SETS.items():
            if members:
                await client.call("SADD", key, *members)
        inputs = [set(_SETS[key]) for key in keys]
        for operation, expected in (
            ("SINTER", set.intersection(*inputs)),
            ("SUNION", set.union(*inputs)),
            ("SDIFF", set.difference(*inputs)),
        ):
            reply = parse(await client.call(operation, *keys))
            assert {item.text.decode() for item in reply.items} == expected
            assert await client.call(operation + "CARD", len(keys), *keys) == b":%d\r\n" % len(expected)
            await client.call(operation + "STORE", "d", *keys)
            stored = broker.broker.keyspace.databases[0].data.get(b"d", Set())
            assert {member.decode() for member in stored} == expected
            assert stored.__class__ is Set


async def test_the_result_shares_nothing_with_its_source() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SADD a x y")
        for operation in ("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"):
            await client.call(operation, "d", "a")
            await client.call("SREM d x")
            assert await client.call("SCARD a") == b":2\r\n"


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("SINTERSTORE d a b", ["SINTERSTORE d a b"]),
        ("SUNIONSTORE a a b", ["SUNIONSTORE a a b"]),
        ("SDIFFSTORE no a a", []),
        ("SDIFFSTORE d a a", ["SDIFFSTORE d a a"]),
        ("SUNIONSTORE d none", ["SUNIONSTORE d none"]),
        ("SINTER a b", []),
        ("SINTERCARD 2 a b", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["SADD a 1 2 3", "SADD b 2 3 4", "SET d x"], command) == effects
