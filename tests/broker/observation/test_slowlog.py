"""The slow log: what is slow, what is kept of it, and what is counted."""

import pytest

from broker.config import Config
from broker.observation.slowlog import SlowLog
from broker.process.clock import Clock


@pytest.fixture
def config() -> Config:
    return Config()


@pytest.fixture
def log(config: Config) -> SlowLog:
    return SlowLog(config, Clock())


def add(log: SlowLog, *args: bytes, seconds: float = 1.0) -> None:
    log.add(args[0], list(args), seconds, b"127.0.0.1:1", b"me")


def kept(log: SlowLog) -> list[list[bytes]]:
    return [entry.args for entry in log.entries]


def test_an_entry(log: SlowLog) -> None:
    add(log, b"get", b"a", seconds=0.0123456)
    (entry,) = log.entries
    assert entry[:1] + entry[2:] == (0, 12345, [b"get", b"a"], b"127.0.0.1:1", b"me", 2)


@pytest.mark.parametrize(("threshold", "slow"), [(b"10000", [10, 11]), (b"0", [0, 9, 10, 11]), (b"-1", [])])
def test_the_threshold(config: Config, log: SlowLog, threshold: bytes, slow: list[int]) -> None:
    config.set([(b"slowlog-log-slower-than", threshold)])
    for milliseconds in (0, 9, 10, 11):
        add(log, b"%d" % milliseconds, seconds=milliseconds / 1000)
    assert sorted(int(args[0]) for args in kept(log)) == slow
    assert log.total.count == len(slow)


def test_the_oldest_are_dropped_when_the_next_comes(config: Config, log: SlowLog) -> None:
    for name in (b"a", b"b", b"c"):
        add(log, name)
    config.set([(b"slowlog-max-len", b"2")])
    assert len(log.entries) == 3
    add(log, b"d")
    assert kept(log) == [[b"d"], [b"c"]]
    config.set([(b"slowlog-max-len", b"0")])
    add(log, b"e")
    assert kept(log) == [[b"d"], [b"c"]] and log.total.count == 4
    log.entries.clear()
    config.set([(b"slowlog-max-len", b"5")])
    add(log, b"f")
    assert [entry.id for entry in log.entries] == [4]


def test_long_requests_are_shortened(config: Config, log: SlowLog) -> None:
    config.set([(b"slowlog-entry-max-argc", b"3"), (b"slowlog-entry-max-string-len", b"4")])
    add(log, b"mget", b"abcd", b"abcde")
    add(log, b"mget", b"a", b"b", b"c", b"d")
    assert kept(log) == [[b"mget", b"a", b"... (3 more arguments)"], [b"mget", b"abcd", b"abcd... (1 more bytes)"]]
    assert [entry.argc for entry in log.entries] == [5, 3]


def test_counters(log: SlowLog) -> None:
    add(log, b"get", seconds=0.5)
    add(log, b"get", seconds=0.25)
    add(log, b"set", seconds=2)
    assert {name: (slow.count, slow.seconds, slow.longest) for name, slow in log.by_command.items()} == {
        b"get": (2, 0.75, 0.5), b"set": (1, 2, 2),
    }  # fmt: skip
    assert (log.total.count, log.total.seconds, log.total.longest) == (3, 2.75, 2)
    log.reset_counters()
    assert not log.by_command and not log.total.count and len(log.entries) == 3
