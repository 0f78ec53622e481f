"""A client that may do next to nothing, at every limit: what it may not do must not cost more than what others may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import broker
from tests.hostile.clients import CLOSED, Client, assert_serves, connect, encode, until

KIB = 1 << 10
MIB = 1 << 20


@asynccontextmanager
async def bound(server: broker.Server, admin: Client, *rules: str) -> AsyncIterator[Client]:
    """A client of a user with these rules alone."""
    assert await admin.call("ACL", "SETUSER", "bound", "reset", "on", "nopass", *rules) == b"+OK\r\n"
    async with connect(server) as client:
        assert await client.call("AUTH", "bound", "x") == b"+OK\r\n"
        yield client


@pytest.mark.parametrize("rules", [(), ("+echo",), ("+@all", "-echo", "~own*"), ("+@all", "~*", "&*")], ids=str)
async def test_the_query_buffer_limit(server: broker.Server, rules: tuple[str, ...]) -> None:
    """Requests that are denied are bounded like all others, whether or not they are complete."""
    async with connect(server) as admin:
        await admin.call("CONFIG", "SET", "client-query-buffer-limit", str(MIB))
        for start, piece in (
            (b"*2\r\n$4\r\nECHO\r\n$400000000\r\n", b"x" * (128 * KIB)),
            (b"*1000000\r\n$4\r\nMGET\r\n", b"$6\r\nvictim\r\n" * 10_000),
        ):
            async with bound(server, admin, *rules) as client:
                await client.send(start)
                for _ in range(40):
                    await client.send(piece)
                assert await client.rest() == []
        assert server.broker.stats.query_limit_closes == 2
    await assert_serves(server)


@pytest.mark.parametrize("rules", [("+multi", "+exec"), ("+multi", "+echo"), ("+@all", "~own*")], ids=str)
async def test_the_queue_of_a_transaction(server: broker.Server, rules: tuple[str, ...]) -> None:
    """What is denied is not queued, so a client can send it forever; what is queued counts."""
    async with connect(server) as admin:
        await admin.call("CONFIG", "SET", "client-query-buffer-limit", str(MIB))
        async with bound(server, admin, *rules) as client:
            assert await client.call("MULTI") == b"+OK\r\n"
            for _ in range(30):
                reply = await client.call("SET", "victim", "x" * 100_000)
                assert reply.startswith(b"-NOPERM")
            (session,) = [one for one in server.broker.sessions.values() if one.user_name == b"bound"]
            assert session.queued == [] and session.queued_size == 0
            if "+exec" in rules:
                assert (await client.call("EXEC")).startswith(b"-EXECABORT")
        async with bound(server, admin, "+multi", "+echo") as client:
            assert await client.call("MULTI") == b"+OK\r\n"
            replies = [await client.call("ECHO", "x" * 100_000) for _ in range(11)]
            assert replies[-1] == CLOSED and replies[0] == b"+QUEUED\r\n"
            await until(lambda: len(server.broker.sessions) == 1)


async def test_errors_that_nobody_reads(server: broker.Server) -> None:
    """Denials are replies: they are held within the output limit, and the client is closed beyond it."""
    async with connect(server) as admin:
        await admin.call("CONFIG", "SET", "client-output-buffer-limit", "normal 200000 0 0")
        async with bound(server, admin) as client:
            request = encode(["GET", "victim"]) * 2000
            sent = 0
            while server.broker.stats.output_limit_closes == 0 and sent < 500:
                await client.send(request)
                sent += 1
            await until(lambda: server.broker.stats.output_limit_closes == 1)
            assert len(server.broker.users.log.entries) == 1  # all of them are one entry, counted


async def test_subscriptions(server: broker.Server) -> None:
    """A channel that may not be subscribed to leaves nothing; those that may be count, and go with the permission."""
    async with connect(server) as admin:
        async with bound(server, admin, "+subscribe", "+psubscribe", "+ping", "&own:*") as client:
            for number in range(200):
                assert (await client.call("SUBSCRIBE", f"own:{number}", f"other:{number}")).startswith(b"-NOPERM")
                assert (await client.call("PSUBSCRIBE", "*")).startswith(b"-NOPERM")
            assert await admin.call("PUBSUB", "CHANNELS") == b"*0\r\n"
            assert await admin.call("PUBSUB", "NUMPAT") == b":0\r\n"
            await client.send(encode(["SUBSCRIBE", *(f"own:{number}" for number in range(1000))]))
            for _ in range(1000):
                assert (await client.receive()).startswith(b"*3")
            await admin.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 100000 0 0")
            while server.broker.stats.output_limit_closes == 0:
                await admin.send(encode(["PUBLISH", "own:7", "x" * 50_000]) * 20)
                for _ in range(20):
                    await admin.receive()
            await until(lambda: len(server.broker.sessions) == 1)
            assert await admin.call("PUBSUB", "CHANNELS") == b"*0\r\n"
        async with bound(server, admin, "+subscribe", "&own:*") as client:
            await client.call("SUBSCRIBE", "own:1")
            await admin.call("ACL", "SETUSER", "bound", "resetchannels", "&elsewhere")
            assert await client.receive() == CLOSED


async def test_denials_in_a_pipeline_do_not_stop_others(server: broker.Server) -> None:
    async with connect(server) as admin, bound(server, admin, "+ping") as client:
        requests = encode(["GET", "victim"]) + encode(["PING"]) + encode(["NOSUCH"]) + encode(["GET"])
        await client.send(requests * 5000)
        for _ in range(5000):
            replies = [await client.receive() for _ in range(4)]
            assert [reply[:5] for reply in replies] == [b"-NOPE", b"+PONG", b"-ERR ", b"-ERR "]
