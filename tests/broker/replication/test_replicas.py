"""The clients that receive the stream: what they report, when they are given up, and that they share its bytes."""

import trio

from broker.broker import Broker
from broker.clients.session import CLOSING, REPLICA, Session
from broker.replication.replicas import LOADING, ONLINE, Replica
from tests.broker.sessions import make_broker, make_session


def attached(broker: Broker, *, silent: bool = False) -> tuple[Session, Replica]:
    session = make_session(broker)
    return session, broker.replicas.add(session, broker.handshakes.of(session), silent=silent)


async def test_all_can_be_disconnected() -> None:
    broker = make_broker()
    sessions = [attached(broker)[0], attached(broker)[0]]
    broker.replicas.disconnect_all()
    assert all(session.flags & CLOSING for session in sessions)


async def test_a_replica_that_can_continue_is_sent_what_it_lacks() -> None:
    broker = make_broker()
    broker.feed.join()
    broker.history.append(b"0123456789")
    session, replica = attached(broker)
    assert session.flags & REPLICA
    assert broker.replicas.continue_from(replica, broker.history.id, 4) == 7
    sent = bytearray()

    def transmit(data: bytes | bytearray | memoryview) -> int:
        sent.extend(data)
        return len(data)

    replica.outflow.send(transmit)
    assert sent == b"3456789"
    assert broker.replicas.online == [replica]
    assert broker.replicas.sent() == 7


async def test_reports_only_move_forward() -> None:
    broker = make_broker()
    session, replica = attached(broker)
    broker.replicas.acknowledge(session, 10, None)
    broker.replicas.acknowledge(session, 7, 5)
    assert (replica.acknowledged, replica.synced) == (10, 5)
    assert broker.replicas.acknowledgements
    broker.replicas.acknowledge(make_session(broker), 99, None)
    assert replica.acknowledged == 10


async def test_a_silent_replica_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    broker = make_broker(repl_timeout=5)
    session, replica = attached(broker)
    replica.begin(ONLINE)
    broker.replicas.cron()
    await trio.sleep(5)
    broker.replicas.cron()
    assert not session.flags & CLOSING
    await trio.sleep(1)
    broker.replicas.cron()
    assert session.flags & CLOSING


async def test_line_breaks_of_one_that_loads_keep_it_alive(autojump_clock: trio.testing.MockClock) -> None:
    broker = make_broker(repl_timeout=5)
    session, replica = attached(broker)
    replica.begin(ONLINE)
    for _ in range(4):
        await trio.sleep(4)
        session.bytes_in += 1
        broker.replicas.cron()
    assert not session.flags & CLOSING


async def test_a_replica_that_does_not_take_its_snapshot_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    broker = make_broker(repl_timeout=5)
    session, replica = attached(broker)
    replica.begin(LOADING)
    await trio.sleep(4)
    replica.outflow.sent += 1
    broker.replicas.cron()
    await trio.sleep(4)
    broker.replicas.cron()
    assert not session.flags & CLOSING
    await trio.sleep(4)
    broker.replicas.cron()
    assert session.flags & CLOSING


async def test_one_that_has_asked_with_sync_reports_nothing(autojump_clock: trio.testing.MockClock) -> None:
    broker = make_broker(repl_timeout=5)
    session, replica = attached(broker, silent=True)
    replica.begin(ONLINE)
    await trio.sleep(100)
    broker.replicas.cron()
    assert not session.flags & CLOSING
    assert replica.lag() == 0


async def test_one_that_waits_for_its_snapshot_is_kept_alive() -> None:
    broker = make_broker()
    _, replica = attached(broker)
    broker.replicas.cron()
    broker.replicas.cron()
    assert replica.outflow.limited() == len(b"\n\n")


async def test_good_replicas_have_reported_lately(autojump_clock: trio.testing.MockClock) -> None:
    broker = make_broker(min_replicas_max_lag=3)
    session, replica = attached(broker)
    assert broker.replicas.good() == 0
    replica.begin(ONLINE)
    assert broker.replicas.good() == 1
    await trio.sleep(5)
    assert broker.replicas.good() == 0
    broker.replicas.acknowledge(session, 1, None)
    assert broker.replicas.good() == 1


async def test_replicas_that_lag_share_the_bytes() -> None:
    broker = make_broker(repl_backlog_size=16384)
    broker.history.set_limit(16384)
    broker.feed.join()
    for _ in range(2):
        _, replica = attached(broker)
        broker.replicas.continue_from(replica, broker.history.id, 1)
    broker.feed.relay(bytes(100_000))
    broker.feed.relay(bytes(20_000))
    kept, all_blocks = broker.replicas.memory()
    assert (kept, all_blocks) == (20_000, 120_000)


async def test_its_address_is_what_it_has_said() -> None:
    broker = make_broker()
    session, replica = attached(broker)
    assert replica.name == "127.0.0.1:<unknown-replica-port>"
    settings = broker.handshakes.of(session)
    settings.port, settings.address = 6379, "replica.example"
    assert replica.name == "replica.example:6379"


async def test_one_that_has_left_still_counts_in_the_bytes_sent() -> None:
    broker = make_broker()
    session, replica = attached(broker)
    replica.outflow.sent = 12
    broker.replicas.forget(session)
    assert broker.replicas.sent() == 12
    assert not broker.replicas.by_session
    broker.replicas.forget(session)
