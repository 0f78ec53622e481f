"""The tracking table: what is remembered, who is told, and that nothing is left behind."""

import pytest

from broker.broker import Broker
from broker.clients.session import TRACKING
from broker.clients.tracking import FORGOTTEN_AT_ONCE
from broker.keyspace.events import CHANGE_TRACKED
from broker.memory.client_eviction import client_memory
from tests.broker.direct import Client
from tests.broker.sessions import make_broker, run

TOLD = b">2\r\n$10\r\ninvalidate\r\n"
TOLD_OF_K = TOLD + b"*1\r\n$1\r\nk\r\n"


@pytest.fixture
def broker() -> Broker:
    return make_broker()


def tracking_client(broker: Broker, options: str = "") -> Client:
    client = Client(broker)
    client.do("HELLO 3")
    assert client.do(f"CLIENT TRACKING on {options}") == b"+OK\r\n"
    return client


def is_watching(broker: Broker) -> bool:
    """Whether changes of keys are reported at all."""
    return bool(broker.keyspace.event_mask & CHANGE_TRACKED)


def counts(broker: Broker) -> tuple[int, int, int, int]:
    tracking = broker.tracking
    return tracking.clients, tracking.keys, tracking.items, tracking.prefixes


def test_changes_are_reported_only_while_someone_tracks_or_something_is_remembered(broker: Broker) -> None:
    other = Client(broker)
    assert not is_watching(broker)
    client = tracking_client(broker)
    assert is_watching(broker)
    client.do("GET k")
    client.do("CLIENT TRACKING off")
    assert is_watching(broker)
    other.do("CONFIG SET notify-keyspace-events KEA")
    assert is_watching(broker)
    other.do("SET k 1")
    assert not is_watching(broker)
    assert client.take() == b""
    assert client.session.flags == 0
    client.do("CLIENT TRACKING on")
    client.do("CLIENT TRACKING off")
    assert not is_watching(broker)


def test_clients_are_told_once_for_each_read(broker: Broker) -> None:
    one, two = tracking_client(broker), tracking_client(broker)
    other = Client(broker)
    one.do("MGET k k l")
    one.do("GET k")
    two.do("GET k")
    two.do("GET k")
    assert counts(broker) == (2, 2, 3, 0)
    other.do("SET k 1")
    assert one.take() == two.take() == TOLD_OF_K
    assert counts(broker) == (2, 1, 1, 0)
    other.do("SET k 1")
    assert one.take() == two.take() == b""


def test_many_readers_of_one_key(broker: Broker) -> None:
    clients = [tracking_client(broker) for _ in range(5)]
    for client in clients:
        client.do("GET k")
    assert counts(broker) == (5, 1, 5, 0)
    broker.close_session(clients[0].session)
    clients[1].do("CLIENT TRACKING off")
    clients[2].do("SET k 1")
    assert [client.take() for client in clients] == [b"", b"", b"", TOLD_OF_K, TOLD_OF_K]
    assert counts(broker) == (3, 0, 0, 0)


def test_disconnecting_leaves_nothing_but_the_names_of_what_was_read(broker: Broker) -> None:
    receiver = Client(broker)
    client = tracking_client(broker, f"REDIRECT {receiver.session.id}")
    listener = tracking_client(broker, "BCAST PREFIX a PREFIX bb")
    client.do("GET k")
    assert counts(broker) == (2, 1, 1, 2)
    assert receiver.session.flags & TRACKING
    for session in (client.session, listener.session):
        broker.close_session(session)
    assert counts(broker) == (0, 1, 1, 0)
    assert receiver.session.flags == 0
    receiver.do("SET k 1")
    assert counts(broker) == (0, 0, 0, 0)
    assert not is_watching(broker)


def test_a_receiver_leaves_the_checked_path_with_the_last_that_redirects_to_it(broker: Broker) -> None:
    receiver = tracking_client(broker)
    redirect = f"REDIRECT {receiver.session.id}"
    one, two = tracking_client(broker, redirect), tracking_client(broker, redirect)
    receiver.do("CLIENT TRACKING off")
    assert receiver.session.flags & TRACKING
    one.do("CLIENT TRACKING on")
    assert receiver.session.flags & TRACKING
    two.do("RESET")
    assert not receiver.session.flags & TRACKING
    one.do(f"CLIENT TRACKING on {redirect}")
    receiver.do("CLIENT TRACKING on")
    one.do("CLIENT TRACKING off")
    assert receiver.session.flags & TRACKING


def test_a_client_may_redirect_to_itself(broker: Broker) -> None:
    client = tracking_client(broker)
    client.do(f"CLIENT TRACKING on REDIRECT {client.session.id}")
    client.do("CLIENT TRACKING off")
    assert client.session.flags == 0


def test_a_receiver_that_is_gone(broker: Broker) -> None:
    receiver = Client(broker)
    client = tracking_client(broker, f"REDIRECT {receiver.session.id}")
    broker.close_session(receiver.session)
    client.do("GET k")
    Client(broker).do("SET k 1")
    assert client.take() == b">2\r\n$21\r\ntracking-redir-broken\r\n:%d\r\n" % receiver.session.id
    client.do("CLIENT TRACKING off")
    assert counts(broker) == (0, 0, 0, 0)


def test_own_changes_follow_the_reply_in_a_pipeline(broker: Broker) -> None:
    client = tracking_client(broker)
    assert run(client.session, "GET k", "SET k 1", "PING") == b"_\r\n+OK\r\n" + TOLD_OF_K + b"+PONG\r\n"


