"""import-mode: who sees what is due, what a write removes, and that nothing expires or is evicted."""

import pytest

from broker.broker import Broker
from broker.clients.session import Session
from tests.broker.persistence.durable import APPENDONLY, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.sessions import StoppedClock, make_broker, make_session, run

PAST = "PXAT 1"
HASH = ("HSET h due 1 stays 2", "HPEXPIREAT h 1 FIELDS 1 due")
Clients = tuple[Session, Session]


@pytest.fixture
def clients() -> Clients:
    """The tool's client, and another."""
    broker = make_broker(StoppedClock(), import_mode=True)
    tool, other = make_session(broker), make_session(broker)
    assert run(tool, "CLIENT IMPORT-SOURCE on") == b"+OK\r\n"
    return tool, other


def keys(broker: Broker) -> set[bytes]:
    return set(broker.keyspace.databases[0].data)


def test_who_sees_what_is_due(clients: Clients) -> None:
    tool, other = clients
    run(tool, f"SET due v {PAST}", "SET stays v", *HASH)
    assert run(tool, "GET due", "EXISTS due stays", "TTL due") == b"$1\r\nv\r\n:2\r\n:0\r\n"
    assert run(other, "GET due", "EXISTS due stays", "TTL due") == b"$-1\r\n:1\r\n:-2\r\n"
    assert run(tool, "HMGET h due stays") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
    assert run(other, "HMGET h due stays") == b"*2\r\n$-1\r\n$1\r\n2\r\n"
    assert run(tool, "KEYS d*") == run(tool, "SCAN 0 MATCH d*")[len(b"*2\r\n$1\r\n0\r\n") :] == b"*1\r\n$3\r\ndue\r\n"
    assert run(other, "KEYS d*", "SCAN 0 MATCH d*") == b"*0\r\n*2\r\n$1\r\n0\r\n*0\r\n"
    assert keys(tool.broker) == {b"due", b"stays", b"h"}
    assert tool.broker.keyspace.expired == 0


def test_fields_that_sort_looks_up(clients: Clients) -> None:
    tool, other = clients
    run(tool, "RPUSH l 1", "HSET h1 due 1", "HPEXPIREAT h1 1 FIELDS 1 due")
    assert run(tool, "SORT_RO l BY nosort GET h*->due") == b"*1\r\n$1\r\n1\r\n"
    assert run(other, "SORT_RO l BY nosort GET h*->due") == b"*1\r\n$-1\r\n"


def test_transactions_and_scripts_see_what_their_client_sees(clients: Clients) -> None:
    tool, other = clients
    run(tool, f"SET due v {PAST}")
    script = [b"EVAL", b"return redis.call('GET', 'due')", b"0"]
    for session, reply in ((tool, b"$1\r\nv\r\n"), (other, b"$-1\r\n"), (tool, b"$1\r\nv\r\n")):
        assert run(session, script) == reply
        assert run(session, "MULTI", "GET due", "EXEC").endswith(b"*1\r\n" + reply)


def test_a_write_by_others_removes_what_is_due_of_its_keys(clients: Clients) -> None:
    tool, other = clients
    effects: list[bytes] = []
    tool.broker.keyspace.effects.sinks.append(lambda unit: effects.extend(b" ".join(args) for _, args in unit))
    run(tool, f"SET a v {PAST}", f"SET b v {PAST}", "SADD s x", "PEXPIREAT s 1", *HASH)
    effects.clear()
    assert run(other, "APPEND a x", "HSET h due new", "SINTERSTORE copy s") == b":1\r\n:1\r\n:0\r\n"
    assert effects[:4] == [b"DEL a", b"APPEND a x", b"HDEL h due", b"HSET h due new"]
    assert run(tool, "GET a", "TTL a", "HTTL h FIELDS 1 due") == b"$1\r\nx\r\n:-1\r\n*1\r\n:-1\r\n"
    assert keys(tool.broker) == {b"a", b"b", b"s", b"h"}
    assert tool.broker.keyspace.expired == 1 and tool.broker.keyspace.expired_fields == 1
    assert run(other, "DEL b s nosuch") == b":2\r\n"


def test_what_others_see_of_a_hash_follows_its_changes(clients: Clients) -> None:
    tool, other = clients
    run(tool, *HASH)
    assert run(other, "HGET h stays") == b"$1\r\n2\r\n"
    run(tool, "HSET h stays 3 more 4")
    assert run(other, "HMGET h stays more due") == b"*3\r\n$1\r\n3\r\n$1\r\n4\r\n$-1\r\n"
    assert run(tool, "HGET h due") == b"$1\r\n1\r\n"


