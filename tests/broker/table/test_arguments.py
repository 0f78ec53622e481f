"""Arguments to values: numbers, time-outs, converters; every refusal with Redis's text."""

import pytest

from broker.table.arguments import (
    MAX_INTEGER,
    at_least,
    between,
    double,
    integer,
    integer_between,
    timeout_milliseconds,
    timeout_seconds,
)
from protocol.errors import (
    NOT_FLOAT,
    NOT_INTEGER,
    TIMEOUT_NEGATIVE,
    TIMEOUT_NOT_FLOAT,
    TIMEOUT_NOT_INTEGER,
    TIMEOUT_OUT_OF_RANGE,
    CommandError,
)


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


def test_converters() -> None:
    positive = at_least(1, b"ERR low", 9)
    assert [positive(text) for text in (b"1", b"9")] == [1, 9]
    for text, error in ((b"0", b"ERR low"), (b"10", b"ERR low"), (b"x", NOT_INTEGER)):
        with pytest.raises(CommandError) as caught:
            positive(text)
        assert caught.value.text == error
    bounded = between(1, 9, b"ERR x")
    assert bounded(b"5") == 5
    for text in (b"0", b"10", b"x"):
        with pytest.raises(CommandError, match="ERR x"):
            bounded(text)


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
