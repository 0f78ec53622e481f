"""Transactions: queueing, execution as one, watched keys, and the unit of effects."""

import pytest

from broker.broker import Broker
from broker.clients.session import IN_MULTI
from broker.keyspace.effects import Unit
from tests.broker.direct import Client, bulk, bulks
from tests.broker.sessions import Wire, make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(broker)


@pytest.fixture
def other(broker: Broker) -> Client:
    return Client(broker)


def _in_transaction(client: Client, *commands: str) -> bytes:
    """The reply to EXEC after queueing these."""
    assert client.do("MULTI") == b"+OK\r\n"
    for command in commands:
        assert client.do(command) == b"+QUEUED\r\n"
    return client.do("EXEC")


def test_nothing_happens_before_exec(client: Client, other: Client) -> None:
    client.do("MULTI")
    assert client.session.flags & IN_MULTI
    assert client.do("SET k v") == b"+QUEUED\r\n"
    assert other.do("GET k") == b"$-1\r\n"
    assert client.do("EXEC") == b"*1\r\n+OK\r\n"
    assert other.do("GET k") == bulk("v")
    assert client.session.flags == 0 and client.session.queued is None


def test_the_empty_transaction(client: Client) -> None:
    assert _in_transaction(client) == b"*0\r\n"


def test_out_of_place(client: Client) -> None:
    assert client.do("EXEC") == b"-ERR EXEC without MULTI\r\n"
    assert client.do("DISCARD") == b"-ERR DISCARD without MULTI\r\n"
    client.do("MULTI")
    assert client.do("MULTI") == b"-ERR MULTI calls can not be nested\r\n"
    assert client.do("WATCH k") == b"-ERR WATCH inside MULTI is not allowed\r\n"
    assert client.do("EXEC") == b"*0\r\n"


def test_discarding(client: Client, other: Client) -> None:
    client.do("WATCH k")
    client.do("MULTI")
    client.do("SET k v")
    assert client.do("DISCARD") == b"+OK\r\n"
    assert client.do("GET k") == b"$-1\r\n"
    assert not client.session.watched and not client.session.db.watchers
    assert client.session.flags == 0


def test_a_refused_command_dooms_the_transaction(client: Client) -> None:
    for bad in ("NOPE", "GET", "EXEC x"):
        client.do("MULTI")
        client.do("SET k v")
        refusal = client.do(bad)
        assert refusal.startswith(b"-")
        if bad == "EXEC x":
            assert refusal == (
                b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
            )
        else:
            assert client.do("SET k w") == b"+QUEUED\r\n"
            assert client.session.queued is not None and len(client.session.queued) == 1
            assert client.do("EXEC") == b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        assert client.do("GET k") == b"$-1\r\n" and client.session.flags == 0


def test_a_failing_command_does_not(client: Client) -> None:
    reply = _in_transaction(client, "SET k v", "LPUSH k x", "GET k")
    assert reply == (b"*3\r\n+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n" + bulk("v"))


def test_nothing_waits_inside(client: Client) -> None:
    assert _in_transaction(client, "BLPOP l 0", "SET k v") == b"*2\r\n*-1\r\n+OK\r\n"
    assert not client.session.deny_blocking
    assert client.do("BLPOP l 0") == b"" and client.waits


def test_waiting_clients_are_served_after_the_last_command(client: Client, other: Client) -> None:
    other.do("BLPOP l 0")
    assert _in_transaction(client, "RPUSH l a", "RPUSH l b", "LPOP l") == b"*3\r\n:1\r\n:2\r\n" + bulk("a")
    assert other.take() == bulks("l", "b")
    other.do("BLPOP l 0")
    _in_transaction(client, "RPUSH l a", "DEL l")
    assert other.waits


# Watched keys


@pytest.mark.parametrize(
    "change", ["SET k 2", "DEL k", "APPEND k x", "EXPIRE k 9", "FLUSHDB", "FLUSHALL", "SWAPDB 0 1"]
)
def test_a_changed_key_makes_exec_nil(client: Client, other: Client, change: str) -> None:
    client.do("SET k 1")
    client.do("WATCH k")
    other.do(change)
    assert _in_transaction(client, "SET done 1") == b"*-1\r\n"
    assert client.do("GET done") == b"$-1\r\n"
    assert _in_transaction(client, "SET done 1") == b"*1\r\n+OK\r\n"


def test_nil_in_resp3(client: Client, other: Client) -> None:
    client.do("HELLO 3")
    client.do("WATCH k")
    other.do("SET k 1")
    assert _in_transaction(client) == b"_\r\n"


@pytest.mark.parametrize("command", ["GET k", "SET j 2", "DEL j", "PERSIST k", "FLUSHDB"])
def test_what_is_no_change(client: Client, other: Client, command: str) -> None:
    client.do("WATCH k")
    other.do(command)
    assert _in_transaction(client, "PING") == b"*1\r\n+PONG\r\n"