def test_broadcasts_wait_for_the_end_of_the_tick(broker: Broker) -> None:
    listener, silent = tracking_client(broker, "BCAST PREFIX k PREFIX l"), tracking_client(broker, "BCAST NOLOOP")
    silent.do("MSET l 1 k2 1 k1 1 m 1")
    assert broker.tracking.announcing
    assert listener.take() == silent.take() == b""
    broker.tracking.broadcast()
    assert listener.take() == TOLD + b"*2\r\n$2\r\nk1\r\n$2\r\nk2\r\n" + TOLD + b"*1\r\n$1\r\nl\r\n"
    assert silent.take() == b""
    assert not broker.tracking.announcing
    Client(broker).do("SET x 1")
    silent.do("SET y 1")
    broker.tracking.broadcast()
    assert listener.take() == b""
    assert silent.take() == TOLD + b"*1\r\n$1\r\nx\r\n"


def test_a_client_that_leaves_before_the_broadcast(broker: Broker) -> None:
    listener, other = tracking_client(broker, "BCAST"), tracking_client(broker, "BCAST")
    other.do("SET k 1")
    broker.close_session(listener.session)
    other.do("CLIENT TRACKING off")
    broker.tracking.broadcast()
    assert listener.take() == other.take() == b""
    assert counts(broker) == (0, 0, 0, 0)


def test_expiry_and_eviction_count_as_changes(broker: Broker) -> None:
    client = tracking_client(broker)
    other = Client(broker)
    other.do("SET k 1 PX 1")
    client.do("GET k")
    broker.clock.now += 10
    broker.keyspace.expire_due()
    assert client.take() == TOLD_OF_K
    other.do("HSET k f 1 g 1")
    other.do("HPEXPIRE k 1 FIELDS 1 f")
    client.do("HGETALL k")
    broker.clock.now += 10
    broker.keyspace.expire_due()
    assert client.take() == TOLD_OF_K
    other.do("SET k 1")
    client.do("GET k")
    other.do("CONFIG SET maxmemory-policy allkeys-random")
    other.do("CONFIG SET maxmemory 1")
    broker.eviction.check()
    assert client.take() == TOLD_OF_K


def test_what_expires_is_nobodys_own_change(broker: Broker) -> None:
    broker.keyspace.set_active_expiry(False)
    listener = tracking_client(broker, "BCAST NOLOOP")
    listener.do("SET k 1 PX 1")
    broker.tracking.broadcast()
    broker.clock.now += 10
    assert listener.do("GET k") == b"_\r\n"
    broker.tracking.broadcast()
    assert listener.take() == TOLD_OF_K


def test_a_full_table_forgets_keys_as_if_they_had_changed() -> None:
    broker = make_broker(tracking_table_max_keys=3)
    client = tracking_client(broker, "NOLOOP")
    reply = run(client.session, *(f"GET k{n}" for n in range(10)))
    assert reply.count(TOLD) == 7
    assert counts(broker) == (1, 3, 3, 0)
    client.do("CONFIG SET tracking-table-max-keys 0")
    assert client.do("MGET a b c d e f").count(TOLD) == 0
    assert counts(broker) == (1, 9, 9, 0)


async def test_a_table_that_is_far_too_full_shrinks_in_parts(broker: Broker) -> None:
    client = tracking_client(broker)
    client.do("MGET " + " ".join(map(str, range(2 * FORGOTTEN_AT_ONCE))))
    reply = client.do("CONFIG SET tracking-table-max-keys 10")
    assert reply.startswith(b"+OK\r\n" + TOLD)
    assert counts(broker)[1:3] == (FORGOTTEN_AT_ONCE, FORGOTTEN_AT_ONCE)
    broker.deadlines._call_due(lambda: None, lambda: None)
    assert counts(broker)[1:3] == (10, 10)
    assert reply.count(TOLD) == FORGOTTEN_AT_ONCE
    assert client.take().count(TOLD) == FORGOTTEN_AT_ONCE - 10


async def test_flushing_frees_the_table_in_slices(broker: Broker) -> None:
    client = tracking_client(broker)
    client.do("MGET " + " ".join(map(str, range(1000))))
    Client(broker).do("FLUSHALL")
    assert broker.reclaimer.pending
    assert counts(broker) == (1, 0, 0, 0)
    assert client.take() == TOLD + b"_\r\n"


def test_databases_that_are_swapped_or_flushed_alert_watchers_alone(broker: Broker) -> None:
    """They watch a key of one database; a cache knows keys by name alone, and is told of all keys or none."""
    client, watcher = tracking_client(broker), Client(broker)
    listener = tracking_client(broker, "BCAST")
    watcher.do("SET k 1")
    broker.tracking.broadcast()
    listener.take()
    for command, told in (("SWAPDB 0 1", b""), ("SWAPDB 0 1", b""), ("FLUSHALL", TOLD + b"_\r\n")):
        client.do("GET k")
        watcher.do("WATCH k")
        Client(broker).do(command)
        broker.tracking.broadcast()
        assert client.take() == listener.take() == told
        watcher.do("MULTI")
        assert watcher.do("EXEC") == b"*-1\r\n"


def test_prefixes_count_as_the_clients_memory(broker: Broker) -> None:
    client = tracking_client(broker, "BCAST PREFIX a")
    before = client_memory(client.session)
    client.do("CLIENT TRACKING on BCAST PREFIX " + "b" * 1000)
    assert client_memory(client.session) >= before + 1000
