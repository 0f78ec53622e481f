"""Stream IDs: text to integer and back, by Redis's rules; pure and compiled."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams import ids as stream_id
from broker.values.streams.ids import MAX_ID, MAX_PART, format_id
from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.values.streams.ids")
both = twins.both("broker.values.streams.ids", "broker.values.streams._ids")


@both
@given(id=st.integers(0, MAX_ID))
def test_round_trip(module: ModuleType, id: int) -> None:
    assert module.parse_id(format_id(id)) == id


@both
@given(id=st.integers(0, MAX_ID - 3) | st.sampled_from([MAX_PART - 1, MAX_ID - 2]))
def test_texts_of_consecutive_ids(module: ModuleType, id: int) -> None:
    assert module.format_ids(id, 3) == [format_id(id), format_id(id + 1), format_id(id + 2)]
    assert module.format_ids(id, 0) == []


@both
@pytest.mark.parametrize(
    ("text", "id"),
    [
        (b"0", 7),
        (b"0-0", 0),
        (b"5-3", 5 << 64 | 3),
        (b"5", 5 << 64 | 7),
        (b"18446744073709551615-18446744073709551615", MAX_ID),
        (b"18446744073709551616", -1),
        (b"1-18446744073709551616", -1),
        (b"", -1),
        (b"-", -1),
        (b"-5", -1),
        (b"5-", -1),
        (b"5-*", -1),
        (b"5-3-1", -1),
        (b"1.5", -1),
        (b"a", -1),
        (b"5-a", -1),
        (b"\xb2", -1),
        (b"1" * 128, -1),
        # What strtoull() takes.
        (b"05-03", 5 << 64 | 3),
        (b" 5-+3", 5 << 64 | 3),
        (b"5-\t7", 5 << 64 | 7),
        (b"5--3", -1),
        (b"5--03", 5 << 64 | MAX_PART - 2),
        (b"5--0", 5 << 64),
        (b"5- -3", 5 << 64 | MAX_PART - 2),
        (b"5-3 ", -1),
        (b"5-1_0", -1),
        # A C string ends at its first zero byte.
        (b"5-3\x00junk", 5 << 64 | 3),
    ],
)
def test_parse(module: ModuleType, text: bytes, id: int) -> None:
    assert module.parse_id(text, 7) == id


@given(st.binary(max_size=140) | st.text("0123456789-+ *", max_size=45).map(str.encode))
def test_any_bytes_give_an_id_or_none(text: bytes) -> None:
    found = stream_id.parse_id(text, 7)
    assert -1 <= found <= MAX_ID
    assert found == PURE.parse_id(text, 7) == PURE.parse_unusual_id(text, 7)
