"""Counters and the rates taken from them."""

import pytest

from broker.process.stats import ERRORS_DISABLED, MAX_ERROR_CODE, MAX_ERROR_KINDS, Stats


def test_rates_are_those_between_two_samples() -> None:
    stats = Stats()
    stats.requests = 1000
    stats.sample(10.0)
    assert (stats.request_rate, stats.read_rate, stats.write_rate) == (0, 0, 0)
    stats.requests += 100
    stats.bytes_read += 4096
    stats.bytes_written += 2048
    stats.sample(12.0)
    assert (stats.request_rate, stats.read_rate, stats.write_rate) == (50, 2048, 1024)
    stats.sample(13.0)
    assert (stats.request_rate, stats.read_rate, stats.write_rate) == (0, 0, 0)


def test_no_rate_falls_below_zero_when_counting_begins_anew() -> None:
    stats = Stats()
    stats.sample(1.0)
    stats.requests = 100
    stats.sample(2.0)
    stats.reset()
    assert stats.request_rate == 0
    stats.requests = 10
    stats.sample(3.0)
    assert stats.request_rate == 0
    stats.requests = 30
    stats.sample(3.0)
    stats.sample(4.0)
    assert stats.request_rate == 0


def test_too_many_error_codes_end_the_counting_by_code() -> None:
    warnings: list[str] = []
    stats = Stats(warnings.append)
    for n in range(MAX_ERROR_KINDS):
        stats.count_error(b"E%d text" % n)
    stats.count_error(b"E0 other")
    assert len(stats.errors) == MAX_ERROR_KINDS
    assert stats.errors[b"E0"] == 2
    assert not warnings
    for n in range(MAX_ERROR_KINDS + 10):
        stats.count_error(b"E%d text" % n)
    assert stats.errors == {ERRORS_DISABLED: 1}
    assert len(warnings) == 1
    assert stats.error_replies == 2 * MAX_ERROR_KINDS + 11
    stats.reset()
    stats.count_error(b"E0 other")
    assert (stats.errors, stats.error_replies) == ({b"E0": 1}, 1)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"WRONGTYPE text", b"WRONGTYPE"),
        (b"x" * MAX_ERROR_CODE + b" text", b"x" * MAX_ERROR_CODE),
        (b"x" * (MAX_ERROR_CODE + 1) + b" text", b"ERR"),
        (b"x" * 10_000_000, b"ERR"),
        (b"CODE\r\n", b"ERR"),
        (b"CODE\ntext", b"CODE"),
        (b"", b"ERR"),
        (b" text", b""),
    ],
)
def test_an_error_code_is_a_short_first_word(text: bytes, code: bytes) -> None:
    stats = Stats()
    stats.count_error(text)
    assert stats.errors == {code: 1}
