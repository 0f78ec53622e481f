"""With appendfsync always, a reply is held until its write is on the disk; what happens to its client meanwhile."""

import errno
import threading

import pytest
import trio

from tests.broker.persistence.durable import APPENDONLY, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.slow_disk import SlowDisk, held, reads_nothing

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
EVERYSEC = {**APPENDONLY, "appendfsync": "everysec"}


async def test_a_reply_waits_for_the_sync_of_its_write_and_other_clients_do_not() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, reader = await broker.client(), await broker.client()
        with disk.stopped():
            await writer.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            # Sent, executed and answered after the write.
            assert await reader.call("GET k") == b"$1\r\nv\r\n"
            assert reads_nothing(writer)
        assert await writer.receive() == b"+OK\r\n"


async def test_what_gathers_during_a_sync_is_synced_at_once() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        first, reader = await broker.client(), await broker.client()
        others = [await broker.client() for _ in range(5)]
        with disk.stopped():
            await first.send("SET first 1")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            for number, client in enumerate(others):
                await client.send(f"SET k{number} 1")
            assert await reader.call("PING") == b"+PONG\r\n"
            before = disk.calls.count("sync")
        for client in (first, *others):
            assert await client.receive() == b"+OK\r\n"
        # The one that was running, which is counted when it is let go on, and one for all five.
        assert disk.calls.count("sync") - before == 2


async def test_a_pipeline_goes_on_after_a_held_reply() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        with disk.stopped():
            await client.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await client.send("GET k")
            assert reads_nothing(client)
        assert await client.receive() == b"+OK\r\n"
        assert await client.receive() == b"$1\r\nv\r\n"


async def test_the_reply_to_a_served_waiter_waits_for_the_sync_of_its_pop() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        waiter, writer, reader = await broker.client(), await broker.client(), await broker.client()
        await waiter.send("BLPOP l 0")
        while not broker.broker.blocking.sessions:
            await reader.call("PING")
        with disk.stopped():
            await writer.send("RPUSH l x")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            assert await reader.call("EXISTS l") == b":0\r\n"
            assert reads_nothing(waiter) and reads_nothing(writer)
        assert await waiter.receive() == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
        assert await writer.receive() == b":1\r\n"


async def test_a_held_client_that_hangs_up_is_forgotten() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, reader = await broker.client(), await broker.client()
        with disk.stopped():
            await writer.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await writer.stream.aclose()
            while len(broker.broker.sessions) > 1:
                await reader.call("PING")
        assert await reader.call("SET k w") == b"+OK\r\n"


async def test_messages_to_a_held_client_follow_its_reply() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client, other = await broker.client(), await broker.client()
        await client.call("HELLO 3")
        await client.call("SUBSCRIBE news")
        with disk.stopped():
            await held(disk, client)
            for number in range(3):
                assert await other.call(f"PUBLISH news {number}") == b":1\r\n"
            assert reads_nothing(client)
        assert await client.receive() == b"+OK\r\n"
        for number in range(3):
            assert await client.receive() == b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n%d\r\n" % number
        assert await client.call("SET k w") == b"+OK\r\n"


async def test_a_held_client_is_closed_when_messages_to_it_are_over_its_limit() -> None:
    disk = SlowDisk()
    async with durable(disk, {**ALWAYS, "client-output-buffer-limit": "pubsub 1000 0 0"}) as broker:
        client, other = await broker.client(), await broker.client()
        await client.call("HELLO 3")
        await client.call("SUBSCRIBE news")
        with disk.stopped():
            await held(disk, client)
            assert await other.call("PUBLISH", "news", "x" * 500) == b":1\r\n"
            assert await other.call("PUBLISH", "news", "x" * 500) == b":1\r\n"
            assert await other.call("PUBLISH", "news", "x") == b":0\r\n"


async def test_a_held_reply_behind_others_that_the_socket_did_not_take_waits_too() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        slow, other = await broker.client(), await broker.client()
        await other.call("SET", "large", "x" * 500_000)
        await slow.stream.send_all(b"GET large\r\nBLPOP l 0\r\n")
        while not broker.broker.blocking.sessions:
            await other.call("PING")
        (connection,) = (one for one in broker.server.tick.connections() if one.backlog)
        with disk.stopped():
            await other.send("RPUSH l x")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            with trio.move_on_after(0.1):
                assert len(await slow.receive()) == 500_011
            await (await broker.client()).call("PING")
            assert connection.backlog.size >= len(b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n")
        if len(reply := await slow.receive()) == 500_011:
            reply = await slow.receive()
        assert reply == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"


async def test_a_held_client_that_is_killed_gets_nothing() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, other = await broker.client(), await broker.client()
        number = (await writer.call("CLIENT ID"))[1:-2].decode()
        with disk.stopped():
            await held(disk, writer)
            assert await other.call(f"CLIENT KILL ID {number}") == b":1\r\n"
            assert await writer.receive() == b""


async def test_a_client_that_leaves_after_a_write_gets_its_replies() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client, other = await broker.client(), await broker.client()
        with disk.stopped():
            await client.stream.send_all(b"SET k v\r\nQUIT\r\n")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            assert await other.call("GET k") == b"$1\r\nv\r\n"
            assert reads_nothing(client)
        assert [await client.receive() for _ in range(3)] == [b"+OK\r\n", b"+OK\r\n", b""]


async def test_replies_that_are_too_many_at_once_leave_in_order_between_writes() -> None:
    async with durable(SimulatedDisk(), ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET", "large", "x" * 300_000)
        await client.stream.send_all(b"INCR n\r\nGET large\r\n" * 30)
        for number in range(30):
            assert await client.receive() == b":%d\r\n" % (number + 1)
            assert len(await client.receive()) == 300_011


@pytest.mark.parametrize("problem", [False, True])
async def test_a_broker_that_ends_within_a_sync_waits_for_it(problem: bool) -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer = await broker.client()
        broker.clients.clear()
        disk.syncing.clear()
        disk.may_sync.clear()
        await held(disk, writer)
        if problem:
            disk.fail(0, errno.EIO)
        threading.Timer(0.05, disk.may_sync.set).start()
    assert await writer.receive() == (b"" if problem else b"+OK\r\n")
    await writer.stream.aclose()


async def test_the_policy_may_change_while_clients_wait() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, other = await broker.client(), await broker.client()
        with disk.stopped():
            await writer.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await other.send("CONFIG SET appendfsync everysec")
            assert await other.receive() == b"+OK\r\n"
            assert await writer.receive() == b"+OK\r\n"
