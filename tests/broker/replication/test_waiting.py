"""WAIT and WAITAOF: what counts, when replicas are asked, and what a timeout answers."""

import trio

from broker.replication.handshakes import Handshake
from protocol.replies import bulks
from tests.broker.inprocess import running
from tests.broker.replication.followers import follower
from tests.broker.sessions import make_broker, make_session

AT_ONCE = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "100000", "repl-timeout": "100000"}
SELECT = [b"SELECT", b"0"]
GETACK = [b"REPLCONF", b"GETACK", b"*"]


async def test_a_client_waits_for_its_own_writes() -> None:
    async with running(AT_ONCE) as broker:
        client, other = await broker.client(), await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await replica.acknowledge(0)
        await client.call("SET a 1")
        await replica.expect(SELECT, [b"SET", b"a", b"1"])
        await replica.acknowledge(broker.broker.history.offset)
        await other.call("SET b 1")
        assert await client.call("WAIT 1 0") == b":1\r\n"
        assert await (await broker.client()).call("WAIT 1 0") == b":1\r\n"


async def test_replicas_are_asked_and_the_waiter_is_answered() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await client.stream.send_all(b"SET a 1\r\nWAIT 1 0\r\n")
        await replica.expect(SELECT, [b"SET", b"a", b"1"], GETACK)
        assert await client.receive() == b"+OK\r\n"
        # The question itself doesn't count.
        await replica.acknowledge(broker.broker.history.offset - 37)
        assert await client.receive() == b":1\r\n"


async def test_all_waiters_of_a_tick_share_a_question() -> None:
    broker = make_broker()
    broker.feed.join()
    replica = broker.replicas.add(make_session(broker), Handshake(), silent=False)
    broker.replicas.continue_from(replica, broker.history.id, 1)
    for _ in range(3):
        broker.replica_waits.begin(make_session(broker))
    broker.replica_waits.ask()
    broker.replica_waits.ask()
    assert broker.history.offset == len(bulks(GETACK))


async def test_a_timeout_answers_how_many_there_are(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await client.call("SET a 1")
        await client.send("WAIT 2 500")
        await replica.expect(SELECT, [b"SET", b"a", b"1"], GETACK)
        await replica.acknowledge(broker.broker.history.offset)
        assert await client.receive() == b":1\r\n"
        assert await client.call("WAIT 0 0") == b":1\r\n"


async def test_a_replica_that_has_reported_nothing_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        await (await follower(broker)).synchronize()
        assert await client.call("WAIT 1 10") == b":0\r\n"


async def test_messages_are_waited_for_as_well() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await replica.acknowledge(0)
        await client.call("PUBLISH c m")
        await client.send("WAIT 1 0")
        await replica.expect(SELECT, [b"PUBLISH", b"c", b"m"], GETACK)
        await replica.acknowledge(broker.broker.history.offset - 37)
        assert await client.receive() == b":1\r\n"
        # The question is a part of the stream that the client doesn't wait for.
        assert await client.call("WAIT 1 0") == b":1\r\n"


async def test_waitaof_counts_what_is_on_the_replicas_disks(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await client.call("SET a 1")
        await client.send("WAITAOF 0 1 0")
        await replica.expect(SELECT, [b"SET", b"a", b"1"], GETACK)
        offset = broker.broker.history.offset
        await replica.acknowledge(offset)
        await replica.acknowledge(offset, offset)
        assert await client.receive() == b"*2\r\n:0\r\n:1\r\n"
        assert await client.call("WAITAOF 0 2 10") == b"*2\r\n:0\r\n:1\r\n"


async def test_in_a_transaction_nobody_waits() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        for line in ("MULTI", "WAIT 1 0"):
            await client.call(line)
        assert await client.call("EXEC") == b"*1\r\n:0\r\n"


async def test_a_waiter_that_leaves_is_forgotten() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await client.call("PUBLISH c m")
        await client.send("WAIT 1 0")
        await replica.expect(SELECT, [b"PUBLISH", b"c", b"m"], GETACK)
        await client.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        waits = broker.broker.replica_waits
        assert not waits._messages
        assert not waits._offsets
