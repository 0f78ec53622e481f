"""Looking through the keys: what SCAN promises, and keys that are due but still there."""

import re

from broker.keyspace.database import Database
from tests.broker.inprocess import Client, running


async def scan(client: Client, cursor: int, rest: str = "") -> tuple[int, list[bytes]]:
    reply = await client.call(f"SCAN {cursor} {rest}")
    texts = re.findall(rb"\$\d+\r\n(.*?)\r\n", reply)
    return int(texts[0]), texts[1:]


async def test_every_key_that_stays_is_returned() -> None:
    async with running() as broker:
        client = await broker.client()
        for n in range(500):
            await client.call(f"SET stays{n} v")
            await client.call(f"SET goes{n} v")
        found: set[bytes] = set()
        cursor, round_ = 0, 0
        while True:
            cursor, keys = await scan(client, cursor, "COUNT 7 MATCH stays*")
            found.update(keys)
            if not cursor:
                break
            await client.call(f"DEL goes{round_ * 3} goes{round_ * 3 + 1}")
            await client.call(f"MSET new{round_} v more{round_} v")
            round_ += 1
        assert found == {b"stays%d" % n for n in range(500)}


async def test_type_and_count() -> None:
    async with running() as broker:
        client = await broker.client()
        for command in ("SET s v", "APPEND g v", "RPUSH l a", "SADD e m"):
            await client.call(command)
        assert sorted((await scan(client, 0, "TYPE string"))[1]) == [b"g", b"s"]
        assert (await scan(client, 0, "TYPE LIST"))[1] == [b"l"]
        assert (await scan(client, 0, "TYPE bogus"))[1] == []
        assert len((await scan(client, 0, f"COUNT {2**63 - 1}"))[1]) == 4
        assert await scan(client, 2**64 - 1, "COUNT 100")


def overdue(database: Database, *keys: bytes) -> None:
    """Make keys due that only a lookup removes."""
    database.keyspace.set_active_expiry(False)
    for key in keys:
        database.expire_at(key, 5)


async def test_keys_that_are_due_are_not_shown() -> None:
    async with running() as broker:
        client = await broker.client()
        database = broker.broker.keyspace.databases[0]
        for command in ("KEYS *", "KEYS [ab]", "SCAN 0"):
            await client.call("MSET a 1 b 2")
            overdue(database, b"a")
            assert b"a" not in (await client.call(command)).split(), command
        await client.call("MSET a 1 b 2")
        overdue(database, b"a", b"b")
        assert await client.call("RANDOMKEY") == b"$-1\r\n"
        for command in ("DEL a", "EXISTS a", "INCR a", "RENAMENX b a", "APPEND a x"):
            await client.call("MSET a 1 b 2")
            overdue(database, b"a")
            assert await client.call(command) == (b":0\r\n" if command[0] in "DE" else b":1\r\n"), command


async def test_randomkey_and_patterns() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("MSET a 1 b 2")
        assert {await client.call("RANDOMKEY") for _ in range(60)} == {b"$1\r\na\r\n", b"$1\r\nb\r\n"}
        assert await client.call("KEYS b*") == b"*1\r\n$1\r\nb\r\n"
        assert await client.call("SCAN x") == b"-ERR invalid cursor\r\n"
        assert await client.call("SCAN 0 NOVALUES") == b"-ERR NOVALUES option can only be used in HSCAN\r\n"
