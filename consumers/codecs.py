"""From an entry's fields to a value and back.

Payloads are data: a codec never turns bytes into code. Decoding happens when the handler accesses the value, so an
entry that can't be decoded fails like any other: it is retried and then dead-lettered.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgpack

__all__ = ["Codec", "JsonCodec", "MsgpackCodec", "TextCodec"]

T = TypeVar("T")


class Codec(Protocol[T]):
    """encode: a value's fields. decode: the value in fields; raises ValueError or KeyError if they hold none."""

    def encode(self, value: T) -> Mapping[str, bytes | str]: ...
    def decode(self, fields: Mapping[str, bytes]) -> T: ...


class TextCodec:
    """Fields as they are: names and values are text, in UTF-8. Encoding also accepts numbers."""

    def encode(self, value: Mapping[str, bytes | str | int | float]) -> Mapping[str, bytes | str]:
        return {name: text if isinstance(text, bytes) else str(text) for name, text in value.items()}

    def decode(self, fields: Mapping[str, bytes]) -> dict[str, str]:
        return {name: value.decode() for name, value in fields.items()}


class JsonCodec:
    """One field that holds JSON text."""

    def __init__(self, field: str = "data") -> None:
        self._field = field

    def encode(self, value: Any) -> Mapping[str, bytes | str]:
        return {self._field: json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)}

    def decode(self, fields: Mapping[str, bytes]) -> Any:
        return json.loads(fields[self._field])


class MsgpackCodec:
    """One field that holds a msgpack value; datetimes with a time zone are preserved."""

    def __init__(self, field: str = "data") -> None:
        self._field = field

    def encode(self, value: Any) -> Mapping[str, bytes | str]:
        return {self._field: msgpack.packb(value, datetime=True)}

    def decode(self, fields: Mapping[str, bytes]) -> Any:
        return msgpack.unpackb(fields[self._field], timestamp=3)
