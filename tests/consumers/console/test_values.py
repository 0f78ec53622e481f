"""What clients have stored, as text."""

import msgpack
import pytest

from consumers.console.values import decoded, label


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (b'{"a": [1, "\xc3\xa9"]}', "JSON", '{\n  "a": [\n    1,\n    "é"\n  ]\n}'),
        (msgpack.packb({"a": [1, b"\xff"]}), "msgpack", '{\n  "a": [\n    1,\n    "\\\\xff"\n  ]\n}'),
        (b"{not json", "text", "{not json"),
        (b"1\n2\t3", "text", "1\n2\t3"),
        (b"", "text", ""),
        (b"A\x00\xff", "hex", f"00000000  {'41 00 ff':<48} A.."),
        # "a\x1b" would move a terminal's cursor
        (b"a\x1b", "hex", f"00000000  {'61 1b':<48} a."),
        (b"\x81\xa1", "hex", f"00000000  {'81 a1':<48} .."),
    ],
)
def test_a_value_is_what_it_looks_like(value: bytes, form: str, text: str) -> None:
    view = decoded(value)
    assert (view.form, view.text, view.size, view.complete) == (form, text, len(value), True)


def test_large_values_are_cut() -> None:
    view = decoded("é".encode() * 100, limit=101)
    assert (view.form, view.text, view.size, view.complete) == ("text", "é" * 50, 200, False)
    assert not decoded(b"\xff" * 1000, limit=100).complete
    assert decoded(b"[" + b"1," * 100 + b"1]", limit=100).form == "text"


def test_deep_nesting_is_not_followed() -> None:
    assert decoded(b"[" * 10000 + b"]" * 10000, limit=100000).form == "text"
    assert decoded(b"\x91" * 500 + b"\xc0").form == "hex"


def test_labels() -> None:
    assert label(b"a\nb\xff") == "a\\nb\\xff"
    assert label("x" * 200, 10) == "xxxxxxxxxx…"
    assert label("\u202eevil") == "\\u202eevil"
