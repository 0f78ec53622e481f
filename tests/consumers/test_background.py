"""The loop in the background: entered once, left in order, forgotten by children."""

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from consumers.background import Hosted

ROOT = Path(__file__).resolve().parents[2]
number = contextvars.ContextVar("number", default=0)


class Manager:
    """Notes when it is entered and left, and fails when it is told to."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failing = asyncio.Event()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        self.notes.append("entered")
        self.failing = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                failure = tasks.create_task(self._fail())
                yield
                failure.cancel()
        except* OSError as group:
            raise group.exceptions[0] from None
        finally:
            self.notes.append("left")

    async def _fail(self) -> None:
        await self.failing.wait()
        raise OSError("it has failed")

    async def fail(self) -> None:
        self.failing.set()
        await asyncio.Event().wait()


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def hosted(manager: Manager) -> Iterator[Hosted]:
    one = Hosted(manager, "the thing")
    yield one
    one.close()


async def thread() -> int:
    return threading.get_ident()


def test_it_is_entered_once_for_all_threads_and_left_when_it_is_closed(hosted: Hosted, manager: Manager) -> None:
    assert not hosted.is_open
    with ThreadPoolExecutor(10) as threads:
        found = set(threads.map(lambda _: hosted.run(thread), range(100)))
    assert hosted.is_open and len(found) == 1 and found != {threading.get_ident()}
    assert manager.notes == ["entered"]
    hosted.close()
    assert not hosted.is_open and manager.notes == ["entered", "left"]
    assert hosted.run(thread) in found, "the loop is still the same"
    assert manager.notes == ["entered", "left", "entered"]


def test_results_errors_and_the_callers_context_pass(hosted: Hosted) -> None:
    async def fail() -> None:
        raise LookupError("no")

    async def get() -> int:
        return number.get()

    number.set(7)
    assert hosted.run(get) == 7
    with pytest.raises(LookupError, match="no"):
        hosted.run(fail)


def test_what_waits_when_it_is_closed_gets_an_error(hosted: Hosted) -> None:
    waiting = threading.Event()
    ended: list[str] = []

    async def wait() -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("before it is left")

    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(hosted.run, wait)
        waiting.wait()
        hosted.close()
        with pytest.raises(RuntimeError, match="the thing has been closed"):
            call.result()
    assert ended


def test_what_waits_when_it_fails_gets_that_error_and_the_next_call_enters_it_again(
    hosted: Hosted, manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "consumers"), pytest.raises(OSError, match="it has failed"):
        hosted.run(manager.fail)
    assert caplog.messages == ["the thing has been closed: it has failed"]
    hosted.run(thread)
    assert manager.notes == ["entered", "left", "entered"]


def test_an_error_while_it_is_entered_reaches_all_who_wait_for_it(manager: Manager) -> None:
    @asynccontextmanager
    async def refusing() -> AsyncIterator[None]:
        raise PermissionError("no entry")
        yield

    hosted = Hosted(refusing, "the thing")
    for _ in range(2):
        with pytest.raises(PermissionError, match="no entry"):
            hosted.run(thread)


def test_a_function_that_ends_the_loop_ends_its_caller_only(hosted: Hosted) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        hosted.run(leave)
    hosted.run(thread)


def test_a_function_that_is_cancelled_by_itself_ends_its_caller_only(hosted: Hosted) -> None:
    async def wait() -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        hosted.run(wait)
    hosted.run(thread)


def test_what_comes_in_together_with_the_end_does_not_begin(hosted: Hosted, manager: Manager) -> None:
    async def begin() -> None:
        manager.notes.append("begun")

    async def close() -> None:
        # the loop stands still meanwhile, so its next turn finds both
        loop: Any = asyncio.get_running_loop()
        for function in (hosted.close, lambda: block.run(begin)):
            ready = len(loop._ready)
            calls.append(threads.submit(function))
            while len(loop._ready) == ready:
                time.sleep(0.001)

    hosted.run(thread)
    block: Any = hosted._block
    calls: list[Future[None]] = []
    with ThreadPoolExecutor(2) as threads:
        hosted.run(close)
        closing, beginning = calls
        closing.result()
        with pytest.raises(RuntimeError, match="the thing has been closed"):
            beginning.result()
    assert manager.notes == ["entered", "left"]


def run(program: str) -> str:
    """Run a program of which nothing may be left over; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore:This process", "-c", PRELUDE + program],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


PRELUDE = """
import logging, os, sys, threading
from contextlib import asynccontextmanager
from consumers.background import Hosted

@asynccontextmanager
async def manager():
    os.write(1, f"entered {name}\\n".encode())
    yield
    os.write(1, f"left {name}\\n".encode())

async def work():
    return threading.get_ident()

# not that a busy machine was slow
logging.getLogger("asyncio").setLevel(logging.ERROR)
name = "parent"
hosted = Hosted(manager, "it")
"""


def test_it_is_left_at_the_end_of_the_program_although_a_thread_waits() -> None:
    assert run("""
import asyncio
async def forever():
    waiting.set()
    await asyncio.Event().wait()

def wait():
    try:
        hosted.run(forever)
    except RuntimeError as error:
        print(error, flush=True)

waiting = threading.Event()
thread = threading.Thread(target=wait, daemon=True)
thread.start()
waiting.wait()
""") in ("entered parent\nit has been closed\nleft parent\n", "entered parent\nleft parent\nit has been closed\n")


def test_a_child_enters_it_for_itself_and_leaves_the_parents_alone() -> None:
    printed = run("""
hosted.run(work)
with_threads = [threading.Thread(target=lambda: [hosted.run(work) for _ in range(300)]) for _ in range(3)]
for thread in with_threads:
    thread.start()
children = []
for number in range(10):
    if child := os.fork():
        children.append(child)
        continue
    name = f"child {number}"
    assert not hosted.is_open
    hosted.run(work)
    assert hosted.is_open
    sys.exit(0)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
for thread in with_threads:
    thread.join()
hosted.run(work)
""")
    expected = ["entered parent", *(f"{what} child {number}" for number in range(10) for what in ("entered", "left"))]
    assert sorted(printed.splitlines()) == sorted([*expected, "left parent"])


def test_a_lock_that_another_thread_holds_at_the_fork_is_not_held_in_the_child() -> None:
    printed = run("""
from consumers import background
with background._lock:
    child = os.fork()
    if not child:
        name = "child"
        hosted.run(work)
        sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
""")
    assert printed == "entered child\nleft child\n"
