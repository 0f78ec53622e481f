"""Whole files: of every version, of others' making, damaged."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.formats.rdb.active_times import ACTIVE_TIMES
from broker.formats.rdb.file_loading import load_rdb
from broker.formats.rdb.primitives import length_bytes
from broker.formats.rdb.reader import BadFormat, Reader
from broker.values.hash import Hash
from broker.values.list import List
from tests.broker.persistence.files_made import keys_of, load, loaded_keys, saved, sealed_file
from tests.broker.persistence.payloads import HAND_MADE, string, ziplist, zipmap
from tests.broker.persistence.values_made import all_values, content, idle_stream, stream
from tests.broker.sessions import make_broker

NOW = 1_700_000_000_000


def full_broker() -> Any:
    """A broker with a value of every kind, some in a second database, some with deadlines."""
    broker = make_broker()
    for number, (name, value) in enumerate(all_values().items()):
        database = broker.keyspace.databases[number % 2]
        database.add(name.encode(), value)
        if number % 3 == 0:
            database.expire_at(name.encode(), 4_000_000_000_000 + number)
    return broker


FULL = saved(full_broker(), [b"#!lua name=a\nreturn 1"])


@pytest.mark.parametrize("piece", [1 << 16, 61, 1])
def test_what_was_saved_is_loaded(piece: int) -> None:
    broker = make_broker()
    loaded, target, _ = load(FULL, broker, NOW, piece)
    assert keys_of(broker) == keys_of(full_broker())
    assert (loaded.version, loaded.keys, loaded.expired, loaded.empty) == (12, len(all_values()), 0, 0)
    assert loaded.checked
    assert target.functions == [b"#!lua name=a\nreturn 1"]
    assert target.facts[b"redis-ver"] == b"8.10.0" and target.facts[b"aof-base"] == b"0"


def test_saved_again_it_is_the_same_file() -> None:
    broker = make_broker()
    load(FULL, broker)
    again = saved(broker, [b"#!lua name=a\nreturn 1"])
    start = b"\xfe\0\xfb"
    assert again[again.index(start) : -8] == FULL[FULL.index(start) : -8]


@pytest.mark.parametrize("version", range(1, 16))
def test_versions(version: int) -> None:
    data = sealed_file(b"\xfe\0\0\1k\1v", version)
    assert loaded_keys(data) == {b"k": b"v"}
    broker = make_broker()
    loaded, _, _ = load(data, broker)
    assert (loaded.version, loaded.checked) == (version, version >= 5)


@pytest.mark.parametrize("magic", [b"REDIS", b"VALKEY"])
def test_versions_of_valkey(magic: bytes) -> None:
    fields = b"\x16\1k\2\1f\1v" + (4_000_000_000_000).to_bytes(8, "little") + b"\1g\1w" + b"\xff" * 8
    data = sealed_file(b"\xfe\0\xf4\1\2\1\xf3\x28" + b"x" * 40 + b"\2\1\2\3\4" + fields, 80, magic)
    expected = Hash({b"f": b"v", b"g": b"w"})
    expected.expire_at(b"f", 4_000_000_000_000)
    assert loaded_keys(data) == {b"k": content(expected)}


@pytest.mark.parametrize(
    ("header", "reason"),
    [(b"REDIS0016", "version 16"), (b"REDIS0000", "version 0"), (b"VALKEY090", "version 90"),
     (b"REDIS0079", "version 79"), (b"REDIS00x1", "Wrong signature"), (b"REDIS 010", "Wrong signature"),
     (b"redis0010", "Wrong signature"), (b"VALKEY08x", "Wrong signature"), (b"*3\r\n$3\r\nS", "Wrong signature"),
     (b"REDIS001", "cut short"), (b"", "cut short")],
)  # fmt: skip
def test_no_file_of_ours(header: bytes, reason: str) -> None:
    with pytest.raises(BadFormat, match=reason):
        loaded_keys(header + b"\xff" * (9 if len(header) == 9 else 0))


@pytest.mark.parametrize("name", HAND_MADE)
def test_every_encoding(name: str) -> None:
    """A payload's type and body are a file's, around the key."""
    payload = HAND_MADE[name]
    version = int.from_bytes(payload[-10:-8], "little")
    body = payload[1:-10].removesuffix(b"junk")
    data = sealed_file(b"\xfe\0" + payload[:1] + b"\1k" + body, max(version, 5))
    assert list(loaded_keys(data)) == [b"k"]


def test_a_file_of_2_4() -> None:
    """Ziplists and zipmaps, deadlines in seconds, neither sizes nor a checksum."""
    records = (
        b"\xfe\0\xfd" + (2_000_000_000).to_bytes(4, "little") + b"\0\1k\x05hello"
        + b"\x0a\1l" + string(ziplist(b"a", 1, 70000)) + b"\x09\1h" + string(zipmap((b"f", b"v"), unused=2))
        + b"\xfe\5\x0c\1z" + string(ziplist(b"m", 1)) + b"\3\1y\1\1m\x031.5"
        + b"\x0b\1i" + string(b"\2\0\0\0\1\0\0\0\5\0")
    )  # fmt: skip
    broker = make_broker()
    loaded, _, _ = load(sealed_file(records, 2), broker, NOW)
    keys = keys_of(broker)
    assert keys[0, b"k"] == (b"hello", 2_000_000_000_000)
    assert keys[0, b"l"] == (content(List([b"a", b"1", b"70000"])), None)
    assert [key for key in keys if key[0] == 5] == [(5, b"z"), (5, b"y"), (5, b"i")]
    assert loaded.keys == 6


def test_deadlines() -> None:
    def at(deadline: int) -> bytes:
        return b"\xfc" + deadline.to_bytes(8, "little", signed=True)

    records = b"\xfe\0" + b"".join([
        at(NOW - 1), b"\0\1a\1v", at(NOW), b"\0\1b\1v", at(NOW + 1), b"\0\1c\1v", b"\0\1d\1v", at(-1), b"\0\1e\1v",
        at(-1), b"\1\1f\1\1v", at(NOW - 1), b"\1\1g\1\1v", at(NOW + 1), b"\1\1h\1\1v", at(-5), b"\0\1i\1v",
    ])  # fmt: skip
    broker = make_broker()
    loaded, _, _ = load(sealed_file(records), broker, NOW)
    deadlines = {key: deadline for (_, key), (_, deadline) in keys_of(broker).items()}
    assert deadlines == {b"b": NOW, b"c": NOW + 1, b"d": None, b"e": None, b"f": None, b"h": NOW + 1}
    assert (loaded.keys, loaded.expired) == (6, 3)
    # What follows the base of an append-only file counts on all of its keys.
    broker = make_broker()
    loaded, _, _ = load(sealed_file(records), broker, None)
    assert (loaded.keys, loaded.expired) == (9, 0)
    assert broker.keyspace.databases[0].deadline(b"i") == -5


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-lrm"])
def test_idle_times_and_frequencies(policy: str) -> None:
    records = (
        b"\xfe\0\xf8\x40\x64\0\1a\1v\xf8\x81" + b"\xff" * 8 + b"\1\1b\1\1v\xf9\xc8\0\1c\1v\xf9\xc8\1\1d\1\1v\0\1e\1v"
    )
    broker = make_broker(maxmemory_policy=policy)
    load(sealed_file(records), broker)
    database, access = broker.keyspace.databases[0], broker.keyspace.access
    if policy == "allkeys-lru":
        assert [access.idle_seconds(database, key) for key in (b"a", b"e")] == [100, 0]
        assert access.idle_seconds(database, b"b") == broker.keyspace.clock.now // 1000
    elif policy == "allkeys-lfu":
        assert [access.frequency(database, key) for key in (b"a", b"c", b"d", b"e")] == [5, 200, 200, 5]
    else:
        assert database.last_access == {}


def test_empty_values_are_left_out() -> None:
    records = (
        b"\xfe\0" + b"\xfc" + (NOW + 5).to_bytes(8, "little") + b"\1\1a\0" + b"\0\1b\1v" + b"\2\1c\0" + b"\4\1d\0"
        + b"\5\1e\0" + b"\x0a\1f" + string(ziplist()) + b"\x12\1g\0"
        + b"\x10\1h" + string(b"\7\0\0\0\0\0\xff") + b"\0\1i\1w"
    )  # fmt: skip
    broker = make_broker()
    loaded, _, _ = load(sealed_file(records), broker, NOW)
    assert keys_of(broker) == {(0, b"b"): (b"v", None), (0, b"i"): (b"w", None)}
    assert (loaded.keys, loaded.empty) == (2, 7)


def idle_broker(**directives: Any) -> Any:
    """A broker whose file has something beside its streams."""
    broker = make_broker(**directives)
    for number, key in enumerate((b"one", b"two", b"three")):
        database = broker.keyspace.databases[number % 2]
        value = idle_stream()
        value.groups[b"g"].consumers[b"never"].active_time = number
        database.add(key, value)
        database.add(b"text" + key, b"v")
        database.add(b"list" + key, List([b"a"]))
    broker.keyspace.databases[0].expire_at(b"one", NOW)
    return broker


@pytest.mark.parametrize("directives", [{}, {"rdbcompression": False}, {"maxmemory_policy": "allkeys-lru"}])
@pytest.mark.parametrize("piece", [1 << 16, 1])
def test_when_consumers_succeeded_is_kept_in_a_file_for_7_0(directives: dict[str, Any], piece: int) -> None:
    broker = make_broker()
    data = saved(idle_broker(**directives))
    loaded, target, _ = load(data, broker, NOW, piece)
    assert loaded.version == 10
    assert keys_of(broker) == keys_of(idle_broker())
    assert set(target.facts) == {b"redis-ver", b"redis-bits", b"ctime", b"aof-base"}


STREAMS = {b"stream": HAND_MADE["stream 2"], b"newer": HAND_MADE["stream 3"]}


@pytest.mark.parametrize(
    ("records", "active"),
    [
        (b"%(field)b%(stream)b", 9),
        (b"%(field)b\xfc" + (NOW + 1).to_bytes(8, "little") + b"%(stream)b", 9),
        (b"\xfc" + (NOW + 1).to_bytes(8, "little") + b"%(field)b%(stream)b", 9),
        (b"%(field)b\xfa\1a\1b%(stream)b", 9),
        (b"%(other)b%(field)b%(stream)b", 9),
        (b"%(stream)b", 1700000000001),
        (b"%(other)b%(stream)b", 1700000000001),
        (b"%(field)b%(other)b%(stream)b", 1700000000001),
        (b"%(field)b\0\1a\1v%(stream)b", 1700000000001),
        (b"%(field)b\1\1a\1\1v%(stream)b", 1700000000001),
        (b"%(field)b\1\1a\0%(stream)b", 1700000000001),
        (b"%(field)b\xfc" + (NOW - 1).to_bytes(8, "little") + b"\0\1a\1v%(stream)b", 1700000000001),
        (b"%(field)b%(newer)b", 1700000000002),
    ],
)
def test_where_the_field_of_a_stream_counts(records: bytes, active: int) -> None:
    """It holds for the key that follows, if it is that one's."""
    broker = make_broker()
    name = b"\xfa" + string(ACTIVE_TIMES)
    parts = {
        b"field": name + string((9).to_bytes(8, "little") + b"k"),
        b"other": name + string((8).to_bytes(8, "little") + b"j"),
        **{part: payload[:1] + b"\1k" + payload[1:-10] for part, payload in STREAMS.items()},
    }
    load(sealed_file(b"\xfe\0" + records % parts, 11), broker, NOW)
    consumer = broker.keyspace.databases[0].data[b"k"].groups[b"g"].consumers[b"alice"]
    assert (consumer.seen_time, consumer.active_time) == (1700000000001, active)


