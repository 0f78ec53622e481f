"""Latency spikes: which are recorded, and what is kept of them."""

import pytest
import trio
import trio.testing

from broker.config import Config
from broker.observation.latency import SAMPLES, Latency, Spikes
from broker.process.clock import Clock, TrioClock
from tests.broker.inprocess import running
from tests.broker.persistence.durable import APPENDONLY, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk


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


def test_how_the_journal_was_written(config: Config) -> None:
    latency = Latency(config, Seconds())
    latency.add_write(0.5, syncing=True, child_runs=True)
    latency.add_write(0.25, syncing=False, child_runs=True)
    latency.add_write(0.125, syncing=False, child_runs=False)
    latency.add_write(0.001, syncing=False, child_runs=False)
    assert {name: worst for name, (_, worst) in kept(latency).items()} == {
        "aof-write-pending-fsync": 500, "aof-write-active-child": 250, "aof-write-alone": 125, "aof-write": 500,
    }  # fmt: skip


# Where events come from


class Timepiece:
    """Each look at it is a second after the last."""

    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.observation.latency.perf_counter", Timepiece())
    monkeypatch.setattr("broker.persistence.journal.monotonic", Timepiece())


async def test_the_journal_a_fork_and_the_collector_have_events(slowness: None) -> None:
    directives = {**APPENDONLY, "latency-monitor-threshold": "10", "appendfsync": "always"}
    async with durable(SimulatedDisk(), directives) as broker:
        client = await broker.client()
        assert await client.call("SET k v") == b"+OK\r\n"
        assert await client.call("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"
        while broker.broker.persistence.background.active:
            await client.call("PING")
        broker.broker.stats.collector._paused(0.5)
        events = broker.broker.latency.events
        assert {"aof-write", "aof-write-alone", "aof-fsync-always", "fork", "garbage-collection"} <= set(events)
        assert events["fork"].worst == 1000 and events["garbage-collection"].worst == 500


async def test_expiry_eviction_and_ticks_have_events(slowness: None, autojump_clock: trio.testing.MockClock) -> None:
    class SlowClock(TrioClock):
        looks = 0.0

        def stopwatch(self) -> float:  # type: ignore[override]
            SlowClock.looks += 1
            return SlowClock.looks

    async with running(
        {"latency-monitor-threshold": "10", "maxmemory-policy": "allkeys-random"}, SlowClock()
    ) as broker:
        client = await broker.client()
        await client.call("SET k v PX 5")
        await trio.sleep(1)
        await client.call("RPUSH l", *["x" * 1000] * 100)
        keeper = broker.broker.eviction
        keeper._left = 1
        keeper.check_at = 0
        keeper.writable = lambda: 1 << 40
        broker.config.maxmemory = 1  # type: ignore[misc]
        keeper._measure_after = 0
        await client.call("PING")
        assert {"expire-cycle", "eviction-cycle", "tick"} <= set(broker.broker.latency.events)
