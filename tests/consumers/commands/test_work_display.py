"""What `trimaran work` shows."""

import io
import logging
from collections.abc import AsyncIterator

import coredis
import pytest
import trio
from rich.console import Console

from consumers.commands.work_display import ROWS, Counts, Display
from consumers.jobs import Queue, Worker
from tests.consumers.jobs.working import until

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


def test_log_lines_show_level_and_logger_once() -> None:
    screen = io.StringIO()
    handler = Display("q", Console(file=screen, width=100)).log_handler()
    record = logging.LogRecord("consumers.jobs", logging.WARNING, "", 0, "[bold]what", (), None)
    handler.handle(record)
    line = screen.getvalue()
    assert line.split("WARNING")[1].strip() == "consumers.jobs: [bold]what"
    assert line.count("WARNING") == line.count("consumers.jobs") == 1


async def test_counts_and_running_jobs_are_shown(queue: Queue) -> None:
    @queue.job(name="na\x1bp")
    async def nap(n: int) -> None:
        await trio.sleep(30 if n else 0)

    counts = Counts()
    screen = io.StringIO()
    display = Display("q", Console(file=screen, width=100, force_terminal=True))
    async with Worker(queue, middleware=[counts]).open(grace=0) as worker, trio.open_nursery() as nursery:
        nursery.start_soon(display.run, [worker], counts)
        await queue.enqueue_many(nap.call(n) for n in range(15))
        await until(lambda: len(worker.running) == 14 and counts.succeeded == 1)
        display.log_handler()
        plain = Console(file=io.StringIO(), width=100)
        plain.print(display.table([worker], counts, 7.4))
        nursery.cancel_scope.cancel()
    lines = plain.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0].startswith("q: 1 done, 0 failed, 0 to be retried, 0 dead, 7/s, ")
    assert len(lines) == 1 + ROWS + 1 and lines[1].startswith("na\\x1bp ") and lines[-1].startswith("and 2 more")
    assert "q: 0 done" in screen.getvalue()
