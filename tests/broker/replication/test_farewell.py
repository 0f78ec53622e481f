"""A shutdown waits for the replicas."""

import trio

from tests.broker.inprocess import Broker, Client, running
from tests.broker.replication.followers import Follower, follower

QUIET = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "100000", "repl-timeout": "100000"}
SELECT = [b"SELECT", b"0"]
GETACK = [b"REPLCONF", b"GETACK", b"*"]


async def behind(broker: Broker) -> tuple[Client, Follower]:
    """A client that has written, and a replica that has not reported."""
    client = await broker.client()
    replica = await follower(broker)
    await replica.synchronize()
    await replica.acknowledge(0)
    await client.call("SET a 1")
    await replica.expect(SELECT, [b"SET", b"a", b"1"])
    return client, replica


async def test_it_ends_when_the_replicas_have_everything() -> None:
    async with running(QUIET) as broker:
        client, replica = await behind(broker)
        offset = broker.broker.history.offset
        await client.send("SHUTDOWN NOSAVE")
        await replica.expect(GETACK)
        assert not broker.server.stopping.is_set()
        await replica.acknowledge(offset)
        assert await client.receive() == b""
        assert broker.server.stopping.is_set()


async def test_writes_wait_meanwhile() -> None:
    async with running(QUIET) as broker:
        client, replica = await behind(broker)
        other = await broker.client()
        await client.send("SHUTDOWN NOSAVE")
        await replica.expect(GETACK)
        await other.send("SET b 1")
        assert (await (await broker.client()).call("GET b")) == b"$-1\r\n"
        assert await (await broker.client()).call("SHUTDOWN ABORT") == b"+OK\r\n"
        assert await client.receive() == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        assert await other.receive() == b"+OK\r\n"
        assert not broker.server.stopping.is_set()


async def test_it_waits_no_longer_than_allowed(autojump_clock: trio.testing.MockClock) -> None:
    async with running({**QUIET, "shutdown-timeout": "7"}) as broker:
        client, _ = await behind(broker)
        asked = trio.current_time()
        assert await client.call("SHUTDOWN NOSAVE") == b""
        assert 7 <= trio.current_time() - asked < 8


async def test_now_means_now() -> None:
    async with running(QUIET) as broker:
        client, _ = await behind(broker)
        assert await client.call("SHUTDOWN NOSAVE NOW") == b""
        assert broker.server.stopping.is_set()


async def test_now_ends_a_wait() -> None:
    async with running(QUIET) as broker:
        client, replica = await behind(broker)
        await client.send("SHUTDOWN NOSAVE")
        await replica.expect(GETACK)
        assert await (await broker.client()).call("SHUTDOWN NOSAVE NOW") == b""
        assert await client.receive() == b""


async def test_without_patience_it_does_not_wait() -> None:
    async with running({**QUIET, "shutdown-timeout": "0"}) as broker:
        client, _ = await behind(broker)
        assert await client.call("SHUTDOWN NOSAVE") == b""


async def test_there_may_be_nothing_to_abort() -> None:
    async with running() as broker:
        assert await (await broker.client()).call("SHUTDOWN ABORT") == b"-ERR No shutdown in progress.\r\n"