def test_unwatching(client: Client, other: Client) -> None:
    client.do("WATCH k")
    other.do("SET k 1")
    assert client.do("UNWATCH") == b"+OK\r\n"
    assert _in_transaction(client, "PING") == b"*1\r\n+PONG\r\n"
    client.do("WATCH k")
    other.do("SET k 2")
    # Too late: queued, it is executed only if EXEC executes anything.
    assert _in_transaction(client, "UNWATCH") == b"*-1\r\n"


def test_the_database_counts(client: Client, other: Client) -> None:
    client.do("SELECT 1")
    client.do("WATCH k")
    client.do("SELECT 0")
    other.do("SET k 1")
    assert _in_transaction(client) == b"*0\r\n"
    client.do("SELECT 1")
    client.do("WATCH k")
    client.do("SELECT 0")
    other.do("SELECT 1")
    other.do("SET k 1")
    assert _in_transaction(client) == b"*-1\r\n"


def test_ones_own_changes_count_but_not_those_of_the_transaction(client: Client) -> None:
    client.do("WATCH k")
    assert _in_transaction(client, "SET k 1", "SET k 2") == b"*2\r\n+OK\r\n+OK\r\n"
    client.do("WATCH k")
    client.do("SET k 3")
    assert _in_transaction(client) == b"*-1\r\n"


def test_no_watcher_is_left_behind(broker: Broker, client: Client, other: Client) -> None:
    for end in ("UNWATCH", "EXEC", "DISCARD", "RESET"):
        client.do("WATCH a b a")
        other.do("WATCH a")
        if end in ("EXEC", "DISCARD"):
            client.do("MULTI")
        client.do(end)
        assert list(client.session.db.watchers) == [b"a"]
        other.do("UNWATCH")
        assert client.session.db.watchers == {}
    client.do("WATCH a")
    broker.close_session(client.session)
    assert other.session.db.watchers == {}


def test_a_watched_key_that_expires(broker: Broker, client: Client) -> None:
    client.do("SET k v PX 50")
    client.do("WATCH k")
    broker.clock.now += 51
    broker.keyspace.expire_due()
    assert _in_transaction(client) == b"*-1\r\n"


def test_an_overdue_key_counts_as_expired(broker: Broker, client: Client) -> None:
    broker.keyspace.set_active_expiry(False)
    client.do("SET k v PX 50")
    client.do("WATCH k")
    broker.clock.now += 51
    assert _in_transaction(client) == b"*-1\r\n"
    client.do("SET k v PX 50")
    broker.clock.now += 51
    client.do("WATCH k")
    assert _in_transaction(client) == b"*0\r\n"


# Bounds and effects


def test_the_queue_is_bounded() -> None:
    client = Client(make_broker(client_query_buffer_limit=1 << 20))
    client.do("MULTI")
    for _ in range(3):
        client.do([b"SET", b"k", b"x" * 300_000])
    wire = client.session.transport
    assert isinstance(wire, Wire) and not wire.aborted
    assert client.do([b"SET", b"k", b"x" * 300_000]) == b"" and wire.aborted
    assert client.broker.stats.query_limit_closes == 1


def test_many_tiny_commands_are_bounded_too() -> None:
    client = Client(make_broker(client_query_buffer_limit=1 << 20))
    client.do("MULTI")
    client.broker.dispatcher.execute(client.session, [[b"PING"]] * 100_000)
    wire = client.session.transport
    assert isinstance(wire, Wire) and wire.aborted


def test_the_size_starts_anew_with_each_transaction(client: Client) -> None:
    _in_transaction(client, "SET k 1")
    assert client.session.queued_size == 0
    client.do("MULTI")
    client.do("GET k")
    assert 7 < client.session.queued_size < 1000
    client.do("DISCARD")
    assert client.session.queued_size == 0


def test_the_effects_are_one_unit(broker: Broker, client: Client, other: Client) -> None:
    units: list[Unit] = []
    broker.keyspace.effects.sinks.append(lambda effects: units.append(list(effects)))
    other.do("BLPOP l 0")
    _in_transaction(client, "SET a 1", "GET a", "LPUSH a x", "SELECT 2", "SET b 2", "SELECT 0", "RPUSH l x")
    assert units == [
        [(0, [b"SET", b"a", b"1"]), (2, [b"SET", b"b", b"2"]), (0, [b"RPUSH", b"l", b"x"])],
        [(0, [b"LPOP", b"l"])],
    ]
    units.clear()
    _in_transaction(client, "GET a")
    assert units == []


def test_counters(broker: Broker, client: Client) -> None:
    _in_transaction(client, "SET a 1", "LPUSH a x")
    names = broker.commands.by_name
    assert (names[b"set"].calls, names[b"lpush"].calls, names[b"lpush"].failed, names[b"exec"].calls) == (1, 1, 1, 1)
