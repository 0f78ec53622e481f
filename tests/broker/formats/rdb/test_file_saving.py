"""What a file consists of, and its version. That it is read again is in test_rdb_file_loading."""

import pytest

from broker.broker import Broker
from broker.formats.rdb.file_saving import needed_version, save_rdb
from broker.keyspace.database import Value
from broker.values.hash import Hash
from broker.values.streams.older import RELEASED
from tests.broker.persistence.files_made import load, saved, sealed_file
from tests.broker.persistence.values_made import (
    all_values,
    expiring_hash,
    grouped_stream,
    idle_stream,
    producers_stream,
    released_stream,
    stream,
)
from tests.broker.sessions import make_broker

AUX = b"\xfa\x09redis-ver\x068.10.0\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime%b\xfa\x08aof-base\xc0%c"


def facts(broker: Broker, base: bool = False) -> bytes:
    now = broker.keyspace.clock.now // 1000
    return AUX % (b"\xc2" + now.to_bytes(4, "little"), base)


def test_every_part_of_a_file() -> None:
    broker = make_broker()
    first, second = broker.keyspace.databases[0], broker.keyspace.databases[9]
    first.data[b"k"] = b"v"
    first.data[b"h"] = Hash({b"f": b"v"})
    first.expire_at(b"h", 0x0102030405)
    second.data[b"n"] = b"7"
    second.expire_at(b"n", 0x0102030406)
    assert saved(broker, [b"#!lua name=a"], aux=[(b"used-mem", b"x")], aof_base=True) == sealed_file(
        facts(broker, True).replace(b"\xfa\x08aof-base", b"\xfa\x08used-mem\1x\xfa\x08aof-base")
        + b"\xf5\x0c#!lua name=a"
        + b"\xfe\0\xfb\2\1\0\1k\1v\xfc\5\4\3\2\1\0\0\0\x10\1h\x0d\x0d\0\0\0\2\0\x81f\2\x81v\2\xff"
        + b"\xfe\x09\xfb\1\1\xfc\6\4\3\2\1\0\0\0\0\1n\xc0\7"
    )


def test_an_empty_keyspace() -> None:
    broker = make_broker()
    assert saved(broker) == sealed_file(facts(broker))


def test_without_checksum_and_compression() -> None:
    broker = make_broker(rdbchecksum=False, rdbcompression=False)
    broker.keyspace.databases[0].data[b"k" * 30] = b"v" * 30
    data = saved(broker)
    assert data.endswith(b"\0\x1e" + b"k" * 30 + b"\x1e" + b"v" * 30 + b"\xff" + bytes(8))


def test_idle_times_and_frequencies() -> None:
    lru, lfu, other = (
        make_broker(maxmemory_policy=policy) for policy in ("allkeys-lru", "volatile-lfu", "allkeys-random")
    )
    for broker in (lru, lfu, other):
        database = broker.keyspace.databases[0]
        for key, value in ((b"a", b"1"), (b"b", Hash({b"f": b"v"}))):
            database.add(key, value)
            broker.keyspace.access.set_idle(database, key, 100)
            broker.keyspace.access.set_frequency(database, key, 200)
    assert b"\xf8\x40\x64\0\1a\xc0\1\xf8\x40\x64\x10\1b" in saved(lru)
    assert b"\xf9\xc8\0\1a\xc0\1\xf9\xc8\x10\1b" in saved(lfu)
    assert b"\xfb\2\0\0\1a\xc0\1\x10\1b" in saved(other)


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ([b"text", Hash({b"f": b"v"}), stream(), grouped_stream()], 10),
        ([idle_stream(), b"text", idle_stream()], 10),
        ([expiring_hash(3, 1)], 12),
        ([expiring_hash(1, 1), idle_stream()], 12),
        ([producers_stream()], 12),
        ([b"text", released_stream(), stream()], 12),
    ],
)
def test_the_oldest_version_that_holds_the_data(values: list[Value], version: int) -> None:
    broker = make_broker()
    for number, value in enumerate(values):
        database = broker.keyspace.databases[number]
        database.add(b"%d" % number, value)
    assert needed_version(broker.keyspace.databases, broker.config) == version
    assert saved(broker).startswith(b"REDIS00%d" % version)


