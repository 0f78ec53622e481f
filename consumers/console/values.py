"""Stored bytes as text to look at: JSON, msgpack, pickles, what is compressed, text, or else hexadecimal digits.

Nothing is created but plain data, and every text has a limit, however the data is built: a few bytes of a pickle or of
compressed data can stand for gigabytes. Texts are not escaped; that is done where they are shown.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from consumers import names
from consumers.console import pickles

__all__ = ["TEXT_LIMIT", "View", "call", "decoded", "error_text", "line", "shown", "view"]

TEXT_LIMIT = 20_000
"""Characters of a value that are shown."""

LINE_LIMIT = 200
"""Characters of a value in a table."""

DATA_LIMIT = 1 << 20
"""Bytes of a value that are decoded, also after decompression."""

DEPTH = 20
"""Levels of nested data that are shown."""

_msgpack = msgspec.msgpack.Decoder(strict=False).decode


@dataclass(frozen=True, slots=True)
class View:
    """A value to look at. kind: what it was decoded from, e.g. "zlib, pickle". cut: there is more of it."""

    kind: str
    text: str
    cut: bool = False


def view(data: bytes | str, limit: int = TEXT_LIMIT) -> View:
    """Return a value as text of at most `limit` characters."""
    if isinstance(data, str):
        data = names.encoded(data)
    kind, value = decoded(data)
    if kind.endswith("hex"):
        text = value[: limit // 2].hex()
        return View(kind, text, len(value) > limit // 2)
    if kind.endswith("text"):
        return View(kind, value[:limit], len(value) > limit or len(data) > DATA_LIMIT)
    return shown(value, kind, limit)


def shown(value: object, kind: str = "data", limit: int = TEXT_LIMIT) -> View:
    """Return data as text of at most `limit` characters."""
    writer = _Writer(limit)
    try:
        writer.write(value, 0)
    except _Full:
        return View(kind, "".join(writer.parts)[:limit], True)
    return View(kind, "".join(writer.parts))


def line(value: object, limit: int = LINE_LIMIT) -> str:
    """Return data as one short line, with an ellipsis if it was cut."""
    found = shown(value, limit=limit)
    text = " ".join(found.text.split())
    return f"{text}..." if found.cut else text


def call(name: str, positional: object, named: object, limit: int = LINE_LIMIT) -> str:
    """Return a call of a function, as a program would write it, cut to about `limit` characters."""
    parts = [line(one, limit) for one in _some(positional)]
    if isinstance(named, dict):
        parts += [f"{key}={line(one, limit)}" for key, one in _first(named.items())]
    inside, name = ", ".join(parts), name[:limit]
    return f"{name}({inside[:limit]}...)" if len(inside) > limit else f"{name}({inside})"


def error_text(error: object, limit: int = 1000) -> str:
    """Return an exception that was pickled, as text: its name and its arguments."""
    if isinstance(error, pickles.Opaque):
        arguments = ", ".join(one if isinstance(one, str) else line(one) for one in _some(error.arguments))
        return (f"{error.name}: {arguments}" if arguments else error.name)[:limit]
    return shown(error, limit=limit).text


def _some(values: object) -> list[object]:
    return list(_first(values)) if isinstance(values, list | tuple) else []


def _first(values: Iterable[Any]) -> list[Any]:
    return [one for _, one in zip(range(50), values, strict=False)]


def decoded(data: bytes) -> tuple[str, Any]:
    """Return what the bytes are ("json", "msgpack", "pickle", "text", "hex"; "zlib, json") and the value.

    The value is plain data, pickles.Opaque included; of "text" a str, of "hex" bytes.
    """
    if len(data) <= DATA_LIMIT:
        if (inner := _decompressed(data)) is not None:
            name, compressed = inner
            kind, value = _plain(compressed)
            return f"{name}, {kind}", value
        return _plain(data)
    return _text_or_hex(data[:DATA_LIMIT], cut=True)


def _decompressed(data: bytes) -> tuple[str, bytes] | None:
    if data[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        name, window = "zlib", zlib.MAX_WBITS
    elif data[:2] == b"\x1f\x8b":
        name, window = "gzip", zlib.MAX_WBITS | 16
    else:
        return None
    try:
        return name, zlib.decompressobj(window).decompress(data, DATA_LIMIT)
    except zlib.error:
        return None


def _plain(data: bytes) -> tuple[str, Any]:
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        try:
            return "pickle", pickles.read(data)
        except ValueError:
            pass
    if data.lstrip()[:1] in (b"{", b"[", b'"') or data in (b"null", b"true", b"false"):
        try:
            return "json", json.loads(data)
        except (ValueError, RecursionError):
            pass
    kind, value = _text_or_hex(data)
    if kind == "hex" and data:
        try:
            unpacked = _msgpack(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return kind, value
        if isinstance(unpacked, dict | list | str | bytes):
            return "msgpack", unpacked
    return kind, value


def _text_or_hex(data: bytes, *, cut: bool = False) -> tuple[str, Any]:
    # a cut may have split the last character
    for split in range(4 if cut else 1):
        try:
            text = data[: len(data) - split].decode()
        except UnicodeDecodeError:
            continue
        if all(one.isprintable() or one in "\n\r\t" for one in text[:TEXT_LIMIT]):
            return "text", text
        break
    return "hex", data


class _Full(Exception):
    """The limit is reached."""


class _Writer:
    """Writes data as JSON where JSON has it, and as Python otherwise, indented, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.parts: list[str] = []
        self._left = limit

    def write(self, value: object, depth: int) -> None:
        if isinstance(value, str):
            self._put(json.dumps(value[: self._left + 1], ensure_ascii=False))
        elif isinstance(value, bytes | bytearray):
            self._bytes(bytes(value[: self._left + 1]))
        elif value is None or value is True or value is False:
            self._put({None: "null", True: "true", False: "false"}[value])
        elif isinstance(value, int):
            # beyond that, Python takes long to find the digits, and refuses
            self._put(str(value) if value.bit_length() < 10_000 else f"an integer of {value.bit_length()} bits")
        elif depth >= DEPTH:
            self._put("...")
        elif isinstance(value, dict):
            self._many("{", "}", value.items(), depth, self._pair)
        elif isinstance(value, list | tuple):
            self._many("[", "]", value, depth, self.write)
        elif isinstance(value, set | frozenset):
            self._many("{", "}", value, depth, self.write)
        elif isinstance(value, pickles.Opaque):
            self._opaque(value, depth)
        else:
            self._put(repr(value)[: self._left + 1])

    def _put(self, text: str) -> None:
        self.parts.append(text)
        self._left -= len(text)
        if self._left < 0:
            raise _Full

    def _bytes(self, value: bytes) -> None:
        kind, text = _text_or_hex(value)
        self._put(json.dumps(text, ensure_ascii=False) if kind == "text" else f"0x{value.hex()}")

    def _pair(self, pair: tuple[object, object], depth: int) -> None:
        self.write(pair[0], depth)
        self._put(": ")
        self.write(pair[1], depth)

    def _many(self, opening: str, closing: str, values: Iterable[Any], depth: int, write: Any) -> None:
        self._put(opening)
        some = False
        for value in values:
            self._put(f"{',' if some else ''}\n{'  ' * (depth + 1)}")
            write(value, depth + 1)
            some = True
        self._put(f"\n{'  ' * depth}{closing}" if some else closing)

    def _opaque(self, value: pickles.Opaque, depth: int) -> None:
        self._put(value.name[: self._left + 1])
        if value.arguments is not None:
            self._many("(", ")", value.arguments, depth, self.write)
        if value.items:
            self._many("[", "]", value.items, depth, self.write)
        if value.state is not None:
            self._put(" with ")
            self.write(value.state, depth + 1)
