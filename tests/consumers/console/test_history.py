"""The last minutes of the server."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import anyio
import pytest
from coredis.exceptions import AuthorizationError, RedisError

from consumers.console import history as module
from consumers.console.history import KEPT, Extra, History, Sample
from consumers.console.server import Unreachable


class Scripted:
    """A server whose counters are what the test says."""

    def __init__(self) -> None:
        self.counters: dict[str, float] = {}
        self.histograms: Any = []
        self.latest: list[Any] = []
        self.length: Any = 0
        self.error: Exception | None = None
        self.seconds = 0.0
        self.asked = 0
        self.commands: list[Sequence[Any]] = []

    async def execute(self, *commands: Sequence[Any]) -> list[Any]:
        self.asked += 1
        self.commands += commands
        await anyio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        replies = {b"INFO": self._info(), b"HISTOGRAM": self.histograms, b"GET": self.latest, b"LEN": self.length}
        return [replies[command[1] if command[0] in (b"LATENCY", b"SLOWLOG") else command[0]] for command in commands]

    def _info(self) -> bytes:
        return "".join(f"{name}:{value}\r\n" for name, value in self.counters.items()).encode()


@pytest.fixture
def server() -> Scripted:
    return Scripted()


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def history(server: Any, clock: list[float]) -> History:
    return History(server, list, lambda: clock[0])


async def test_counters_become_rates(server: Scripted, clock: list[float], history: History) -> None:
    server.counters = {"total_commands_processed": 100, "connected_clients": 3, "keyspace_hits": 10,
                       "keyspace_misses": 10}  # fmt: skip
    await history.take()
    assert history.samples == []
    server.counters |= {"total_commands_processed": 300, "keyspace_hits": 40, "used_memory": 7}
    clock[0] += 2
    await history.take()
    clock[0] += 2
    await history.take()
    first, second = history.samples
    assert (first.time, first.commands, first.connections, first.memory, first.hits) == (1002.0, 100.0, 3, 7, 100)
    assert (second.commands, second.hits) == (0, None)


async def test_latencies_are_those_of_some_seconds(server: Scripted, clock: list[float], history: History) -> None:
    async def take(seconds: float = 2) -> Sample:
        clock[0] += seconds
        await history.take()
        return history.samples[-1]

    def ask() -> int:
        return server.commands.count((b"LATENCY", b"HISTOGRAM"))

    server.histograms = {b"get": {b"calls": 100, b"histogram_usec": {1: 90, 4: 100}}}
    await history.take()
    server.histograms = {b"get": {b"calls": 110, b"histogram_usec": {1: 90, 4: 100, 8: 110}}}
    sample = await take()
    assert (sample.p50, sample.p99) == (6, 7.96) and history.missing == {}
    # these hold until the next are due
    server.histograms = {b"get": {b"calls": 120, b"histogram_usec": {1: 100, 4: 110, 8: 120}}}
    assert ((await take()).p50, ask()) == (6, 2)
    sample = await take(8)
    assert (sample.p50, sample.p99, ask()) == (0.5, 0.99, 3)
    sample = await take(10)
    assert (sample.p50, sample.p99, sample.p999) == (None, None, None)
    server.histograms = RedisError("unknown subcommand")
    sample = await take(10)
    assert sample.p50 is None and sample.slow == 0
    assert history.missing == {Extra.LATENCY: "The server refuses this: unknown subcommand"}
    # it is not asked for again at once
    asked = ask()
    server.histograms = []
    await take(10)
    assert "refuses" in history.missing[Extra.LATENCY] and ask() == asked
    await take(60)
    assert history.missing == {Extra.LATENCY: "The server does not count this: latency-tracking is off."}


async def test_new_entries_of_the_slow_log_are_counted(server: Scripted, clock: list[float], history: History) -> None:
    entry = [0, 1000, 50_000, [b"SET"], b"", b""]
    for latest, length, expected in (
        (None, 0, None), (None, 0, 0), (0, 1, 0.5), (4, 5, 2), (None, 0, 0), (5, 1, 0.5), (2, 1, None),
    ):  # fmt: skip
        server.latest, server.length = [] if latest is None else [[latest, *entry[1:]]], length
        await history.take()
        if expected is not None or history.samples:
            assert history.samples[-1].slow == expected
        clock[0] += 2
    server.length = RedisError("NOPERM")
    await history.take()
    assert history.samples[-1].slow is None and "NOPERM" in history.missing[Extra.SLOW]
    # of a log that was cleared before, only the length tells how many are new
    fresh = History(server, list, lambda: clock[0])  # type: ignore[arg-type]
    for latest, length in ((None, 0), (7, 3)):
        server.latest, server.length = [] if latest is None else [[latest, *entry[1:]]], length
        clock[0] += 2
        await fresh.take()
    assert fresh.samples[-1].slow == 1.5


async def test_another_user_is_asked_where_the_console_may_not(server: Scripted, clock: list[float]) -> None:
    refused, other = Scripted(), Scripted()
    others: list[Any] = []
    history = History(server, lambda: others, lambda: clock[0])  # type: ignore[arg-type]
    server.error = refused.error = AuthorizationError("no permissions")
    with pytest.raises(AuthorizationError, match="no permissions"):
        await history.take()
    others += [refused, other]
    for _ in range(3):
        clock[0] += 1
        await history.take()
    assert (server.asked, refused.asked, other.asked) == (1, 1, 3)
    assert len(history.samples) == 2
    others.remove(other)
    with pytest.raises(AuthorizationError, match="nobody who is logged in"):
        await history.take()
    clock[0] += 60
    server.error = None
    await history.take()
    assert server.asked == 2


async def test_a_restart_is_no_negative_rate(server: Scripted, clock: list[float], history: History) -> None:
    for commands in (100, 50, 60):
        server.counters = {"total_commands_processed": commands}
        clock[0] += 1
        await history.take()
    assert [one.commands for one in history.samples] == [10]


async def test_what_is_kept_is_limited(clock: list[float], history: History) -> None:
    for _ in range(KEPT + 5):
        clock[0] += 1
        await history.take()
    assert len(history.samples) == KEPT
    assert history.samples[-1].time == clock[0]


async def test_sampling_is_paced_by_its_cost(server: Scripted, history: History, autojump_clock: object) -> None:
    for seconds, expected in ((0.0, 50), (1.0, 2)):
        server.seconds, server.asked = seconds, 0
        with anyio.move_on_after(module.INTERVAL * 50 - 0.1):
            await history.run()
        assert server.asked == expected


async def test_viewers_are_told(server: Scripted, clock: list[float], history: History, autojump_clock: object) -> None:
    seen = []

    async def follow() -> None:
        async with aclosing(history.follow()) as samples:
            async for sample in samples:
                seen.append(None if sample is None else sample.time)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.sleep(1)
        await history.take()
        clock[0] += 1
        await history.take()
        await anyio.sleep(1)
        assert seen == [1001.0]
        server.error = Unreachable("gone")
        tasks.start_soon(history.run)
        await anyio.sleep(1)
        assert (seen, history.error) == ([1001.0, None], "gone")
        server.error = None
        await anyio.sleep(10)
        assert history.error is None
        tasks.cancel_scope.cancel()
