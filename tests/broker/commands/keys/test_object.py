"""OBJECT."""

import pytest

from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("command", "encoding"),
    [
        ("SET k 12", "int"),
        ("SET k 012", "embstr"),
        ("SET k " + "x" * 40, "embstr"),
        ("SET k " + "x" * 41, "raw"),
        ("SETRANGE k 0 12", "raw"),
        ("RPUSH k a", "listpack"),
        ("RPUSH k " + "a" * 9000, "quicklist"),
        ("HSET k f v", "listpack"),
        ("HSET k f " + "v" * 65, "hashtable"),
        ("SADD k 1", "intset"),
        ("SADD k a", "listpack"),
        ("ZADD k 1 a", "listpack"),
        ("XADD k 1-1 f v", "stream"),
    ],
)
async def test_encoding(command: str, encoding: str) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call(command)
        assert await client.text("OBJECT ENCODING k") == encoding


async def test_access_times_by_policy() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert await client.call("OBJECT REFCOUNT k") == b":1\r\n"
        assert await client.call("OBJECT IDLETIME k") == b":0\r\n"
        broker.broker.access.set_idle(broker.broker.keyspace.databases[0], b"k", 100)
        assert await client.call("OBJECT IDLETIME k") == b":100\r\n"
        assert (await client.call("OBJECT FREQ k")).startswith(b"-ERR An LFU maxmemory policy is not selected")
        await client.call("CONFIG SET maxmemory-policy allkeys-lfu")
        assert (await client.call("OBJECT IDLETIME k")).startswith(b"-ERR An LFU maxmemory policy is selected")
        assert await client.call("OBJECT FREQ k") == b":0\r\n"  # it was there before
        await client.call("SET new v")
        assert await client.call("OBJECT FREQ new") == b":5\r\n"
        for name in ("ENCODING", "REFCOUNT", "IDLETIME", "FREQ"):
            assert await client.call(f"OBJECT {name} no") == b"$-1\r\n"


async def test_help() -> None:
    async with running() as broker:
        client = await broker.client()
        assert b"+ENCODING <key>\r\n" in await client.call("OBJECT HELP")
