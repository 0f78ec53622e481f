"""Deadlines of fields: what the commands leave for the journal. Replies are compared in tests/oracle."""

import pytest

from tests.broker.effects import effects_of
from tests.broker.inprocess import running

FAR = 4_102_444_800_000


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        (f"HPEXPIREAT h {FAR} FIELDS 2 a zz", [f"HPEXPIREAT h {FAR} FIELDS 1 a"]),
        (f"HEXPIREAT h {FAR // 1000} NX FIELDS 2 a b", [f"HPEXPIREAT h {FAR} FIELDS 1 a"]),
        (f"HPEXPIREAT h {FAR} FIELDS 1 zz", []),
        (f"HPEXPIREAT h {FAR} XX FIELDS 1 a", []),
        ("HEXPIRE h 0 FIELDS 2 a zz", ["HDEL h a"]),
        ("HEXPIRE h 0 FIELDS 2 a b", ["HDEL h a b"]),
        ("HPERSIST h FIELDS 2 a b", ["HPERSIST h FIELDS 2 a b"]),
        ("HPERSIST h FIELDS 1 a", []),
        ("HTTL h FIELDS 1 a", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["HSET h a 1 b 2", f"HPEXPIREAT h {FAR + 1} FIELDS 1 b"], command) == effects


async def test_relative_times_become_absolute() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HSET h a 1")
        for command, after in (("HEXPIRE h 100 FIELDS 1 a", 100_000), ("HPEXPIRE h 100 FIELDS 1 a", 100)):
            before = broker.broker.clock.now
            await client.call(command)
            deadline = broker.broker.keyspace.databases[0].data[b"h"].deadlines[b"a"]
            assert before + after <= deadline <= broker.broker.clock.now + after
