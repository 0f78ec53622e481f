"""Something that is read while anybody asks for it."""

import logging

import anyio
import pytest

from consumers.console.server import Unreachable
from consumers.console.watch import INTERVAL, SHARE, Watch


class Counting:
    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.count = 0
        self.error: Exception | None = None

    async def read(self) -> int:
        self.count += 1
        await anyio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return self.count


async def test_a_reading_holds_for_a_while(autojump_clock: object) -> None:
    source = Counting()
    async with anyio.create_task_group() as tasks:
        watch = Watch("x", source.read, tasks)
        assert source.count == 0
        assert [await watch.latest(1), await watch.latest(1)] == [1, 1]
        await anyio.sleep(INTERVAL)
        assert await watch.latest(1) == 2
        watch.expire()
        assert await watch.latest(1) == 3


async def test_all_who_ask_share_one_reading_and_nobody_waits_long(autojump_clock: object) -> None:
    source = Counting(5.0)
    async with anyio.create_task_group() as tasks:
        watch = Watch("x", source.read, tasks)
        assert [await watch.latest(0.1), await watch.latest(0.1)] == [None, None]
        assert source.count == 1
        assert await watch.latest(10) == 1
        # what takes long is read rarely
        await anyio.sleep(5 / SHARE - 1)
        assert (await watch.latest(10), source.count) == (1, 1)
        await anyio.sleep(1)
        assert (await watch.latest(1), source.count) == (1, 2)
        watch.expire()
        await anyio.sleep(5)
        assert await watch.latest(10) == 3, "what was expired while it was read is read again"


async def test_errors_leave_the_reading_before(autojump_clock: object, caplog: pytest.LogCaptureFixture) -> None:
    source = Counting()
    async with anyio.create_task_group() as tasks:
        watch = Watch("things", source.read, tasks)
        assert await watch.latest(1) == 1
        for error, text in (
            (Unreachable("gone"), "gone"),
            (KeyError("x"), "this could not be read; the console's log says why"),
            (None, None),
        ):
            source.error = error
            watch.expire()
            value = await watch.latest(1)
            assert watch.error == text
            assert value == (1 if error else 4)
        assert "reading things has failed" in caplog.text
        assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_reading_without_end_is_given_up(autojump_clock: object) -> None:
    async with anyio.create_task_group() as tasks:
        watch = Watch("x", Counting(1e9).read, tasks)
        await watch.latest(100)
        assert watch.error == "no answer"
