"""Quoting rules of inline requests: the expected values were taken from redis-server 8.10.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.inline import split_line


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        (b"", []),
        (b" \t\v\f ", []),
        (b"PING", [b"PING"]),
        (b"  SET  k\tv ", [b"SET", b"k", b"v"]),
        (b"SET k \xff\x80\xa0", [b"SET", b"k", b"\xff\x80\xa0"]),
        (b"ping\rfoo", [b"ping", b"foo"]),
        (b"echo a\x0bb", [b"echo", b"a\x0bb"]),
        (b"echo \x0bb", [b"echo", b"b"]),
        (b'echo "a"\x0b', [b"echo", b"a"]),
        (b'SET k "a\\x41\\n b"', [b"SET", b"k", b"aA\n b"]),
        (b'"\\n\\r\\t\\b\\a\\\\\\"\\q\\x00"', [b'\n\r\t\b\a\\"q\0']),
        (b'"\\xzz\\x4"', [b"xzzx4"]),
        (b"SET k 'a\\'b\\n'", [b"SET", b"k", b"a'b\\n"]),
        (b'SET k fo"o b"', [b"SET", b"k", b"foo b"]),
        (b"''", [b""]),
        (b'""', [b""]),
        (b'"it\'s" \'say "x"\'', [b"it's", b'say "x"']),
    ],
)
def test_arguments(line: bytes, arguments: list[bytes]) -> None:
    assert split_line(line) == arguments


@pytest.mark.parametrize(
    "line", [b'"foo', b"'foo", b'"a"b', b"'a'b", b"'a''b'", b'"\\"', b'"\\', b"'\\'", b"'\\\\'", b'ok "', b'a"b"c']
)
def test_unbalanced(line: bytes) -> None:
    assert split_line(line) is None


@given(st.lists(st.binary()))
def test_what_is_quoted_is_read_back(arguments: list[bytes]) -> None:
    quoted = [b'"' + b"".join(b"\\x%02x" % byte for byte in argument) + b'"' for argument in arguments]
    assert split_line(b" ".join(quoted)) == arguments


@given(st.text(alphabet="ab \"'\\\t\v\nx4", max_size=30))
def test_any_line_is_answered(text: str) -> None:
    arguments = split_line(text.encode())
    assert arguments is None or all(isinstance(argument, bytes) for argument in arguments)
