"""From fields to values and back."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.codecs import JsonCodec, MsgpackCodec, TextCodec


def _sent(fields: Any) -> dict[str, bytes]:
    return {name: value if isinstance(value, bytes) else value.encode() for name, value in fields.items()}


def test_text_takes_numbers_and_gives_texts() -> None:
    codec = TextCodec()
    assert codec.decode(_sent(codec.encode({"a": 1, "b": "\u00fc", "c": 2.5}))) == {"a": "1", "b": "\u00fc", "c": "2.5"}
    with pytest.raises(UnicodeDecodeError):
        codec.decode({"a": b"\xff"})


@pytest.mark.parametrize("codec", [JsonCodec(), MsgpackCodec("payload")])
@pytest.mark.parametrize("value", [None, 1, "x", [1, {"a": [True, 2.5]}], {"\u00fc": "\U0001f600"}])
def test_values_come_back(codec: Any, value: Any) -> None:
    assert codec.decode(_sent(codec.encode(value))) == value


def test_fields_of_others_are_refused() -> None:
    with pytest.raises(KeyError):
        JsonCodec().decode({"other": b"1"})
    with pytest.raises(ValueError):
        JsonCodec().decode({"data": b"{"})
    with pytest.raises(ValueError):
        MsgpackCodec().decode({"data": b"\xc1"})
    with pytest.raises(ValueError):
        JsonCodec().encode(math.nan)


def test_msgpack_keeps_datetimes_and_bytes() -> None:
    codec = MsgpackCodec()
    value = [datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), b"\x00\xff"]
    assert codec.decode(_sent(codec.encode(value))) == value