def test_when_consumers_succeeded_stands_beside_a_stream_that_7_0_reads() -> None:
    broker = make_broker(rdbcompression=False)
    database = broker.keyspace.databases[0]
    database.add(b"k", idle_stream())
    database.expire_at(b"k", 0x0102030405)
    consumers = database.data[b"k"].groups[b"g"].consumers
    for name, time in ((b"alice", 0x0102), (b"bob", 0x0103), (b"never", -1)):
        consumers[name].active_time = time
    times = b"\2\1" + bytes(6) + b"\3\1" + bytes(6) + b"\xff" * 8
    data = saved(broker)
    beside = b"\xfa\x19trimaran-consumers-active\x19" + times + b"k"
    assert beside + b"\xfc\5\4\3\2\1\0\0\0\x13\1k" in data
    # In a file that 7.0 can't read anyway the type of 7.2 has them.
    database.add(b"h", expiring_hash(1, 1))
    data = saved(broker)
    assert b"trimaran" not in data and b"\xfc\5\4\3\2\1\0\0\0\x15\1k" in data


def test_files_for_7_0_have_nothing_newer_but_deadlines_of_fields() -> None:
    broker = make_broker(replication_compat="7.0")
    database = broker.keyspace.databases[0]
    for key, value in ((b"p", producers_stream()), (b"r", released_stream()), (b"i", idle_stream())):
        database.add(key, value)
    data = saved(broker)
    assert data.startswith(b"REDIS0010") and data.count(b"trimaran-consumers-active") == 2
    copy = make_broker()
    load(data, copy)
    loaded = copy.keyspace.databases[0].data
    group = loaded[b"r"].groups[b"g"]
    assert list(group.pending_of(group.consumers[RELEASED])) == sorted(database.data[b"r"].groups[b"g"].released())
    for key in (b"r", b"i"):
        for name, consumer in database.data[key].groups[b"g"].consumers.items():
            assert loaded[key].groups[b"g"].consumers[name].active_time == consumer.active_time
    database.add(b"h", expiring_hash(1, 1))
    newer = saved(broker)
    assert newer.startswith(b"REDIS0012") and newer.count(b"trimaran-consumers-active") == 2


def test_a_stream_of_which_7_0_knows_all_has_nothing_beside_it() -> None:
    broker = make_broker()
    broker.keyspace.databases[0].add(b"k", grouped_stream())
    assert b"trimaran" not in saved(broker)


def test_deadlines_of_fields_that_are_gone_need_no_version() -> None:
    broker = make_broker()
    database = broker.keyspace.databases[0]
    for key in (b"replaced", b"deleted", b"persisted"):
        database.add(key, expiring_hash(1, 1))
    database.set(b"replaced", b"x")
    database.delete(b"deleted")
    database.data[b"persisted"].persist(b"field:0")
    assert database.field_deadlines
    assert needed_version(broker.keyspace.databases, broker.config) == 10


def test_pieces_and_progress() -> None:
    broker = make_broker(rdbcompression=False)
    data = broker.keyspace.databases[0].data
    for n in range(3500):
        data[b"%d" % n] = b"x" * 100
    data[b"large"] = b"y" * 3_000_000
    broker.keyspace.databases[1].data[b"k"] = b"v"
    parts: list[bytes] = []
    seen: list[int] = []
    assert save_rdb(parts.append, broker.keyspace, broker.config, progress=seen.append) == 3502
    assert seen == [1000, 2000, 3000, 3501, 3502]
    assert b"".join(parts) == saved(broker)
    assert max(map(len, parts)) == 1 << 20
    assert 5 <= len(parts) <= 12


def test_a_failing_disk_is_the_callers() -> None:
    broker = make_broker()
    broker.keyspace.databases[0].data[b"k"] = b"v"

    def write(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        save_rdb(write, broker.keyspace, broker.config)


def test_saving_changes_nothing() -> None:
    broker = make_broker()
    for name, value in all_values().items():
        broker.keyspace.databases[0].add(name.encode(), value)
    assert saved(broker) == saved(broker)
