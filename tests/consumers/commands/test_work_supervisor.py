"""The supervisor of worker processes, with small programs in their place."""

import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream

from consumers.commands.work_supervisor import Supervisor
from consumers.retry import Backoff

BEGIN = """
import os, signal, sys, time
link, number, log = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def note(word):
    with open(log, "a") as file:
        file.write(f"{number} {word}\\n")
def say(line):
    os.write(link, line + b"\\n")
def end(*_):
    note("ended")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
"""
WORKS = "note('works'); say(b'ready'); time.sleep(60)"
TIRED = "note('works'); say(b'ready'); say(b'replace'); told = os.read(link, 100)\n"
TIRED += "signal.signal(signal.SIGTERM, signal.SIG_IGN); note(told.decode().strip())"
BROKEN = "note('fails'); sys.exit(2)"
DIES = "note('works'); say(b'ready'); os.kill(os.getpid(), signal.SIGKILL)"
DEAF = (
    "signal.signal(signal.SIGTERM, lambda *_: note('heard')); note('works'); say(b'ready')\nwhile True: time.sleep(60)"
)

SOON = Backoff(initial=0.02, factor=1, max=0.02, jitter=False)


class Supervised:
    """A supervisor that runs in the background; its n-th process runs the n-th program, or else the last."""

    def __init__(self, log: Path, *programs: str, count: int = 1, **settings: Any) -> None:
        self._log = log
        self._programs = programs
        self.supervisor = Supervisor(self._command, count, **{"patience": 30, "backoff": SOON, **settings})
        self.status: int | None = None
        self.send: MemoryObjectSendStream[int]

    def _command(self, link: int, number: int) -> list[str]:
        program = self._programs[min(number, len(self._programs)) - 1]
        return [sys.executable, "-S", "-E", "-c", BEGIN + program, str(link), str(number), str(self._log)]

    @property
    def notes(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    async def until(self, *notes: str) -> None:
        while not set(notes) <= set(self.notes):
            await anyio.sleep(0.01)

    async def stop(self) -> None:
        await self.send.send(signal.SIGTERM)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Supervised"]:
        self.send, receive = anyio.create_memory_object_stream[int](10)

        async def run() -> None:
            self.status = await self.supervisor.run(receive)

        with anyio.fail_after(30), self.send, receive:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                yield self


Make = Callable[..., Supervised]


@pytest.fixture
def make(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Make:
    caplog.set_level(logging.INFO, logger="consumers.jobs")

    def made(*programs: str, **settings: Any) -> Supervised:
        return Supervised(tmp_path / "log", *programs, **settings)

    return made


async def test_a_process_that_dies_is_started_again_and_a_signal_ends_all(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async with make(DIES, WORKS, count=2).running() as supervised:
        await supervised.until("1 works", "2 works", "3 works")
        await supervised.stop()
    assert supervised.status == 0 and sorted(supervised.notes[-2:]) == ["2 ended", "3 ended"]
    assert "worker process 1 was ended by signal 9; another one in 0.0 s" in caplog.text
    assert "SIGTERM: ending the worker processes" in caplog.text


@pytest.mark.parametrize("broken", [1, 2])
async def test_if_none_has_ever_worked_the_first_that_fails_ends_all(
    make: Make, caplog: pytest.LogCaptureFixture, broken: int
) -> None:
    programs = [WORKS.replace("say(b'ready')", "0")] * 2
    programs[broken - 1] = BROKEN
    async with make(*programs, count=2).running() as supervised:
        pass
    assert supervised.status == 2
    assert f"worker process {broken} has ended with status 2 before it took jobs" in caplog.text


async def test_one_that_wants_to_be_replaced_finishes_only_after_its_successor_has_begun(make: Make) -> None:
    async with make(TIRED, BROKEN, WORKS).running() as supervised:
        await supervised.until("3 works", "1 finish")
        await supervised.stop()
    assert supervised.status == 0
    assert supervised.notes == ["1 works", "2 fails", "3 works", "1 finish", "3 ended"]


async def test_one_that_was_done_may_be_interrupted(make: Make) -> None:
    program = "signal.signal(signal.SIGTERM, signal.SIG_DFL); say(b'ready'); say(b'done'); note('done'); time.sleep(60)"
    async with make(program).running() as supervised:
        await supervised.until("1 done")
        await supervised.stop()
    assert supervised.status == 0


async def test_one_that_does_not_end_is_killed(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    async with make(DEAF, patience=0.2).running() as supervised:
        await supervised.until("1 works")
        await supervised.stop()
        await supervised.until("1 heard")
        # passed on like the first
        await supervised.stop()
    assert supervised.status == 1 and "worker process 1 does not end: it is killed" in caplog.text


async def test_a_burst_ends_with_the_processes_and_the_worst_of_their_statuses(make: Make) -> None:
    exits = "say(b'ready'); time.sleep(0.05); sys.exit({})"
    async with make(exits.format(0), DIES, exits.format(3), count=2, burst=True).running() as supervised:
        pass
    assert supervised.status == 3


async def test_a_change_restarts_all_and_a_broken_source_is_waited_out(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    send, receive = anyio.create_memory_object_stream[str]()
    with send, receive:
        async with make(WORKS, BROKEN, WORKS, changes=lambda: receive).running() as supervised:
            await supervised.until("1 works")
            await send.send("app.py")
            await supervised.until("1 ended", "2 fails")
            while "waiting for a change of the source" not in caplog.text:
                await anyio.sleep(0.01)
            assert supervised.notes == ["1 works", "1 ended", "2 fails"]
            await send.send("app.py")
            await supervised.until("3 works")
            await supervised.stop()
    assert supervised.status == 0 and supervised.notes[3:] == ["3 works", "3 ended"]
    assert "app.py changed: restarting the workers" in caplog.text


async def test_it_can_be_stopped_while_it_waits_for_a_change(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    async with make(BROKEN, changes=lambda: _nothing()).running() as supervised:
        while "waiting for a change of the source" not in caplog.text:
            await anyio.sleep(0.01)
        await supervised.stop()
    assert supervised.status == 0 and supervised.notes == ["1 fails"]


async def _nothing() -> AsyncIterator[str]:
    await anyio.sleep_forever()
    yield ""


async def test_when_it_is_cancelled_nothing_stays_behind(make: Make, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n{WORKS}"
    async with anyio.create_task_group() as tasks, make(program).running() as supervised:
        await supervised.until("1 works")
        tasks.cancel_scope.cancel()
        await anyio.sleep_forever()
    # it may be left as a zombie, whose command line is empty
    arguments = Path("/proc", pid.read_text(), "cmdline")
    with anyio.fail_after(60):
        while arguments.exists() and arguments.read_bytes():
            await anyio.sleep(0.01)
