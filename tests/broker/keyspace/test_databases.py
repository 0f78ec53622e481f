"""Databases by number: made when asked for, forgotten when nobody uses them."""

import pytest

from broker.keyspace.databases import MANY_DATABASES
from broker.keyspace.keyspace import Keyspace
from tests.broker.direct import Client, bulks
from tests.broker.keyspace.keyspaces import SetClock, make_keyspace
from tests.broker.sessions import make_broker


def test_databases_are_made_when_they_are_asked_for(clock: SetClock) -> None:
    databases = make_keyspace(clock, 2_000_000_000).databases
    assert len(databases) == 2_000_000_000
    assert [database.index for database in databases] == [0]
    last = databases[1_999_999_999]
    assert databases[7].index == 7 and databases[1_999_999_999] is last
    assert [database.index for database in databases] == [0, 7, 1_999_999_999]
    for index in (-1, 2_000_000_000):
        with pytest.raises(IndexError):
            databases[index]


def test_databases_that_nobody_uses_do_not_pile_up() -> None:
    broker = make_broker(databases=2_000_000_000)
    databases = broker.keyspace.databases
    client, watcher, waiter = Client(broker), Client(broker), Client(broker)
    for other, commands in ((watcher, ("SELECT 3", "WATCH k", "SELECT 0")), (waiter, ("SELECT 5", "BLPOP k 0"))):
        for command in commands:
            other.do(command)
    client.do("SELECT 9")
    client.do("SET k v")
    used = [databases[index] for index in (0, 3, 5, 9)]
    for number in range(10, 10 * MANY_DATABASES):
        client.do(f"SELECT {number}")
        assert len(list(databases)) <= MANY_DATABASES
    assert client.session.db is databases[number]
    assert [databases[index] for index in (0, 3, 5, 9)] == used
    client.do("SELECT 5")
    client.do("RPUSH k a")
    assert waiter.take() == bulks("k", "a")


def test_a_database_made_later_records_accesses() -> None:
    broker = make_broker(maxmemory_policy="allkeys-lru")
    database = broker.keyspace.databases[7]
    database.set(b"k", b"v")
    assert database.last_access == {b"k": broker.clock.now}


def test_a_database_made_later_checks_its_lookups(keyspace: Keyspace, clock: SetClock) -> None:
    keyspace.set_active_expiry(False)
    database = keyspace.databases[2]
    database.set(b"k", b"v")
    database.expire_at(b"k", clock.now - 1)
    assert database.get(b"k") is None