def test_a_waiting_client_is_served_with_what_it_may_see(clients: Clients) -> None:
    tool, other = clients
    run(other, "BLPOP l 0")
    assert run(tool, "MULTI", "RPUSH l x", "PEXPIREAT l 1", "EXEC").endswith(b":1\r\n:1\r\n")
    assert other.out == [] and not keys(tool.broker)


def test_deadlines_in_the_past(clients: Clients) -> None:
    tool, other = clients
    run(tool, "SET k v")
    dump = run(tool, "DUMP k").partition(b"\r\n")[2][:-2]
    assert run(other, "EXPIREAT k -5", "EXISTS k") == b":1\r\n:0\r\n"
    assert run(tool, "EXPIRETIME k") == b":0\r\n"
    assert run(tool, [b"RESTORE", b"r", b"1", dump, b"ABSTTL"], "GET r") == b"+OK\r\n$1\r\nv\r\n"
    assert run(tool, "GETEX r PXAT 2", "PEXPIRETIME r") == b"$1\r\nv\r\n:2\r\n"


def test_the_end_of_import_mode(clients: Clients) -> None:
    tool, other = clients
    run(tool, f"SET due v {PAST}", *HASH)
    assert run(other, "HGET h due") == b"$-1\r\n"
    broker = tool.broker
    assert run(tool, "CONFIG SET import-mode no", "GET due", "CLIENT IMPORT-SOURCE on") == (
        b"+OK\r\n$-1\r\n-ERR Server is not in import mode\r\n"
    )
    broker.keyspace.expire_due()
    assert keys(broker) == {b"h"} and set(broker.keyspace.databases[0].data[b"h"]) == {b"stays"}
    assert not broker.keyspace.shown and not broker.keyspace.hiding
    assert b" flags=I " in run(tool, "CLIENT INFO")
    assert run(tool, "CLIENT IMPORT-SOURCE off", "CLIENT IMPORT-SOURCE off") == b"+OK\r\n+OK\r\n"
    assert tool.flags == other.flags == 0


def test_a_pause_within_import_mode_and_import_mode_within_a_pause(clients: Clients) -> None:
    tool, other = clients
    state = tool.broker.state
    run(tool, f"SET due v {PAST}")
    state.paused = "write"
    state.restrict()
    state.set_importing(False)
    tool.broker.keyspace.expire_due()
    assert run(tool, "GET due") == run(other, "GET due") == b"$-1\r\n"
    state.set_importing(True)
    assert run(tool, "GET due") == b"$1\r\nv\r\n"
    state.paused = ""
    state.restrict()
    assert run(tool, "GET due") == b"$1\r\nv\r\n" and run(other, "GET due") == b"$-1\r\n"
    state.set_importing(False)
    tool.broker.keyspace.expire_due()
    assert not keys(tool.broker)


def test_reset_ends_a_client_s_role(clients: Clients) -> None:
    tool, _ = clients
    run(tool, f"SET due v {PAST}")
    assert run(tool, "RESET", "GET due") == b"+RESET\r\n$-1\r\n"
    assert run(tool, "CLIENT IMPORT-SOURCE maybe") == b"-ERR syntax error\r\n"


async def test_the_journal_is_read_with_all_that_is_due() -> None:
    settings = {**APPENDONLY, "import-mode": "yes", "enable-debug-command": "yes"}
    disk = SimulatedDisk()
    async with durable(disk, settings) as broker:
        tool, other = await broker.client(), await broker.client()
        for command in (
            "CLIENT IMPORT-SOURCE ON",
            "SET k 5 PXAT 1",
            "INCR k",
            "HSET h due 1",
            "HPEXPIREAT h 1 FIELDS 1 due",
        ):
            assert not (await tool.call(command)).startswith(b"-")
        assert await tool.call("HINCRBY h due 1") == b":2\r\n"
        for client in (tool, other):
            assert await client.call("DEBUG LOADAOF") == b"+OK\r\n"
            assert await tool.call("GET k") == b"$1\r\n6\r\n"
            assert await tool.call("HGET h due") == b"$1\r\n2\r\n"
            assert await other.call("GET k") == b"$-1\r\n"
    async with durable(disk, settings) as broker:
        tool, other = await broker.client(), await broker.client()
        assert await other.call("EXISTS k") == b":0\r\n"
        await tool.call("CLIENT IMPORT-SOURCE ON")
        assert await tool.call("GET k") == b"$1\r\n6\r\n"
        assert await tool.call("HGET h due") == b"$1\r\n2\r\n"


def test_nothing_is_evicted(clients: Clients) -> None:
    tool, _ = clients
    broker = tool.broker
    run(tool, "SET k v")
    broker.config.set([(b"maxmemory", b"1"), (b"maxmemory-policy", b"allkeys-lru")])
    assert run(tool, "SET other v").startswith(b"-OOM ")
    assert keys(broker) == {b"k"}
