"""Counters and the rates taken from them."""

from broker.stats import MAX_ERROR_KINDS, Stats


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


def test_error_codes_are_bounded() -> None:
    stats = Stats()
    for n in range(2 * MAX_ERROR_KINDS):
        stats.count_error(b"E%d text" % n)
    stats.count_error(b"E0 other")
    assert len(stats.errors) == MAX_ERROR_KINDS
    assert stats.errors[b"E0"] == 2
