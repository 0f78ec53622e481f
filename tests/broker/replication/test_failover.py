"""The moment at which a replica may take over: it has everything, and nothing is added to the stream meanwhile."""

import trio

from protocol.replies import bulks
from tests.broker.inprocess import running
from tests.broker.replication.followers import follower

OPTIONS = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1", "repl-timeout": "100000"}
SELECT = [b"SELECT", b"0"]
GETACK = [b"REPLCONF", b"GETACK", b"*"]


async def test_whoever_has_answered_the_second_question_has_everything(autojump_clock: trio.testing.MockClock) -> None:
    async with running(OPTIONS | {"repl-ping-replica-period": "100000"}) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await client.call("SET a 1")
        before = broker.broker.history.offset
        assert await client.call("FAILOVER") == b"+OK\r\n"
        await replica.expect(SELECT, [b"SET", b"a", b"1"], GETACK, GETACK)
        await replica.acknowledge(before)
        await trio.sleep(0.1)
        assert "master_failover_state:waiting-for-sync" in await client.text("INFO replication")
        await replica.acknowledge(before + len(bulks(GETACK)))
        await trio.sleep(0.1)
        assert "master_failover_state:failover-in-progress" in await client.text("INFO replication")
        assert await client.call("FAILOVER ABORT") == b"+OK\r\n"


async def test_the_stream_is_quiet_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    """No PING, and no question for a client that waits: an acknowledgement of less would never be enough."""
    async with running(OPTIONS) as broker:
        client, waiting = await broker.client(), await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        await waiting.call("SET a 1")
        await client.call("FAILOVER")
        end = broker.broker.history.offset
        await waiting.send("WAIT 1 0")
        await trio.sleep(10)
        assert broker.broker.history.offset == end
        assert await client.call("FAILOVER ABORT") == b"+OK\r\n"
        await trio.sleep(3)
        assert broker.broker.history.offset >= end + len(bulks(GETACK)) + len(bulks([b"PING"]))
        await replica.acknowledge(end)
        assert await waiting.receive() == b":1\r\n"
