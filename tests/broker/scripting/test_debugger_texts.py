"""The debugger's texts."""

import pytest

from broker.scripting.debugger_texts import leading_integer, quoted, readable_reply


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (b":12\r\n", b"12"),
        (b"+OK\r\n", b'"+OK"'),
        (b"-ERR x\r\n", b'"-ERR x"'),
        (b"$-1\r\n", b"NULL"),
        (b"*-1\r\n", b"NULL"),
        (b"_\r\n", b"(null)"),
        (b",1.5\r\n", b"(double) 1.5"),
        (b"#t\r\n", b"#true"),
        (b"#f\r\n", b"#false"),
        (b"$5\r\na\r\n\x00b\r\n", b'"a\\r\\n\\x00b"'),
        (b"*0\r\n", b"[]"),
        (b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", b'[1,["a"]]'),
        (b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", b'{"+a" => 1,"+b" => 2}'),
        (b"~1\r\n:3\r\n", b"~(3)"),
        (b"=5\r\ntxt:x\r\n", b""),
    ],
)
def test_replies(reply: bytes, shown: bytes) -> None:
    assert readable_reply(reply) == shown


def test_quoted_texts() -> None:
    assert quoted(b'a"\\\a\b\t\n\r\x7f\xff') == b'"a\\"\\\\\\a\\b\\t\\n\\r\\x7f\\xff"'


@pytest.mark.parametrize(("text", "number"), [(b"12", 12), (b" -3x", -3), (b"x", 0), (b"", 0), (b"+7", 7)])
def test_numbers(text: bytes, number: int) -> None:
    assert leading_integer(text) == number
