"""What the stream needs as time passes."""

import trio

from broker.replication.handshakes import Handshake
from protocol.replies import bulks
from tests.broker.inprocess import running
from tests.broker.replication.followers import follower
from tests.broker.sessions import make_broker, make_session

AT_ONCE = {"repl-diskless-sync-delay": "0"}


async def test_replicas_are_pinged() -> None:
    broker = make_broker(repl_ping_replica_period=3)
    broker.feed.join()
    replica = broker.replicas.add(make_session(broker), Handshake(), silent=False)
    broker.replicas.continue_from(replica, broker.history.id, 1)
    for _ in range(8):
        broker.stream_upkeep.cron()
    assert broker.history.offset == 2 * len(bulks([b"PING"]))
    broker.feed.stop()
    for _ in range(5):
        broker.stream_upkeep.cron()
    assert broker.history.offset == 2 * len(bulks([b"PING"]))


async def test_a_backlog_that_nobody_needs_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    async with running({**AT_ONCE, "repl-backlog-ttl": "20"}) as broker:
        client = await broker.client()
        replica = await follower(broker)
        sync = await replica.synchronize()
        await trio.sleep(30)
        await replica.stream.aclose()
        await trio.sleep(15)
        assert "repl_backlog_active:1" in await client.text("INFO replication")
        assert sync.id == broker.broker.history.id
        await trio.sleep(10)
        assert "repl_backlog_active:0" in await client.text("INFO replication")
        assert sync.id != broker.broker.history.id
        assert not broker.broker.keyspace.effects.sinks


async def test_a_backlog_is_kept_forever_if_wanted(autojump_clock: trio.testing.MockClock) -> None:
    async with running({**AT_ONCE, "repl-backlog-ttl": "0"}) as broker:
        replica = await follower(broker)
        await replica.synchronize()
        await replica.stream.aclose()
        await trio.sleep(10_000)
        assert broker.broker.history.backlog is not None


async def test_too_few_replicas_refuse_writes(autojump_clock: trio.testing.MockClock) -> None:
    refusal = b"-NOREPLICAS Not enough good replicas to write.\r\n"
    async with running({**AT_ONCE, "min-replicas-to-write": "1", "min-replicas-max-lag": "5"}) as broker:
        client = await broker.client()
        assert await client.call("SET a 1") == refusal
        assert await client.call("PING") == b"+PONG\r\n"
        assert await client.call("GET a") == b"$-1\r\n"
        assert (await client.call("EVAL", "return redis.call('set', 'a', 1)", 0)).startswith(refusal[:30])
        replica = await follower(broker)
        await replica.synchronize()
        await replica.acknowledge(0)
        await trio.testing.wait_all_tasks_blocked()
        assert await client.call("SET a 1") == b"+OK\r\n"
        await trio.sleep(10)
        assert await client.call("SET a 1") == refusal
        assert "min_slaves_good_slaves:0" in await client.text("INFO replication")
        await replica.acknowledge(0)
        await trio.testing.wait_all_tasks_blocked()
        assert await client.call("SET a 1") == b"+OK\r\n"
        await client.call("CONFIG SET min-replicas-to-write 2")
        assert await client.call("SET a 1") == refusal
        await client.call("CONFIG SET min-replicas-to-write 0")
        assert await client.call("SET a 1") == b"+OK\r\n"
