"""The oldest type that says all there is to say of a stream."""

from dataclasses import replace

import pytest

from broker.formats.rdb.format import STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STREAM_LISTPACKS_5
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.stream_saving import save_stream, stream_kind
from broker.formats.rdb.value_loading import load_value
from broker.values.streams.older import RELEASED
from tests.broker.persistence.values_made import DIRECTIVES, all_values, stream


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("stream", STREAM_LISTPACKS_2),
        ("empty stream", STREAM_LISTPACKS_2),
        ("stream with groups", STREAM_LISTPACKS_2),
        ("stream with idle consumers", STREAM_LISTPACKS_3),
        ("stream with producers", STREAM_LISTPACKS_4),
        ("stream with released entries", STREAM_LISTPACKS_5),
    ],
)
def test_types(name: str, kind: int) -> None:
    assert stream_kind(all_values()[name], DIRECTIVES) == kind


def test_bounds_of_producers_that_are_not_the_defaults_are_told() -> None:
    assert stream_kind(stream(1), replace(DIRECTIVES, stream_idmp_duration=5)) == STREAM_LISTPACKS_4


@pytest.mark.parametrize(
    "name", ["stream with producers", "stream with released entries", "stream with idle consumers"]
)
def test_what_7_0_can_not_read_is_left_out_if_it_must_read_it(name: str) -> None:
    value = all_values()[name]
    assert stream_kind(value, replace(DIRECTIVES, replication_compat="7.0")) == STREAM_LISTPACKS_2
    out = bytearray()
    save_stream(out, value, STREAM_LISTPACKS_2, True)
    again = load_value(Reader(bytes(out)), STREAM_LISTPACKS_2, DIRECTIVES)
    assert list(again.entries()) == list(value.entries()) and not again.idempotency.producers
    for group_name, group in value.groups.items():
        found = again.groups[group_name]
        assert list(found.pending()) == list(group.pending()) and not found.released_count()
        released = list(found.pending_of(found.consumers[RELEASED])) if RELEASED in found.consumers else []
        assert released == sorted(group.released())


def test_an_empty_stream() -> None:
    out = bytearray(b">")
    save_stream(out, all_values()["empty stream"], STREAM_LISTPACKS_2, True)
    assert out == b">" + b"\0" * 10


def test_an_older_type_leaves_out_when_consumers_succeeded() -> None:
    value = all_values()["stream with idle consumers"]
    older, newer = bytearray(), bytearray()
    save_stream(older, value, STREAM_LISTPACKS_2, True)
    save_stream(newer, value, STREAM_LISTPACKS_3, True)
    consumers = len(value.groups[b"g"].consumers)
    assert len(newer) == len(older) + 8 * consumers
    again = load_value(Reader(bytes(older)), STREAM_LISTPACKS_2, DIRECTIVES)
    assert all(consumer.active_time == consumer.seen_time for consumer in again.groups[b"g"].consumers.values())
