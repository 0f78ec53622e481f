"""What INFO derives from the keyspace and the system."""

import pytest
import trio.testing

from broker.commands.server import info_figures as figures
from broker.process.clock import TrioClock
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker, make_session, run


def test_sizes_are_counted_by_powers_of_two() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, "SET a 1", "SET b 12", "SET c 123", 'SET e ""', "SETRANGE k 1535 x", "SETRANGE m 4194303 x")
    run(session, "XADD s 1-1 a b", "SADD n a b c d")
    assert figures.key_sizes(session.db, session.broker.config) == {
        "strings_sizes": "0=1,1=1,2=2,1K=1,4M=1",
        "sets_items": "4=1",
    }


def test_of_many_keys_a_sample_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FEW", 100)
    monkeypatch.setattr(figures, "SAMPLED", 50)
    session = make_session(make_broker())
    for number in range(1000):
        run(session, f"{'SET' if number % 2 else 'SADD'} {number} x")
    counted = {
        name: int(text.partition("=")[2]) for name, text in figures.key_sizes(session.db, session.broker.config).items()
    }
    assert sum(counted.values()) == 1000 and all(250 < count < 750 for count in counted.values())


def test_hashes_that_are_gone_have_no_deadlines() -> None:
    session = make_session(make_broker())
    for key in "abc":
        run(session, f"HSET {key} f v g w", f"HEXPIRE {key} 100 FIELDS 1 f")
    assert figures.hashes_with_deadlines(session.db) == 3
    run(session, "DEL a", "HPERSIST b FIELDS 1 f")
    assert figures.hashes_with_deadlines(session.db) == 1


async def test_clients_are_active_for_half_a_second(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client, other = await broker.client(), await broker.client()
        await client.call("PING")
        assert "\r\nactive_clients:2\r\n" in await other.text("INFO clients")
        await trio.sleep(2)
        assert "\r\nactive_clients:1\r\n" in await other.text("INFO clients")


async def test_expired_keys_that_are_kept_are_stale(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"enable-debug-command": "yes"}, clock=TrioClock()) as broker:
        client = await broker.client()
        assert await client.call("DEBUG SET-ACTIVE-EXPIRE 0") == b"+OK\r\n"
        for key, milliseconds in (("a", 10), ("b", 10), ("c", 10), ("d", 100_000)):
            await client.call(f"SET {key} x PX {milliseconds}")
        assert figures.stale_percentage(broker.broker) == 0
        await trio.sleep(1)
        assert figures.stale_percentage(broker.broker) == 75
        text = await client.text("INFO")
        assert "\r\nexpired_stale_perc:75.00\r\n" in text and "\r\ndb0:keys=4,expires=4," in text
        await client.call("GET a")
        await client.call("DEBUG SET-ACTIVE-EXPIRE 1")
        await client.call("PING")
        text = await client.text("INFO stats")
        assert "\r\nexpired_keys:3\r\nexpired_keys_active:2\r\nexpired_stale_perc:0.00\r\n" in text


def test_the_build() -> None:
    assert len(figures.build_id()) == 16 and int(figures.build_id(), 16)
    assert figures.compiler_version().count(".") == 2
    assert figures.thread_usage().ru_utime > 0
