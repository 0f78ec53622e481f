"""Arguments and results as msgpack."""

import enum
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from consumers.jobs.payloads import Arguments, decoder, encode, place


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Inner:
    when: datetime
    tags: set[str] = field(default_factory=set)


@dataclass
class Outer:
    inner: list[Inner]
    by_name: dict[str, Inner]
    maybe: Inner | None = None


WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, {"a": [1, -(2**63), 2**64 - 1, 1.5, True, None, b"\xff", "\u00e9"]}),
        (datetime, WHEN),
        (datetime, WHEN.replace(tzinfo=None)),
        (date, WHEN.date()),
        (timedelta, timedelta(days=1, microseconds=1)),
        (Decimal, Decimal("1.10")),
        (UUID, UUID(int=7)),
        (Colour, Colour.RED),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (Point, Point(1, 2)),
        (Path, Path("/a/b")),
        (Inner, Inner(WHEN, {"x"})),
        (Outer, Outer([Inner(WHEN)], {"a": Inner(WHEN)}, None)),
        (int | None, None),
        (float, math.inf),
    ],
)
def test_values_come_back_as_they_were(annotation: Any, value: Any) -> None:
    assert decoder(annotation)(encode(value)) == value


def test_aware_datetimes_come_back_in_utc_even_where_nothing_is_annotated() -> None:
    there = WHEN.astimezone(timezone(timedelta(hours=5)))
    back = decoder(Any)(encode(there))
    assert back == there and back.tzinfo is UTC


@pytest.mark.parametrize("value", [object(), encode, {1: object()}, Any, 1j])
def test_what_is_not_data_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="is not data that a job can carry"):
        encode(value)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01", b"\xc7\xff\x05", b"\xdd\xff\xff\xff\xff", b"\x80" * 9])
def test_bytes_that_are_no_payload_are_a_value_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decoder(Any)(data)


def test_arguments_are_bound_by_name_and_decoded_by_annotation() -> None:
    def job(inner: Inner, n: int = 1, *, plain: Any = None) -> Inner:
        return inner

    arguments = Arguments(job, "job")
    bound = arguments.bind((Inner(WHEN, {"a"}),), {"plain": Inner(WHEN)})
    assert list(bound) == ["inner", "plain"]
    assert arguments.unpack(encode(bound)) == {
        "inner": Inner(WHEN, {"a"}),
        "plain": {"when": WHEN, "tags": []},
    }
    assert arguments.chosen(bound, ["n", "inner"]) == [1, Inner(WHEN, {"a"})]
    assert arguments.decode_result(encode(Inner(WHEN))) == Inner(WHEN)
    with pytest.raises(TypeError, match="missing a required argument: 'inner'"):
        arguments.bind((), {})
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`, got `str` - at `\$\.n`"):
        arguments.unpack(encode({"n": "x"}))


def test_a_place_is_the_same_for_equal_values_only() -> None:
    assert place([{"a": 1, "b": 2}, {3, 4}]) == place([{"b": 2, "a": 1}, {4, 3}])
    assert len({place([1]), place(["1"]), place([1, 1]), place([None]), place([b"1"])}) == 5
