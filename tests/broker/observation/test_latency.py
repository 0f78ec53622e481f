"""Latency spikes: which are recorded, and what is kept of them."""

import pytest

from broker.config import Config
from broker.observation.latency import SAMPLES, Latency, Spikes
from broker.process.clock import Clock


class Seconds(Clock):
    """A clock that shows what a test sets."""

    def __init__(self) -> None:
        self.second = 100
        super().__init__()

    def read(self) -> int:
        return self.second * 1000 + 999


@pytest.fixture
def config() -> Config:
    config = Config()
    config.latency_monitor_threshold = 10  # type: ignore[misc]
    return config


def kept(latency: Latency) -> dict[str, tuple[list[tuple[int, int]], int]]:
    return {name: (list(spikes.samples), spikes.worst) for name, spikes in latency.events.items()}


def test_the_worst_of_each_second_is_kept(config: Config) -> None:
    clock = Seconds()
    latency = Latency(config, clock)
    for milliseconds in (9.99, 12.7, 20, 15):
        latency.add("fork", milliseconds)
    clock.second += 3
    latency.add("fork", 11)
    latency.add("command", 10)
    assert kept(latency) == {"fork": ([(100, 20), (103, 11)], 20), "command": ([(103, 10)], 10)}


def test_only_so_many_seconds_are_kept() -> None:
    spikes = Spikes()
    for second in range(SAMPLES + 5):
        spikes.add(second, 1000 - second)
    assert len(spikes.samples) == SAMPLES and spikes.samples[0] == (5, 995) and spikes.worst == 1000


def test_the_threshold_follows_the_configuration(config: Config) -> None:
    latency = Latency(config, Seconds())
    config.set([(b"latency-monitor-threshold", b"0")])
    latency.add("fork", 1_000_000)
    config.set([(b"latency-monitor-threshold", b"50")])
    latency.add("fork", 49)
    assert not latency.events
    latency.add("fork", 50)
    assert latency.events


def test_resetting(config: Config) -> None:
    latency = Latency(config, Seconds())
    for name in ("a", "b", "c"):
        latency.add(name, 99)
    assert latency.reset(["a", "x"]) == 1
    assert set(latency.events) == {"b", "c"}
    assert latency.reset([]) == 2
    assert latency.reset([]) == 0


def test_work_is_measured_only_while_there_is_a_threshold(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 1.5])
    monkeypatch.setattr("broker.observation.latency.perf_counter", lambda: next(times))
    latency = Latency(config, Seconds())
    done: list[int] = []
    latency.measure("expire-cycle", lambda: done.append(1))
    assert kept(latency) == {"expire-cycle": ([(100, 500)], 500)}
    config.set([(b"latency-monitor-threshold", b"0")])
    latency.measure("expire-cycle", lambda: done.append(2))
    assert done == [1, 2]
