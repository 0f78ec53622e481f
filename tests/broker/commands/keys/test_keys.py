"""Keys whatever they hold; and effects of all commands on strings, keys and deadlines, done again elsewhere."""

import random

import pytest

from tests.broker.effects import contents, journal, lines, replay
from tests.broker.inprocess import running

TYPES = ("SET s abc", "APPEND g abc", "APPEND g d", "RPUSH l a b", "HSET h f v", "SADD e m", "ZADD z 1 m",
         "XADD x 1-1 f v")  # fmt: skip


async def test_copies_are_independent() -> None:
    async with running() as broker:
        client = await broker.client()
        data = broker.broker.keyspace.databases[0].data
        for command in TYPES:
            await client.call(command)
        for name in "sglhezx":
            assert await client.call(f"COPY {name} {name}2") == b":1\r\n"
            original, copied = data[name.encode()], data[name.encode() + b"2"]
            assert original.__class__ is copied.__class__
            assert name == "s" or original is not copied
        for command in ("APPEND g2 x", "RPUSH l2 z", "HSET h2 g w", "SADD e2 q", "ZADD z2 9 q", "XADD x2 2-2 f v"):
            await client.call(command)
        for command, length in (
            ("STRLEN g", 4),
            ("LLEN l", 2),
            ("HLEN h", 1),
            ("SCARD e", 1),
            ("ZCARD z", 1),
            ("XLEN x", 1),
        ):
            assert await client.call(command) == b":%d\r\n" % length


async def test_deadlines_go_with_their_keys() -> None:
    async with running() as broker:
        client = await broker.client()
        far = 99_999_999_999_000
        await client.call(f"SET a v PXAT {far}")
        await client.call("SET old v EX 100")
        await client.call("RENAME a old")
        await client.call("COPY old copy")
        await client.call("COPY old moved")
        await client.call("MOVE moved 1")
        first, second = broker.broker.keyspace.databases[0], broker.broker.keyspace.databases[1]
        assert first.expires == {b"old": far, b"copy": far}
        assert second.expires == {b"moved": far}


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("DEL s no l", ["DEL s no l"]),
        ("DEL no", []),
        ("RENAME s t", ["RENAME s t"]),
        ("RENAME s s", []),
        ("RENAMENX s l", []),
        ("COPY s t", ["COPY s t"]),
        ("COPY s l", []),
        ("COPY s t DB 3", ["COPY s t DB 3"]),
        ("MOVE s 1", ["MOVE s 1"]),
        ("MOVE no 1", []),
        ("TOUCH s", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET s abc")
        await client.call("RPUSH l a")
        seen = journal(broker.broker)
        await client.call(command)
        assert lines(seen) == effects


def any_command(rng: random.Random) -> str:
    key, other, number = rng.choice("abcd"), rng.choice("abcd"), rng.randint(-3, 3)
    expiry = rng.choice(["EX 1000", "PX 1000000", "EXAT 9999999999", "PXAT 9999999999000", "PXAT 5"])
    return rng.choice(
        [
            f"SET {key} {number}", f"SET {key} {number} {expiry}", f"SET {key} v NX GET", f"SET {key} v XX KEEPTTL GET",
            f"SET {key} w IFNE {number} {expiry}", f"SETNX {key} v", f"SETEX {key} 1000 v", f"PSETEX {key} 1000000 v",
            f"GETSET {key} {number}", f"GETDEL {key}", f"GETEX {key} {expiry}", f"GETEX {key} PERSIST",
            f"MSET {key} 1 {other} 2", f"MSETNX {key} 1 {other} 2", f"MSETEX 2 {key} 1 {other} 2 {expiry}",
            f"INCR {key}", f"DECRBY {key} {number}", f"INCRBYFLOAT {key} 0.{abs(number)}", f"APPEND {key} 1",
            f"INCREX {key} BYINT {number} UBOUND 3 {expiry} ENX", f"INCREX {key} BYFLOAT {number} PERSIST",
            f"SETRANGE {key} 2 9", f"DELEX {key} IFEQ 2", f"DELIFEQ {key} 1", f"DEL {key} {other}", f"UNLINK {key}",
            f"RENAME {key} {other}", f"RENAMENX {key} {other}", f"COPY {key} {other} REPLACE",
            f"COPY {key} {other} DB {abs(number)}", f"MOVE {key} {abs(number)}", f"SWAPDB {abs(number)} 0",
            f"SELECT {abs(number)}", f"EXPIRE {key} {1000 + number} GT", f"EXPIRE {key} {number} NX",
            f"PEXPIREAT {key} 9999999999000", f"PERSIST {key}", f"RPUSH {key} a", f"SADD {key} m", "MULTI", "EXEC",
        ]
        + (["FLUSHDB"] if rng.random() < 0.2 else [])
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
async def test_replayed_effects_give_the_same_keys(seed: int) -> None:
    rng = random.Random(seed)
    async with running() as first, running() as second:
        client = await first.client()
        effects = journal(first.broker)
        for _ in range(300):
            await client.call(any_command(rng))
        await client.call("EXEC")
        await replay(effects, second)
        assert contents(first.broker) == contents(second.broker)
