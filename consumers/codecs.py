"""From an entry's fields to a value and back.

Payloads are data: a codec never turns bytes into code. Decoding happens when the handler accesses the value, so an
entry that can't be decoded fails like any other: it is retried and then dead-lettered.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgpack

from consumers import given

__all__ = ["Codec", "JsonCodec", "MsgpackCodec", "TextCodec", "decode_answer", "encode_answer"]

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

    def encode_answer(self, value: bytes | str | int | float) -> bytes:
        given.instance("an answer without another codec", value, bytes, str, int, float)
        return value if isinstance(value, bytes) else str(value).encode()

    def decode_answer(self, answer: bytes) -> str:
        return answer.decode()


class JsonCodec:
    """One field that holds JSON text."""

    def __init__(self, field: str = "data") -> None:
        self._field = field

    def encode(self, value: Any) -> Mapping[str, bytes | str]:
        return {self._field: self.encode_answer(value)}

    def decode(self, fields: Mapping[str, bytes]) -> Any:
        return json.loads(fields[self._field])

    def encode_answer(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    def decode_answer(self, answer: bytes) -> Any:
        return json.loads(answer)


class MsgpackCodec:
    """One field that holds a msgpack value; datetimes with a time zone are preserved."""

    def __init__(self, field: str = "data") -> None:
        self._field = field

    def encode(self, value: Any) -> Mapping[str, bytes | str]:
        return {self._field: self.encode_answer(value)}

    def decode(self, fields: Mapping[str, bytes]) -> Any:
        return self.decode_answer(fields[self._field])

    def encode_answer(self, value: Any) -> bytes:
        packed: bytes = msgpack.packb(value, datetime=True)
        return packed

    def decode_answer(self, answer: bytes) -> Any:
        return msgpack.unpackb(answer, timestamp=3)


def encode_answer(codec: Codec[Any], value: Any) -> bytes:
    """Return the answer to a call as bytes: what the codec's encode_answer returns, or a msgpack map of the fields."""
    own = getattr(codec, "encode_answer", None)
    answer: bytes = own(value) if own is not None else msgpack.packb(dict(codec.encode(value)))
    return answer


def decode_answer(codec: Codec[Any], answer: bytes) -> Any:
    """Return the value of an answer. Raises ValueError, or what the codec raises, if it is none of this codec's."""
    own = getattr(codec, "decode_answer", None)
    if own is not None:
        return own(answer)
    fields = msgpack.unpackb(answer)
    if not isinstance(fields, dict):
        raise ValueError("the answer holds no fields")
    return codec.decode({name: one.encode() if isinstance(one, str) else one for name, one in fields.items()})
