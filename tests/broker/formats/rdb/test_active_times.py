"""The field beside a stream, and which streams it is for. Whole files are in test_rdb_file_loading."""

import pytest

from broker.formats.rdb.active_times import active_times_differ, pack_active_times, restore_active_times
from broker.formats.rdb.format import STREAM_LISTPACKS_2
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.stream_saving import save_stream
from broker.formats.rdb.value_loading import load_value
from broker.values.streams.group import Group
from broker.values.streams.stream import Stream
from tests.broker.persistence.values_made import DIRECTIVES, content, grouped_stream, idle_stream, stream


def without_times(value: Stream) -> Stream:
    """What the older type has of a stream."""
    out = bytearray()
    save_stream(out, value, STREAM_LISTPACKS_2, True)
    return load_value(Reader(bytes(out)), STREAM_LISTPACKS_2, DIRECTIVES)


def unordered(consumers: int = 3) -> Stream:
    """A stream whose groups and consumers were not created in the order of their names."""
    value = stream(3)
    for name in (b"z", b"a", b"m"):
        group = value.groups[name] = Group(name, 0)
        for number in reversed(range(consumers)):
            consumer = group.create_consumer(b"%d" % number, 1_700_000_000_000 + number)
            consumer.active_time = 5 * number - 1 + ord(name)
    return value


def test_streams_that_need_it() -> None:
    assert active_times_differ(idle_stream()) and active_times_differ(unordered())
    assert not active_times_differ(grouped_stream()) and not active_times_differ(stream(2))


@pytest.mark.parametrize("key", [b"k", b"", b"\0" * 24])
@pytest.mark.parametrize("value", [idle_stream(), unordered(), grouped_stream(), stream(2)])
def test_there_and_back(key: bytes, value: Stream) -> None:
    again = without_times(value)
    list(restore_active_times(pack_active_times(key, value), key, again))
    assert content(again) == content(value)


def test_the_bytes() -> None:
    value = stream(1)
    group = value.groups[b"g"] = Group(b"g", 0)
    group.create_consumer(b"b", 7)
    group.create_consumer(b"a", 7).active_time = 0x0102
    assert pack_active_times(b"key", value) == b"\2\1" + bytes(6) + b"\xff" * 8 + b"key"
    assert pack_active_times(b"key", stream(1)) == b"key"


def test_what_does_not_fit_changes_nothing() -> None:
    value = unordered()
    packed = pack_active_times(b"k", value)
    again = without_times(value)
    before = content(again)
    wrong = [b"", b"k", packed[:-1], packed[:-1] + b"j", packed[8:], bytes(8) + packed, packed[1:], packed + b"k"]
    for field in wrong:
        assert list(restore_active_times(field, b"k", again)) == []
    assert list(restore_active_times(packed, b"", again)) == []
    assert list(restore_active_times(packed, b"kk", again)) == []
    assert content(again) == before


def test_many_consumers_are_done_in_steps() -> None:
    value = unordered(2000)
    again = without_times(value)
    assert len(list(restore_active_times(pack_active_times(b"k", value), b"k", again))) == 6
    assert content(again) == content(value)
