"""The oldest type that says all there is to say of a stream."""

from dataclasses import replace

import pytest

from broker.formats.rdb.format import STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STREAM_LISTPACKS_5
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.stream_saving import save_stream, stream_kind
from broker.formats.rdb.value_loading import load_value
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
