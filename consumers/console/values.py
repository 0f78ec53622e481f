"""What clients have stored, as text that can be shown: JSON, msgpack or text where it is that, else hexadecimal.

Nothing is ever unpickled, and nothing is shown whole that is large.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgpack

__all__ = ["View", "decoded", "label"]

BYTES_LIMIT = 16 * 1024
"""Bytes of a value that are looked at; the rest is only counted."""

LABEL_LIMIT = 120
"""Characters of a value that are shown in a table or as a name."""

DEPTH = 64
"""Levels of nesting that a value may have to be shown as data."""

HEX_LINE = 16


@dataclass(frozen=True, slots=True)
class View:
    """form: "JSON", "msgpack", "text" or "hex". size: bytes of the value. complete: whether the text is all of it."""

    form: str
    text: str
    size: int
    complete: bool


def decoded(value: bytes, limit: int = BYTES_LIMIT) -> View:
    """Return a value's view. One that is cut off can't be read as JSON or msgpack."""
    cut = value[:limit]
    complete = len(cut) == len(value)
    if complete and (found := _json(cut) or _msgpack(cut)) is not None:
        form, text = found
        return View(form, text, len(value), True)
    if (text_found := _text(cut, complete)) is not None:
        return View("text", text_found, len(value), complete)
    return View("hex", _hex(cut[: limit // 4]), len(value), complete and len(cut) <= limit // 4)


def label(value: bytes | str, limit: int = LABEL_LIMIT) -> str:
    """Return a value as one line of limited length; what can't be printed is escaped."""
    text = value if isinstance(value, str) else value[: 4 * limit].decode("utf-8", "backslashreplace")
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)
    return cut if len(text) <= limit and len(value) <= 4 * limit else f"{cut}…"


def _json(value: bytes) -> tuple[str, str] | None:
    if value.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return "JSON", json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _msgpack(value: bytes) -> tuple[str, str] | None:
    # small numbers and short strings are valid msgpack by accident: only maps and arrays are looked at
    if not value or not (0x80 <= value[0] <= 0x9F or 0xDC <= value[0] <= 0xDF):
        return None
    try:
        data = msgpack.unpackb(value, strict_map_key=False, timestamp=0)
        return "msgpack", json.dumps(_plain(data, DEPTH), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError, msgpack.UnpackException):
        return None


def _plain(data: object, depth: int) -> object:
    """Return msgpack's data for JSON, its bytes as escaped text."""
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(data, dict):
        return {str(_plain(name, depth - 1)): _plain(value, depth - 1) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(one, depth - 1) for one in data]
    if isinstance(data, bytes):
        return data.decode("utf-8", "backslashreplace")
    return data if data is None or isinstance(data, str | int | float | bool) else repr(data)


def _text(value: bytes, complete: bool) -> str | None:
    for cut in (0,) if complete else (0, 1, 2, 3):
        # a value that is cut off may end within a character
        try:
            text = value[: len(value) - cut].decode()
        except UnicodeDecodeError:
            continue
        return text if all(one.isprintable() or one in "\n\r\t" for one in text) else None
    return None


def _hex(value: bytes) -> str:
    lines = []
    for start in range(0, len(value), HEX_LINE):
        row = value[start : start + HEX_LINE]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{3 * HEX_LINE}} {shown}")
    return "\n".join(lines)
