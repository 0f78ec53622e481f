"""What changes with the role: the directive, the history, the feed, and what clients may do."""

import trio
from trio.testing import MockClock

from broker.config.rewriting import rewritten
from broker.replication.history import NO_ID
from broker.replication.role import Address
from tests.broker.inprocess import running
from tests.broker.replication.fake_master import settled
from tests.broker.sessions import make_broker, make_session, run

MASTER = Address("master", 6379)


def test_following() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.role.follow(MASTER)
    assert broker.role.is_replica and broker.role.link.state == "connect"
    assert broker.log.role == "replica"
    assert broker.config.replicaof == ("master", 6379)
    assert not broker.role.continues  # nothing of what was written is in the history
    assert run(session, "SET a 1").startswith(b"-READONLY")
    broker.role.promote()
    assert broker.config.replicaof is None and broker.log.role == "primary"
    assert run(session, "SET a 1") == b"+OK\r\n"


def test_a_master_with_a_history_can_be_continued() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.feed.join()
    run(session, "SET a 1")
    broker.role.follow(MASTER)
    assert broker.role.continues
    offset = broker.history.offset
    assert offset > 0
    broker.role.follow(Address("other", 6379))
    assert broker.role.continues
    assert not broker.feed.active
    assert broker.history.offset == offset


def test_a_transaction_that_has_written_is_not_in_the_stream() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.feed.join()
    run(session, "MULTI", "SET a 1", "SLAVEOF master 6379", "EXEC")
    assert broker.role.is_replica and not broker.role.continues


def test_promotion() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.role.follow(MASTER)
    broker.history.adopt("a" * 40, 100)
    broker.role.continues = True
    broker.role.promote()
    history = broker.history
    assert (history.second_id, history.second_offset) == ("a" * 40, 101)
    assert history.id != "a" * 40
    run(session, "SET a 1")
    broker.feed.flush()
    assert history.backlog is not None
    assert bytes(history.backlog.reader(100).part()).startswith(b"*2\r\n$6\r\nSELECT\r\n")


def test_promoting_a_master_changes_nothing() -> None:
    broker = make_broker()
    id = broker.history.id
    broker.role.promote()
    assert broker.history.id == id and broker.history.second_id == NO_ID


def test_a_replica_from_the_start() -> None:
    broker = make_broker(replicaof=("master", 6379))
    assert broker.role.master == MASTER
    assert run(make_session(broker), "SET a 1").startswith(b"-READONLY")


def test_directives_hold_at_once() -> None:
    broker = make_broker(replicaof=("master", 6379))
    session = make_session(broker)
    assert run(session, "GET a") == b"$-1\r\n"
    run(session, "CONFIG SET replica-serve-stale-data no")
    assert run(session, "GET a", "PING").startswith(b"-MASTERDOWN")
    run(session, "CONFIG SET replica-serve-stale-data yes replica-read-only no")
    assert run(session, "SET a 1", "GET a") == b"+OK\r\n$1\r\n1\r\n"
    run(session, "CONFIG SET replica-read-only yes")
    assert run(session, "SET a 2").startswith(b"-READONLY")


def test_config_rewrite_keeps_the_master() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, "SLAVEOF host 7000")
    assert b"replicaof host 7000" in rewritten(broker.config, b"port 1\n")
    assert rewritten(broker.config, b"slaveof other 1\n").startswith(b"replicaof host 7000\n")
    run(session, "SLAVEOF NO ONE")
    assert b"other" not in rewritten(broker.config, b"slaveof other 1\n")


def test_a_replica_does_not_evict() -> None:
    broker = make_broker(replicaof=("master", 6379))
    session = make_session(broker)
    run(session, "CONFIG SET replica-read-only no")
    run(session, "SET a 1", "CONFIG SET maxmemory-policy allkeys-random", "CONFIG SET maxmemory 1")
    assert run(session, "DBSIZE", "SET b 1") == b":1\r\n+OK\r\n"
    run(session, "CONFIG SET replica-ignore-maxmemory no")
    assert run(session, "DBSIZE") == b":0\r\n"


async def test_waiting_clients_are_disconnected(autojump_clock: MockClock) -> None:
    async with running() as broker:
        waiting, other = await broker.client(), await broker.client()
        await waiting.send("BLPOP a 0")
        await settled()
        assert await other.call("REPLICAOF localhost 1") == b"+OK\r\n"
        with trio.fail_after(20):
            assert (await waiting.receive()).startswith(b"-UNBLOCKED force unblock")
            assert await waiting.receive() == b""
        assert await other.call("PING") == b"+PONG\r\n"
