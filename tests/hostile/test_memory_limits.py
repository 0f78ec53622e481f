"""Limits that can't be kept: far below what is in use, of one byte, below a single value, and changed all the time."""

import pytest
import trio

import broker
from tests.hostile.clients import CLOSED, PATIENCE, Client, assert_serves, connect, encode

OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
MIB = 1 << 20

EVICTING = (
    "allkeys-lru", "allkeys-lfu", "allkeys-lrm", "allkeys-random",
    "volatile-lru", "volatile-lfu", "volatile-lrm", "volatile-random", "volatile-ttl",
)  # fmt: skip


@pytest.mark.parametrize("policy", ["noeviction", *EVICTING])
async def test_one_byte(server: broker.Server, policy: str) -> None:
    async with connect(server) as client:
        for number in range(100):
            await client.call("SET", f"key:{number}", "v", "EX", 1000)
        await client.call("CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", policy)
        assert await client.call("SET", "k", "v") == OOM
        assert await client.call("DBSIZE") == (b":100\r\n" if policy == "noeviction" else b":0\r\n")
        assert await client.call("PING") == b"+PONG\r\n"
        await client.call("CONFIG", "SET", "maxmemory", 0)
        assert await client.call("SET", "k", "v") == b"+OK\r\n"


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
async def test_a_value_larger_than_the_limit(server: broker.Server, policy: str) -> None:
    """It comes in, and everything goes; what follows is served."""
    async with connect(server) as client:
        used = int((await client.call("INFO", "memory")).split(b"used_memory:")[1].split(b"\r\n")[0])
        limit = used + 4 * MIB
        await client.call("CONFIG", "SET", "maxmemory", limit, "maxmemory-policy", policy)
        for _ in range(3):
            await client.call("SET", "large", "v" * 16 * MIB)
            await trio.sleep(0)
            # The request itself takes memory until it has been answered.
            while await client.call("EXISTS", "large") != b":0\r\n":
                await trio.sleep(0.002)
        with trio.fail_after(PATIENCE):
            while await client.call("SET", "small", "v") == OOM:
                pass


async def test_a_limit_that_changes_all_the_time(server: broker.Server) -> None:
    async with connect(server) as client:
        requests: list[list[str | int]] = []
        for turn in range(200):
            requests.append(["CONFIG", "SET", "maxmemory", (0, 1, 100 * MIB)[turn % 3]])
            requests.append(["CONFIG", "SET", "maxmemory-policy", ("noeviction", *EVICTING)[turn % 10]])
            requests += [["SET", f"key:{turn}:{number}", "v" * 100, "EX", 100] for number in range(10)]
            requests += [["OBJECT", word, f"key:{turn}:1"] for word in ("FREQ", "IDLETIME")]
        await client.send(b"".join(encode(request) for request in requests))
        replies = [await client.receive() for _ in requests]
        assert CLOSED not in replies
        assert OOM in replies and b"+OK\r\n" in replies
        await client.call("CONFIG", "SET", "maxmemory", 0)


async def test_clients_that_may_not_be_closed(server: broker.Server) -> None:
    """All of them are protected: the limit can't be kept, and nothing happens."""
    async with connect(server) as client:
        await client.call("CLIENT", "NO-EVICT", "ON")
        await client.call("CONFIG", "SET", "maxmemory-clients", 1)
        assert await client.call("SET", "k", "v" * MIB) == b"+OK\r\n"
        assert len(await client.call("GET", "k")) > MIB
        await client.call("CONFIG", "SET", "maxmemory-clients", 0)


async def test_requests_of_clients_over_the_limit(server: broker.Server) -> None:
    """A client that sends more than all clients may take is closed, again and again; others are served."""
    async with connect(server) as keeper:
        await keeper.call("CLIENT", "NO-EVICT", "ON")
        await keeper.call("CONFIG", "SET", "maxmemory-clients", "200kb")
        for _ in range(3):
            async with connect(server) as client:
                await client.send(encode(["SET", "k", "v" * 10 * MIB])[:-MIB])
                with trio.fail_after(PATIENCE):
                    while (await keeper.call("CLIENT", "LIST")).count(b" db=") > 1:
                        pass
        await keeper.call("CONFIG", "SET", "maxmemory-clients", 0)
        await assert_serves(server)


async def test_what_clients_name_is_not_kept(server: broker.Server) -> None:
    """Errors made up by a script, names, options and hash fields with deadlines, each once: nothing of it stays."""
    async with connect(server) as client:
        used = await _used(client)
        for number in range(20):
            await client.call("EVAL", "return {err=ARGV[1]}", 0, f"{number}" + "x" * MIB)
            await client.call("CLIENT", "SETNAME", f"{number}" + "x" * MIB)
            await client.call("XADD", "s", "MINID", "~", "0" * MIB + f"{number}", "*", "f", "v")
            await client.call("XREADGROUP", "GROUP", "x" * MIB, f"{number}", "STREAMS", "s", ">")
        for number in range(1000):
            await client.call("HSET", f"h{number}", "f", "v")
            await client.call("HEXPIRE", f"h{number}", 1_000_000, "FIELDS", 1, "f")
            await client.call("DEL", f"h{number}")
        await client.call("SCRIPT", "FLUSH")
        await client.call("CLIENT", "SETNAME", "")
        assert len(await client.call("INFO", "errorstats")) < 4096
        assert not server.broker.keyspace.databases[0].data.keys() - {b"s"}
        assert len(server.broker.keyspace.databases[0].field_deadlines) < 200
        assert await _used(client) - used < 12 * MIB  # the state of Lua and what it has at hand


async def _used(client: Client) -> int:
    return int((await client.call("INFO", "memory")).split(b"used_memory:")[1].split(b"\r\n")[0])
