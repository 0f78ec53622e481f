"""Commands that build values: each value, built by them in another broker, is the same."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from broker.broker import Broker
from broker.formats.aof.base_commands import commands_of, save_commands
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.streams.stream import Stream
from protocol.parser import RequestParser
from tests.broker.persistence.files_made import keys_of
from tests.broker.persistence.values_made import (
    DIRECTIVES,
    all_values,
    content,
    grouped_stream,
    producers_stream,
    released_stream,
    stream,
)
from tests.broker.sessions import make_broker, make_session, run


def commands(value: Any, deadline: int | None = None) -> list[list[bytes]]:
    """The commands for a value at the key `k`."""
    database = make_broker().keyspace.databases[0]
    database.add(b"k", value)
    if deadline is not None:
        database.expire_at(b"k", deadline)
    return list(commands_of(database, b"k", value, DIRECTIVES))


def built(requests: list[list[bytes]]) -> Broker:
    """A broker that has executed the commands; none may fail."""
    broker = make_broker()
    session = make_session(broker)
    for request in requests:
        reply = run(session, request)
        assert not reply.startswith(b"-"), (request, reply)
    return broker


def comparable(value: Any) -> Any:
    """The content, but for what commands don't say of a stream: consumers' times, and counts of idempotency."""
    if not isinstance(value, Stream):
        return content(value)
    kind, entries, counters, groups, _, producers = content(value)
    plain = {
        name: (place, {consumer: facts[2] for consumer, facts in consumers.items()}, *rest)
        for name, (place, consumers, *rest) in groups.items()
    }
    idempotency = (value.idempotency.duration, value.idempotency.maxsize)
    return kind, entries, counters, plain, idempotency, producers


# The iids of that one are so old that a broker forgets them at once.
@pytest.mark.parametrize("name", sorted(all_values().keys() - {"stream with producers"}))
def test_every_value_is_built_anew(name: str) -> None:
    value = all_values()[name]
    database = built(commands(value)).keyspace.databases[0]
    assert comparable(database.data[b"k"]) == comparable(value)


def test_the_commands_themselves() -> None:
    assert commands(b"v", 4_000_000_000_000) == [[b"SET", b"k", b"v"], [b"PEXPIREAT", b"k", b"4000000000000"]]
    assert commands(bytearray(b"v")) == [[b"SET", b"k", b"v"]]
    value = Hash({b"%d" % n: b"v" for n in range(3)})
    for field, deadline in ((b"0", 4_000_000_000_001), (b"1", 4_000_000_000_000), (b"2", 4_000_000_000_001)):
        value.expire_at(field, deadline)
    assert commands(value) == [
        [b"HMSET", b"k", b"0", b"v", b"1", b"v", b"2", b"v"],
        [b"HPEXPIREAT", b"k", b"4000000000000", b"FIELDS", b"1", b"1"],
        [b"HPEXPIREAT", b"k", b"4000000000001", b"FIELDS", b"2", b"0", b"2"],
    ]
    assert [len(command) for command in commands(List([b"x"] * 130))] == [66, 66, 4]
    assert commands(Stream(DIRECTIVES)) == [
        [b"XADD", b"k", b"MAXLEN", b"0", b"0-1", b"x", b"y"],
        [b"XSETID", b"k", b"0-0", b"ENTRIESADDED", b"0", b"MAXDELETEDID", b"0-0"],
    ]


def test_entries_that_are_gone_are_remembered() -> None:
    """XCLAIM would drop them, and XIDMPRECORD refuse them."""
    requests = commands(producers_stream())
    assert [request[0] for request in requests] == [b"RESTORE"]
    for value in (grouped_stream(), released_stream()):
        group = value.groups[b"g"]
        gone = next(group.pending())
        value.delete(gone)
        requests = commands(value)
        assert [request[0] for request in requests] == [b"RESTORE"]
        again = built(requests).keyspace.databases[0].data[b"k"]
        assert content(again) == content(value)
        assert gone in again.groups[b"g"].pel


def test_producers() -> None:
    value = stream(3)
    value.idempotency.record(b"p", b"iid", 2 << 64 | 2)
    value.idempotency.duration = 50
    assert commands(value)[-2:] == [
        [b"XCFGSET", b"k", b"IDMP-DURATION", b"50", b"IDMP-MAXSIZE", b"100"],
        [b"XIDMPRECORD", b"k", b"p", b"iid", b"2-2"],
    ]
    again = built(commands(value)).keyspace.databases[0].data[b"k"]
    assert comparable(again) == comparable(value)


@pytest.mark.parametrize("made", [producers_stream, released_stream])
def test_streams_for_7_0(made: Callable[[], Stream]) -> None:
    value = made()
    if made is producers_stream:
        value.idempotency.record(b"p", b"gone", 9 << 64)
    database = make_broker().keyspace.databases[0]
    requests = list(commands_of(database, b"k", value, replace(DIRECTIVES, replication_compat="7.0")))
    assert not {request[0] for request in requests} - {b"XADD", b"XSETID", b"XGROUP", b"XCLAIM"}
    again = built(requests).keyspace.databases[0].data[b"k"]
    assert list(again.entries()) == list(value.entries()) and not again.idempotency.producers
    for name, group in value.groups.items():
        assert list(again.groups[name].pending()) == list(group.pending())


def test_a_deleted_entry_that_is_pending_for_7_0() -> None:
    value = released_stream()
    value.delete(next(value.groups[b"g"].released()))
    database = make_broker().keyspace.databases[0]
    [request] = commands_of(database, b"k", value, replace(DIRECTIVES, replication_compat="7.0"))
    assert request[0] == b"RESTORE" and request[3][-10:-8] == b"\x0a\0"


def test_a_whole_keyspace() -> None:
    broker = make_broker()
    for n in range(2500):
        broker.keyspace.databases[0].data[b"%d" % n] = b"v"
    last = broker.keyspace.databases[15]
    last.data[b"large"] = b"x" * 100_000
    last.expire_at(b"large", 4_000_000_000_000)
    parts: list[bytes] = []
    seen: list[int] = []
    library = b"#!lua name=a\nredis.register_function('f', function() return 1 end)"
    count = save_commands(parts.append, broker.keyspace, broker.config, functions=[library], progress=seen.append)
    assert (count, seen) == (2501, [1000, 2000])
    requests = RequestParser().feed(b"".join(parts))
    assert requests[0] == [b"FUNCTION", b"LOAD", library]
    assert requests[1] == [b"SELECT", b"0"] and requests[2502] == [b"SELECT", b"15"]
    assert keys_of(built(requests[1:])) == keys_of(broker)
    assert len(parts) == 3


def test_an_empty_keyspace() -> None:
    broker = make_broker()
    parts: list[bytes] = []
    assert save_commands(parts.append, broker.keyspace, broker.config) == 0
    assert parts == []
