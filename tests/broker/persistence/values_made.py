"""Values of every type, size and state, and what it takes to say that two are the same."""

from dataclasses import dataclass
from typing import Any

from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.group import Group
from broker.values.streams.stream import Stream
from broker.values.streams.trim import trim_by_length


@dataclass(slots=True)
class Directives:
    """The directives that saving and loading obey, with Redis's defaults."""

    rdbcompression: bool = True
    list_max_listpack_size: int = -2
    hash_max_listpack_entries: int = 512
    hash_max_listpack_value: int = 64
    set_max_intset_entries: int = 512
    zset_max_listpack_entries: int = 128
    zset_max_listpack_value: int = 64
    stream_node_max_bytes: int = 4096
    stream_node_max_entries: int = 100
    stream_idmp_duration: int = 100
    stream_idmp_maxsize: int = 100
    replication_compat: str = "latest"


DIRECTIVES = Directives()


def expiring_hash(count: int, every: int) -> Hash:
    """A hash of which each `every`-th field has a deadline."""
    value = Hash({b"field:%d" % n: b"%d" % (n * 7) for n in range(count)})
    for n in range(0, count, every):
        value.expire_at(b"field:%d" % n, 4_000_000_000_000 + (count - n) * 1000)
    return value


def stream(count: int = 250) -> Stream:
    """A stream of several nodes, trimmed, with deleted entries, and entries of other fields than their node's."""
    value = Stream(DIRECTIVES)
    for n in range(1, count + 1):
        fields = [b"f", b"%d" % n] if n % 5 else [b"g", b"value %d" % n, b"h" * (n % 90), b""]
        value.append(n << 64 | n % 3, fields)
    for n in range(7, count, 60):
        value.delete(n << 64 | n % 3)
    if count > 40:
        trim_by_length(value, value.length - 10)
    return value


def grouped_stream() -> Stream:
    """A stream with groups: read in part, acknowledged in part, claimed."""
    value = stream(60)
    group = value.groups[b"g"] = Group(b"g", 0)
    alice, bob = group.create_consumer(b"alice", 1_700_000_000_000), group.create_consumer(b"bob", 1_700_000_000_005)
    ids, _ = value.read_after(0, 20)
    group.deliver(alice, ids[:12], 1_700_000_000_000)
    group.deliver(bob, ids[12:], 1_700_000_000_005)
    value.advance(group, ids)
    for id in ids[2:9:2]:
        group.acknowledge(id)
    group.claim(ids[0], bob, 1_700_000_000_003, 4)
    value.groups[b"late"] = Group(b"late", value.last_id)
    return value


def idle_stream() -> Stream:
    """A stream with a consumer that never got anything."""
    value = grouped_stream()
    value.groups[b"g"].create_consumer(b"never", 1_700_000_000_009)
    return value


def producers_stream() -> Stream:
    """A stream that remembers producers."""
    value = stream(5)
    producers = value.idempotency
    producers.duration = 3600
    for producer in (b"p", b"q"):
        for n in range(3):
            producers.record(producer, b"iid %d" % n, n << 64 | 1)
    producers.duplicates = 9
    return value


def released_stream() -> Stream:
    """A stream with entries that their consumers gave back."""
    value = idle_stream()
    group = value.groups[b"g"]
    ids = list(group.pending())
    for id in (ids[5], ids[1], ids[3]):
        group.release(id, 2)
    return value


def all_values() -> dict[str, Any]:
    """A fresh value of every kind."""
    return {
        "empty string": b"",
        "integer": b"-12345",
        "long integer": b"12345678901234567890",
        "string": b"some text\r\n\0",
        "repetitive string": b"abc" * 10_000,
        "bytearray": bytearray(b"grown"),
        "list": List([b"a", b"1", b"", b"-99999", b"x" * 100]),
        "long list": List([b"element %d" % n for n in range(3000)]),
        "list of large elements": List([b"a", b"b" * 9000, b"c", b"d" * 8193, b"d" * 8192]),
        "integers": Set.of([b"%d" % n for n in range(-50, 5000, 100)]),
        "wide integers": Set.of([b"1", b"-9223372036854775808", b"9223372036854775807"]),
        "set": Set.of([b"a", b"1", b"", b"x" * 99]),
        "large set": Set.of([b"%d" % n for n in range(600)]),
        "sorted set": SortedSet({b"a": 1.0, b"b": -0.1, b"c": float("inf"), b"d": 1e300, b"e": 2.0**60, b"f": -7.0}),
        "large sorted set": SortedSet({b"m%d" % n: n / 7 for n in range(300)}),
        "hash": Hash({b"f": b"v", b"": b"", b"1": b"-1"}),
        "large hash": Hash({b"f%d" % n: b"v" * (n % 90) for n in range(700)}),
        "expiring hash": expiring_hash(9, 2),
        "large expiring hash": expiring_hash(700, 3),
        "expired once": _persisted(),
        "stream": stream(),
        "short stream": stream(3),
        "empty stream": Stream(DIRECTIVES),
        "stream with groups": grouped_stream(),
        "stream with idle consumers": idle_stream(),
        "stream with producers": producers_stream(),
        "stream with released entries": released_stream(),
    }


def _persisted() -> Hash:
    value = expiring_hash(3, 1)
    for field in list(value):
        value.persist(field)
    return value


def content(value: Any) -> Any:
    """All that makes a value, in comparable form."""
    if isinstance(value, SortedSet):
        return "zset", list(value)
    if isinstance(value, Hash):
        return "hash", dict(value), value.deadlines or {}
    if isinstance(value, Stream):
        producers = value.idempotency
        return (
            "stream",
            list(value.entries()),
            (value.length, value.first_id, value.last_id, value.max_deleted_id, value.entries_added),
            {name: _group_content(group) for name, group in value.groups.items()},
            (producers.duration, producers.maxsize, producers.added, producers.duplicates),
            {name: list(iids.items()) for name, iids in producers.producers.items()},
        )
    return bytes(value) if isinstance(value, (bytes, bytearray)) else (value.__class__.__name__, value)


def _group_content(group: Group) -> Any:
    return (
        (group.last_id, group.entries_read),
        {name: (c.seen_time, c.active_time, c.pending) for name, c in group.consumers.items()},
        {id: (d.consumer and d.consumer.name, d.time, d.count) for id, d in group.pel.items()},
        list(group.released()),
        list(group.pending()),
        {name: list(group.pending_of(c)) for name, c in group.consumers.items()},
    )
