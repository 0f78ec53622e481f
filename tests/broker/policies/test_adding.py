"""Entries that no client sent as such."""

import pytest

from broker.keyspace.database import Database
from broker.policies.adding import Undeliverable, add_entry
from broker.values.streams import stream as stream_module
from broker.values.streams.ids import MAX_ID
from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.stream import Stream
from tests.broker.sessions import make_broker
from tests.twins import needs_source

LIMITS = DefaultStreamLimits()


@pytest.fixture
def database() -> Database:
    return make_broker().keyspace.databases[0]


def test_ids_follow_the_clock_and_each_other(database: Database) -> None:
    stream, effect = add_entry(database, b"s", [b"a", b"1"], 5, LIMITS)
    assert effect == [b"XADD", b"s", b"5-0", b"a", b"1"]
    assert database.data[b"s"] is stream
    assert add_entry(database, b"s", [b"a", b"1"], 5, LIMITS)[1][2] == b"5-1"
    assert add_entry(database, b"s", [b"a", b"1"], 4, LIMITS)[1][2] == b"5-2"
    assert add_entry(database, b"s", [b"a", b"1"], 7, LIMITS)[1][2] == b"7-0"
    assert len(stream) == 4


def test_what_can_not_be_added(database: Database) -> None:
    database.add(b"text", b"x")
    full = Stream(LIMITS)
    full.last_id = MAX_ID
    database.add(b"full", full)
    for key in (b"text", b"full"):
        with pytest.raises(Undeliverable):
            add_entry(database, key, [b"a", b"1"], 5, LIMITS)


@needs_source("broker.values.streams.stream")
def test_an_entry_that_is_too_large_makes_no_stream(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_ENTRY", 10)
    with pytest.raises(Undeliverable):
        add_entry(database, b"s", [b"a", b"x" * 11], 5, LIMITS)
    assert b"s" not in database.data
