"""The oldest type that says all there is to say of a stream."""

from dataclasses import replace

import pytest

from broker.persistence.rdb_format import (
    STREAM_LISTPACKS_2,
    STREAM_LISTPACKS_3,
    STREAM_LISTPACKS_4,
    STREAM_LISTPACKS_5,
)
from broker.persistence.rdb_stream_saving import save_stream
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
    assert save_stream(bytearray(), all_values()[name], DIRECTIVES, True) == kind


def test_bounds_of_producers_that_are_not_the_defaults_are_told() -> None:
    assert save_stream(bytearray(), stream(1), replace(DIRECTIVES, stream_idmp_duration=5), True) == STREAM_LISTPACKS_4


def test_an_empty_stream() -> None:
    out = bytearray(b">")
    save_stream(out, all_values()["empty stream"], DIRECTIVES, True)
    assert out == b">" + b"\0" * 10
