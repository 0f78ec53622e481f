"""Encoded replies as scripts see them, Lua numbers as arguments."""

import pytest

from broker.scripting.conversions import ARRAY, ENCODED, ERROR, MOST_UNPACKED, STATUS, Result, number_text, result
from protocol.replies import array, bulk, integer


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b":5\r\n", 5),
        (b":-9223372036854775808\r\n", -(2**63)),
        (b"$3\r\na\r\n\r\n", b"a\r\n"),
        (b"$0\r\n\r\n", b""),
        (b"$-1\r\n", False),
        (b"*-1\r\n", False),
        (b"+OK\r\n", (b"OK", STATUS)),
        (b"-ERR x\r\n", (b"ERR x", ERROR)),
        (b"*0\r\n", (None, ARRAY)),
        (b"*4\r\n:1\r\n$1\r\na\r\n$-1\r\n$2\r\n\r\n\r\n", (None, ARRAY, 1, b"a", False, b"\r\n")),
        (b"*1\r\n*0\r\n", (b"*1\r\n*0\r\n", ENCODED)),
        (b"*2\r\n:1\r\n+OK\r\n", (b"*2\r\n:1\r\n+OK\r\n", ENCODED)),
        (b"%0\r\n", (b"%0\r\n", ENCODED)),
        (b"_\r\n", (b"_\r\n", ENCODED)),
        (b",1.5\r\n", (b",1.5\r\n", ENCODED)),
    ],
)
def test_replies(reply: bytes, expected: Result) -> None:
    assert result(reply) == expected


def test_long_arrays_are_taken_apart_by_lua() -> None:
    short = array([integer(1)] * MOST_UNPACKED)
    assert result(short) == (None, ARRAY, *[1] * MOST_UNPACKED)
    long = array([bulk(b"x")] * (MOST_UNPACKED + 1))
    assert result(long) == (long, ENCODED)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, b"1"),
        (-5, b"-5"),
        (2**62, b"4611686018427387904"),
        (2**63, b"9223372036854776000"),
        (1.5, b"1.5"),
        (0.1, b"0.1"),
        (1e100, b"1e+100"),
        (float("inf"), b"inf"),
        (float("-inf"), b"-inf"),
        (float("nan"), b"nan"),
        (-float("nan"), b"-nan"),
    ],
)
def test_numbers(number: float, text: bytes) -> None:
    assert number_text(number) == text
