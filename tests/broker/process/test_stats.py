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


def test_ticks_are_sampled_like_requests() -> None:
    stats = Stats()
    stats.sample(10.0)
    stats.cycles += 100
    sum(range(200_000))  # takes processor time
    stats.sample(12.0)
    assert stats.cycle_rate == 50
    assert 0 < stats.cycle_seconds * 100 <= stats.loop_seconds()
    stats.reset()
    assert (stats.cycle_rate, stats.cycle_seconds, stats.cycles) == (0, 0, 0)


def test_the_moment_of_the_largest_memory_is_kept() -> None:
    stats = Stats()
    stats.sample_memory(100)
    assert stats.memory_peak > 0 and stats.memory_peak_at == 100
    stats.memory_peak -= 1  # the process has grown since
    stats.sample_memory(200)
    assert stats.memory_peak_at == 200
    stats.memory_peak = 1 << 60
    stats.sample_memory(300)
    assert stats.memory_peak_at == 200
