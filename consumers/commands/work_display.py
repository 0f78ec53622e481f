"""The display of `trimaran work` on a terminal: counts, the rate, and the running jobs."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from consumers.commands.running import printable
from consumers.jobs import Worker
from consumers.middleware import Handled, Middleware

__all__ = ["Counts", "Display"]

REFRESH_SECONDS = 0.5
ROWS = 12
"""Running jobs that are shown: those that have run longest."""


class Counts(Middleware):
    """How many of a worker's job runs ended in each way."""

    def __init__(self) -> None:
        self.succeeded = self.failed = self.retried = self.given_up = 0

    def __str__(self) -> str:
        return f"{self.succeeded} done, {self.failed} failed, {self.retried} to be retried, {self.given_up} dead"

    def success(self, message: Handled, seconds: float) -> None:
        self.succeeded += 1

    def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
        self.failed += isinstance(error, Exception)

    def retry(self, message: Handled, delay: float) -> None:
        self.retried += 1

    def dead(self, message: Handled, reason: str) -> None:
        self.given_up += 1


class Display:
    """The display, and the log above it."""

    def __init__(self, queues: str, console: Console | None = None) -> None:
        self._queues = queues
        self._console = console or Console(stderr=True)

    def log_handler(self) -> logging.Handler:
        """Return a handler whose lines go above the display."""
        handler = RichHandler(console=self._console, show_path=False, markup=False)
        # Rich shows time and level in columns; without a format a handler would get logging's default
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        return handler

    async def run(self, workers: Sequence[Worker], counts: Counts) -> None:
        """Show it, forever."""
        before, then = 0, anyio.current_time()
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                now = anyio.current_time()
                rate = (counts.succeeded - before) / (now - then) if now > then else 0.0
                before, then = counts.succeeded, now
                live.update(self.table(workers, counts, rate), refresh=True)
                await anyio.sleep(REFRESH_SECONDS)

    def table(self, workers: Sequence[Worker], counts: Counts, rate: float) -> Group:
        """Return the display: a line of counts, and a table of the running jobs."""
        in_hand = sum(worker.in_hand for worker in workers)
        line = Text(f"{printable(self._queues)}: {counts}, {rate:.0f}/s, {in_hand} in hand", style="bold")
        table = Table(box=None, pad_edge=False, show_header=False)
        now = anyio.current_time()
        running = [job for worker in workers for job in list(worker.running.values())]
        for job in running[:ROWS]:
            if job.entry is not None:
                # Text: a name is not markup
                table.add_row(Text(printable(job.entry.job)), Text(job.entry.id), f"{now - job.begun:.1f} s")
        if len(running) > ROWS:
            table.add_row(f"and {len(running) - ROWS} more")
        return Group(line, table)
