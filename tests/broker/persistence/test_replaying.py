"""Executing an append-only file's commands in steps. test_recovery.py has the errors and the files."""

import io
import time
from itertools import count

import pytest

from broker.broker import Broker
from broker.formats.aof.reading import CHUNK, CommandReader, Truncated
from broker.persistence.environment import LoadError
from broker.persistence.pieces import PIECE
from broker.persistence.replaying import Replayer
from protocol.replies import bulks
from tests.broker.persistence.folders import aof
from tests.broker.sessions import make_broker

ELEMENTS = [b"%07d" % number for number in range(50 * PIECE)]
PAIRS = [word for element in ELEMENTS for word in (b"%d" % int(element), element)]


class Loading:
    """A broker that executes a file; `released` is what it has given away to be freed."""

    def __init__(self, data: bytes) -> None:
        self.broker: Broker = make_broker()
        self.released: list[object] = []
        commands = self.broker.commands
        self.reader = CommandReader(io.BytesIO(data).read, len(data))
        replayer = Replayer(
            commands, commands, self.broker, self.broker.log, self.broker.stats, "file", self.released.append
        )
        self.steps = replayer.steps(self.reader)

    def value(self, key: bytes) -> object:
        return self.broker.keyspace.databases[0].data.get(key)

    def length(self, key: bytes) -> int:
        value = self.value(key)
        return len(value) if value is not None else 0  # type: ignore[arg-type]


def test_it_says_how_far_it_is() -> None:
    data = b"".join(aof(f"SET key:{number} value") for number in range(20_000))
    offsets = list(Loading(data).steps)
    assert offsets == sorted(offsets) and offsets[-1] == len(data)
    assert len(offsets) >= len(data) // CHUNK


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ([b"RPUSH", b"k", *ELEMENTS], b"k"),
        ([b"SADD", b"k", *ELEMENTS], b"k"),
        ([b"HSET", b"k", *PAIRS], b"k"),
        ([b"ZADD", b"k", *PAIRS], b"k"),
    ],
    ids=["list", "set", "hash", "sorted set"],
)
def test_a_command_of_many_arguments_is_read_and_executed_in_steps(command: list[bytes], key: bytes) -> None:
    data = bulks(command)
    loading = Loading(data)
    before = steps = reading = 0
    for _ in loading.steps:
        length = loading.length(key)
        assert length - before <= PIECE
        before = length
        steps += 1
        reading += not length
    assert before == len(ELEMENTS)
    assert reading >= len(data) // CHUNK and steps - reading >= len(ELEMENTS) // PIECE


def test_a_transaction_is_executed_in_steps_once_it_is_complete() -> None:
    begin = aof("MULTI") + b"".join(bulks([b"SADD", b"k", element]) for element in ELEMENTS)
    end = aof("EXEC", "SET last 1")
    loading = Loading(begin + end)
    lengths = [loading.length(b"k") for _ in loading.steps]
    assert lengths.count(0) >= len(begin) // CHUNK
    assert lengths[-1] == len(ELEMENTS) and loading.value(b"last") == b"1"
    assert len(ELEMENTS) in [len(part) for part in loading.released if isinstance(part, list)]
    loading = Loading(begin)
    with pytest.raises(Truncated):
        list(loading.steps)
    assert loading.length(b"k") == 0


def test_large_commands_and_odd_ones_within_a_transaction() -> None:
    data = aof("SET a 1", "MULTI", "FLUSHALL", "SET b 1") + bulks([b"SADD", b"k", *ELEMENTS]) + aof("SET c 1", "EXEC")
    loading = Loading(data)
    list(loading.steps)
    assert set(loading.broker.keyspace.databases[0].data) == {b"b", b"k", b"c"}
    assert loading.length(b"k") == len(ELEMENTS)


def test_slow_commands_end_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    data = aof("SET key value") * 100
    monkeypatch.setattr(time, "perf_counter", count().__next__)
    assert [offset // (len(data) // 100) for offset in Loading(data).steps][:9] == [*range(1, 10)]
    monkeypatch.setattr(time, "perf_counter", lambda: 0)
    assert next(Loading(data).steps) == len(data)


def test_a_large_command_that_fails_is_given_up_at_once() -> None:
    loading = Loading(aof("SET k v") + bulks([b"RPUSH", b"k", *ELEMENTS]) + aof("SET last 1"))
    list(loading.steps)
    assert loading.value(b"k") == b"v" and loading.value(b"last") == b"1"
    left = next(part for part in loading.released if part)
    assert isinstance(left, list) and len(left) == len(ELEMENTS) - PIECE


def test_what_is_read_of_a_command_that_is_cut_short_is_released() -> None:
    loading = Loading(bulks([b"RPUSH", b"k", *ELEMENTS])[:-1])
    with pytest.raises(Truncated):
        list(loading.steps)
    assert [b"RPUSH", b"k", *ELEMENTS[:-1]] in loading.released


def test_the_offset_of_an_unknown_command() -> None:
    data = aof("SET a 1", "MULTI", "SET b 1", "FROB x")
    with pytest.raises(LoadError, match=f"unknown command 'FROB' before byte {len(data)}"):
        list(Loading(data + aof("SET c 1", "EXEC")).steps)


def test_errors_are_counted_as_unexpected() -> None:
    loading = Loading(aof("SET k v", "LPUSH k x", "INCR k", "MULTI", "LPUSH k x", "SET k w", "EXEC"))
    for _ in loading.steps:
        pass
    stats = loading.broker.stats
    assert (stats.unexpected_errors, stats.error_replies) == (3, 3)
    assert stats.errors == {b"WRONGTYPE": 2, b"ERR": 1}
    assert loading.value(b"k") == b"w"
    stats.reset()
    assert stats.unexpected_errors == 0
