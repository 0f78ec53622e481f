"""Arguments to values: numbers, time-outs, declared options; every refusal with Redis's text."""

import pytest

from broker.table.arguments import (
    MAX_INTEGER,
    Options,
    double,
    integer,
    integer_between,
    timeout_milliseconds,
    timeout_seconds,
)
from protocol.errors import (
    NOT_FLOAT,
    NOT_INTEGER,
    SYNTAX,
    TIMEOUT_NEGATIVE,
    TIMEOUT_NOT_FLOAT,
    TIMEOUT_NOT_INTEGER,
    TIMEOUT_OUT_OF_RANGE,
    CommandError,
)

OPTIONS = Options("NX|XX", "GT|LT|EQ", "CH", "COUNT n", "LIMIT n n", "EX n|PX n|KEEPTTL", "WEIGHT f", "NAME s")


@pytest.mark.parametrize(
    "text", [b"", b" 1", b"1 ", b"+1", b"01", b"1_0", b"0x1", b"1.0", b"9223372036854775808", b"\xd9\xa1"]
)
def test_what_is_no_integer(text: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        integer(text)
    assert caught.value.text == NOT_INTEGER


def test_integers() -> None:
    assert [integer(text) for text in (b"0", b"-1", b"9223372036854775807")] == [0, -1, MAX_INTEGER]
    assert integer_between(b"5", 1, 5, b"ERR x") == 5
    for text in (b"6", b"0", b"x"):
        with pytest.raises(CommandError, match="ERR x"):
            integer_between(text, 1, 5, b"ERR x")


def test_doubles() -> None:
    assert [double(text) for text in (b"1.5", b"-inf", b"1e3")] == [1.5, float("-inf"), 1000.0]
    for text in (b"", b"nan", b"1_0", b" 1"):
        with pytest.raises(CommandError) as caught:
            double(text)
        assert caught.value.text == NOT_FLOAT


@pytest.mark.parametrize(
    "text, milliseconds",
    [(b"0", 0), (b"0.0", 0), (b"1", 1000), (b"0.001", 1), (b"0.0001", 1), (b"1.0001", 1001), (b"1e1", 10_000)],
)
def test_seconds(text: bytes, milliseconds: int) -> None:
    assert timeout_seconds(text, 1_700_000_000_000) == milliseconds


@pytest.mark.parametrize(
    "text, error",
    [
        (b"", TIMEOUT_NOT_FLOAT),
        (b"abc", TIMEOUT_NOT_FLOAT),
        (b"-1", TIMEOUT_NEGATIVE),
        (b"-0.5", TIMEOUT_NEGATIVE),
        (b"inf", TIMEOUT_OUT_OF_RANGE),
        (b"9223372036854775807", TIMEOUT_OUT_OF_RANGE),
        (b"9223372036854775", TIMEOUT_OUT_OF_RANGE),
    ],
)
def test_seconds_that_are_refused(text: bytes, error: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        timeout_seconds(text, 1_700_000_000_000)
    assert caught.value.text == error


def test_milliseconds() -> None:
    now = 1_700_000_000_000
    assert timeout_milliseconds(b"0", now) == 0
    assert timeout_milliseconds(b"1500", now) == 1500
    for text, error in (
        (b"1.5", TIMEOUT_NOT_INTEGER),
        (b"x", TIMEOUT_NOT_INTEGER),
        (b"-1", TIMEOUT_NEGATIVE),
        (b"9223372036854775807", TIMEOUT_OUT_OF_RANGE),
    ):
        with pytest.raises(CommandError) as caught:
            timeout_milliseconds(text, now)
        assert caught.value.text == error


def test_options_in_any_order_and_case() -> None:
    given = OPTIONS.parse(b"cmd key limit 1 -2 Nx count 7 WEIGHT 1.5 name \x00 ch".split(), 2)
    assert given["LIMIT"] == (1, -2) and given["COUNT"] == 7 and given["WEIGHT"] == 1.5 and given["NAME"] == b"\x00"
    assert given["NX"] is True and given["CH"] is True and given["XX"] is False
    assert given["PX"] is None and given["KEEPTTL"] is False


def test_no_options() -> None:
    given = OPTIONS.parse([b"cmd", b"key"], 2)
    assert not any(given.values())


def test_the_stop() -> None:
    assert OPTIONS.parse(b"cmd NX GT".split(), 1, 2)["GT"] is False
    with pytest.raises(CommandError):
        OPTIONS.parse(b"cmd COUNT 1".split(), 1, 2)


@pytest.mark.parametrize(
    "words",
    [
        b"NOPE",
        b"NX XX",
        b"XX NX",
        b"GT LT",
        b"GT EQ",
        b"COUNT",
        b"LIMIT 1",
        b"EX 1 PX 1",
        b"KEEPTTL EX 1",
        b"EX 1 KEEPTTL",
        b"NX 5",
    ],
)
def test_syntax_errors(words: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        OPTIONS.parse(words.split(), 0)
    assert caught.value.text == SYNTAX


def test_given_twice() -> None:
    given = OPTIONS.parse(b"NX NX COUNT 1 COUNT 2".split(), 0)
    assert given["NX"] is True and given["COUNT"] == 2


def test_zero_counts_as_given() -> None:
    with pytest.raises(CommandError) as caught:
        OPTIONS.parse(b"EX 0 PX 1".split(), 0)
    assert caught.value.text == SYNTAX


def test_values_that_are_no_numbers() -> None:
    for words, error in ((b"COUNT x", NOT_INTEGER), (b"LIMIT 1 x", NOT_INTEGER), (b"WEIGHT x", NOT_FLOAT)):
        with pytest.raises(CommandError) as caught:
            OPTIONS.parse(words.split(), 0)
        assert caught.value.text == error
