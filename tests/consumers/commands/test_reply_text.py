"""Replies as lines, for a person and for a program, and as JSON."""

from typing import Any

import pytest
from coredis.exceptions import NoKeyError, ResponseError, UnknownCommandError, WrongTypeError

from consumers.commands.json_value import json_value
from consumers.commands.reply_text import error_text, plain_lines, shown_lines

CASES: list[tuple[Any, list[str], list[str], Any]] = [
    (b"OK", ["OK"], ["OK"], "OK"),
    (b'a "b" \\', [r'"a \"b\" \\"'], ['a "b" \\'], 'a "b" \\'),
    (b"\x00\xff\n", [r'"\x00\xff\n"'], ["\x00\\xff\n"], "\x00\\xff\n"),
    (7, ["(integer) 7"], ["7"], 7),
    (1.5, ["(double) 1.5"], ["1.5"], 1.5),
    (float("inf"), ["(double) inf"], ["inf"], "inf"),
    (None, ["(nil)"], [""], None),
    (True, ["(true)"], ["1"], True),
    ([], ["(empty)"], [], []),
    ({}, ["(empty map)"], [], {}),
    ([b"a", [1, None]], ['1) "a"', "2) 1) (integer) 1", "   2) (nil)"], ["a", "1", ""], ["a", [1, None]]),
    ({b"k": [1, 2]}, ['1) "k" => 1) (integer) 1', "          2) (integer) 2"], ["k", "1", "2"], {"k": [1, 2]}),
    ({b"m"}, ['1) "m"'], ["m"], ["m"]),
    (WrongTypeError("x"), ["(error) WRONGTYPE x"], ["WRONGTYPE x"], {"error": "WRONGTYPE x"}),
]


@pytest.mark.parametrize(("reply", "shown", "plain", "as_json"), CASES)
def test_replies(reply: Any, shown: list[str], plain: list[str], as_json: Any) -> None:
    assert list(shown_lines(reply)) == shown
    assert list(plain_lines(reply)) == plain
    assert json_value(reply) == as_json


def test_columns_of_numbers_are_aligned() -> None:
    lines = list(shown_lines(list(range(10))))
    assert (lines[0], lines[9]) == (" 1) (integer) 0", "10) (integer) 9")


def test_errors_are_as_the_server_sent_them() -> None:
    errors = [
        ResponseError("syntax error"), ResponseError("BUSY Redis is busy"), UnknownCommandError("unknown command 'x'"),
        NoKeyError("x"),
    ]  # fmt: skip
    assert [error_text(error) for error in errors] == [
        "ERR syntax error", "BUSY Redis is busy", "ERR unknown command 'x'", "NOKEY x",
    ]  # fmt: skip