def test_templates_of_hashes() -> None:
    template = b"\xf2\7\2\1f\1g"
    records = b"\xfe\0\x20\1a\7\1v\1w" + b"\x1e\1b" + string(b"\x0f\0\0\0\3\0\7\1\x81x\2\x81y\2\xff")
    assert loaded_keys(sealed_file(template + records, 15)) == {
        b"a": content(Hash({b"f": b"v", b"g": b"w"})),
        b"b": content(Hash({b"f": b"x", b"g": b"y"})),
    }
    for wrong, reason in (
        (template * 2, "a duplicate template"), (b"\xf2\7\0", "without fields"), (b"\xf2\7\2\1f\1f", "a duplicate one"),
        (b"", "unknown template"),
    ):  # fmt: skip
        with pytest.raises(BadFormat, match=reason):
            loaded_keys(sealed_file(wrong + records, 15))


def module_number(name: str, version: int) -> int:
    """The number of a module's type: nine characters of six bits each, and ten bits of version."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    number = 0
    for character in name:
        number = number << 6 | alphabet.index(character)
    return number << 10 | version


MODULE = length_bytes(module_number("ReJSON-RL", 3))


@pytest.mark.parametrize(
    ("records", "reason", "offset"),
    [
        (b"\xfe\0\7\1k" + MODULE, "key 'k' holds data of module type ReJSON-RL", 23),
        (b"\xfe\0\6\1k" + MODULE, "key 'k' holds data of module type ReJSON-RL", 23),
        (b"\xf7" + MODULE, "data of module type ReJSON-RL", 19),
        (b"\xf3\1", "a key with metadata of a module", 10),
        (b"\xf6\1", "functions of a release candidate of Redis 7.0", 10),
        (b"\xfe\0\x1c\1k", "key 'k' holds an array, which this broker doesn't have", 14),
        (b"\xfe\0\x21\1k\1v", "unknown value type", 14),
        (b"\xfe\0\xf1\1k\1v", "unknown value type", 14),
        (b"\xfe\x10", "keys of database 16, which does not exist (see `databases`)", 11),
        (b"\xfe\xc0\1", "a length is missing", 11),
        (b"\xfe\0\0\1k\1v\0\1k\1w", "a duplicate key", 21),
        (b"\xfe\0\0\1k\1v\0\1a\1v\0\1a\1v", "a duplicate key", 26),
        (b"\xfe\0\0\1k\1v\1\1k\1\1v", "a duplicate key", 22),
        (b"\xfe\0\2\1k\2\1a\1a", "a duplicate element", 19),
        (b"\xfe\0\0\1k\x82", "unknown length format", 15),
    ],
)  # fmt: skip
def test_refusals(records: bytes, reason: str, offset: int) -> None:
    with pytest.raises(BadFormat) as caught:
        loaded_keys(sealed_file(records))
    assert (caught.value.reason, caught.value.offset) == (reason, offset)


def test_a_library_that_cannot_be_loaded() -> None:
    class Picky:
        def function(self, source: bytes) -> None:
            raise ValueError("no shebang")

    loading = load_rdb(Reader(sealed_file(b"\xf5\1x")), Picky(), make_broker().config, now=None)  # type: ignore[arg-type]
    with pytest.raises(BadFormat, match="a library of functions can't be loaded: no shebang at byte 12"):
        next(loading)


def test_the_checksum() -> None:
    data = sealed_file(b"\xfe\0\0\1k\1v")
    wrong = data.replace(b"k", b"j")
    with pytest.raises(BadFormat, match=f"the checksum is wrong at byte {len(data)}"):
        loaded_keys(wrong)
    assert loaded_keys(wrong[:-8] + bytes(8)) == {b"j": b"v"}


def test_the_loading_pauses() -> None:
    broker = make_broker()
    database = broker.keyspace.databases[0]
    for n in range(5000):
        database.add(b"%d" % n, b"v" * 10)
    for n in range(20):
        database.add(b"large%d" % n, List([b"%d" % n * 100] * 500))
    database.add(b"stream", stream(20_000))
    _, _, pauses = load(saved(broker), make_broker())
    assert pauses == sorted(pauses) and len(pauses) > 9


def test_cut_anywhere() -> None:
    step = max(1, len(FULL) // 200)
    for size in [*range(200), *range(200, len(FULL), step), *range(len(FULL) - 40, len(FULL))]:
        with pytest.raises(BadFormat) as caught:
            loaded_keys(FULL[:size])
        assert caught.value.offset == size


@pytest.mark.parametrize("seed", range(4))
def test_one_flipped_bit_anywhere(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        data = bytearray(FULL)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with pytest.raises(BadFormat):
            loaded_keys(bytes(data))


SMALL = sealed_file(
    b"\xfa\3ctm\xc2abcd\xf5\2ab\xfe\0\xfb\3\1" + b"".join(
        payload[:1] + string(b"key %d" % number) + payload[1:-10].removesuffix(b"junk")
        for number, payload in enumerate(HAND_MADE.values())
    ), 12,
)[:-8] + bytes(8)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_without_a_checksum_damage_gives_an_error_or_whole_values(seed: int) -> None:
    rng = random.Random(seed)
    refused = 0
    for _ in range(60):
        data = bytearray(SMALL)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) - 8)
            change = rng.randrange(4)
            if change == 0:
                data[at] ^= 1 << rng.randrange(8)
            elif change == 1:
                data[at] = rng.randrange(256)
            elif change == 2:
                del data[at : at + rng.randrange(9)]
            else:
                data[at:at] = rng.choice([b"\x81" + b"\xff" * 8, b"\0", b"\xff", bytes(data[at : at + 20])])
        broker = make_broker()
        try:
            load(bytes(data), broker, NOW)
        except BadFormat as bad:
            refused += 1
            assert 0 <= bad.offset <= len(data)
        # What was loaded is whole: it can be saved, and loaded again.
        again = make_broker()
        load(saved(broker), again)
        assert keys_of(again) == keys_of(broker)
    assert refused > 30


@settings(max_examples=150)
@given(st.binary(max_size=80))
def test_anything_behind_a_header(data: bytes) -> None:
    for version in (b"0001", b"0012"):
        try:
            loaded_keys(b"REDIS" + version + data, NOW)
        except BadFormat:
            continue


def test_false_lengths_take_no_memory() -> None:
    huge = b"\x81\x00\x00\x00\xff" + b"\xff" * 4
    for kind in b"\0\1\2\3\4\5\x0a\x0b\x0e\x10\x11\x12\x13\x14\x15\x18\x19\x1a\x1b":
        for tail in (b"", b"abc" * 100):
            with pytest.raises(BadFormat):
                loaded_keys(sealed_file(b"\xfe\0" + bytes((kind,)) + b"\1k" + huge + tail, 15))
