"""The doctor's report: the figures of each event, and advice once for each cause."""

from broker.observation.doctor import diagnose
from broker.observation.latency import Spikes


def spikes(*samples: tuple[int, int]) -> Spikes:
    found = Spikes()
    for sample in samples:
        found.add(*sample)
    return found


def test_nothing_seen() -> None:
    assert "No latency spikes" in diagnose({}, 100)
    assert "CONFIG SET latency-monitor-threshold" in diagnose({}, 0)


def test_figures() -> None:
    report = diagnose({"command": spikes((100, 10), (104, 30), (108, 20))}, 10)
    assert (
        "1. command: 3 latency spikes (average 20ms, mean deviation 6ms, period 2.67 sec). Worst all time event 30ms."
    ) in report
    assert "SLOWLOG" in report
    assert "1 latency spikes (average 5ms, mean deviation 0ms, period 1.00 sec)" in diagnose({"x": spikes((1, 5))}, 1)


def test_advice_is_given_once_for_each_cause() -> None:
    report = diagnose({"aof-write": spikes((1, 5)), "aof-fsync-always": spikes((1, 5)), "fork": spikes((1, 9))}, 1)
    assert "3. fork:" in report
    assert report.count("The disk takes long") == 1 and report.count("Forking") == 1


def test_an_event_without_advice() -> None:
    assert "What may help" not in diagnose({"unheard-of": spikes((1, 5))}, 1)
