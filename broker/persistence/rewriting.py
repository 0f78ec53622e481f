"""Rewrites of the append-only file: when one begins, its steps, and what becomes of it.

A rewrite creates a new base from the current values and drops the history that led to them. After each of its steps,
the folder loads to the same state:

1. A new, empty increment is created, and the manifest names it after the current one.
2. A child is forked between two ticks. Once the current increment is synced, the journal continues in the new one;
   until then it holds back effects, and the replies of clients that have written.
3. The child writes the values of that moment to a temporary file.
4. That file becomes the new base: the manifest names it as history (or says that nothing counts yet), it is renamed,
   and the manifest names it and the new increment, and the older files as history.
5. The history is removed, and then dropped from the manifest.

While the append-only file is being switched on, the new increment keeps a temporary name until step 4 and is not named
before that: an increment without a base would mean that there had been no data before it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.aof.manifest import BadManifest
from broker.persistence.background import Outcome
from broker.persistence.files import TEMPORARY

if TYPE_CHECKING:
    from broker.persistence.append_only_folder import AppendOnlyFolder
    from broker.persistence.background import Background, Progress
    from broker.persistence.claims import Claims
    from broker.persistence.environment import Environment
    from broker.persistence.journal import Journal

KIND: Final = "aof"

_PATIENCE: Final = 3
"""The number of rewrites that may fail before the next automatic one is delayed (as in Redis)."""

_LONGEST_DELAY: Final = 3600
"""The longest such delay, in seconds."""

SWITCHED_OFF: Final = "the append-only file is switched off"

CANNOT_SWITCH_ON: Final = "Unable to turn on AOF. Check server logs."


class Rewrites:
    """Rewrites of the append-only file: on request, because of its growth, or to switch it on.

    `scheduled` requests one as soon as a child may be forked. `base_size` is the size in bytes after the last rewrite,
    or before the first rewrite, the size of the base; `succeeded` is whether the last rewrite succeeded, and `seconds`
    how long it took (-1 before the first). `for_backup` is whether the append-only file is kept for a backup only.
    """

    def __init__(
        self,
        environment: Environment,
        folder: AppendOnlyFolder,
        journal: Journal,
        background: Background,
        claims: Claims,
    ) -> None:
        self._config = environment.config
        self._log = environment.log
        self._folder = folder
        self._journal = journal
        self._background = background
        self._claims = claims
        self._requested = trio.Event()
        self._begin_done = trio.Event()
        self._wanted = False
        self._first = False
        self._forked = False
        self._base_only = False
        self._discards = False
        self._problem: str | None = None
        self._ended: list[Callable[[str], None]] = []
        self._later_than = 0.0
        self._base = f"{TEMPORARY}rewriteaof-bg-{os.getpid()}.aof"
        self._increment = f"{TEMPORARY}{self._config.appendfilename}.incr"
        self.scheduled = False
        self.for_backup = False
        self.base_size = 0
        self.succeeded = True
        self.failures = 0
        self.seconds = -1
        self.count = 0
        self.copied = 0

    @property
    def running(self) -> bool:
        """Whether a rewrite is in progress."""
        return self._background.kind == KIND

    @property
    def keeps_file(self) -> bool:
        """Whether there is to be an append-only file."""
        return self._config.appendonly or self.for_backup

    @property
    def leaves_increment(self) -> bool:
        """Whether the running rewrite, if it succeeds, leaves a base that is followed by an increment."""
        return self.running and self.keeps_file and not self._base_only and self._problem is None

    def on_end(self, callback: Callable[[str], None]) -> None:
        """Call this after each rewrite with the reason why it failed, or "" if the new base is in place."""
        self._ended.append(callback)

    def start(self) -> None:
        """Make the task begin a rewrite; there must be no child."""
        self._background.reserve(KIND)
        self.scheduled = False
        self._problem = None
        self._base_only = False
        self._wanted = True
        self._requested.set()

    def is_due(self) -> bool:
        """Whether a rewrite was requested, or the file has grown enough for one."""
        if self.failures >= _PATIENCE and time.monotonic() < self._later_than:
            return False
        config, size = self._config, self._journal.size
        if self.scheduled or (config.appendonly and not self._journal.is_open):
            return True
        percentage = config.auto_aof_rewrite_percentage
        if not self._journal.is_open or not percentage or size <= config.auto_aof_rewrite_min_size:
            return False
        return size * 100 // (self.base_size or 1) - 100 >= percentage

    def switch(self, on: bool) -> None:
        """CONFIG SET appendonly: start with a rewrite, or stop. Raises ValueError if the files can't be kept."""
        if on and self.for_backup:
            # It stays when the backup ends.
            self.for_backup = self._discards = False
        elif on:
            try:
                if not self._journal.is_open:
                    self._folder.settle()
            except (OSError, BadManifest) as problem:
                self._log.warning("the append-only file can't be switched on", error=str(problem))
                raise ValueError(CANNOT_SWITCH_ON) from None
            self.failures = 0
            if not self._background.active:
                self.start()
        else:
            self._stop(SWITCHED_OFF)
            self._requested.set()

    def _stop(self, reason: str) -> None:
        """Stop a running rewrite."""
        if self._wanted:
            self._wanted = False
            self._background.release()
        elif self.running:
            self._problem = reason
            self._background.kill()

    def start_for_backup(self) -> None:
        """Begin a rewrite, if need be with an append-only file for the backup alone; there must be no child.

        Raises OSError and BadManifest.
        """
        if not self._config.appendonly:
            self._claims.append_only()
            if not self._journal.is_open:
                self._folder.settle()
                self._discards = not self._folder.manifest
            self.for_backup = True
        self.start()

    def end_for_backup(self) -> None:
        """If the append-only file was for the backup alone, close it, and remove it if there was none before."""
        if not self.for_backup:
            return
        self.for_backup = False
        self._stop(SWITCHED_OFF)
        if not self.running:  # else `_done` does the rest
            self._journal.close_now()
            self._journal.progress()
            self._discard()

    def _discard(self) -> None:
        if not self._discards:
            return
        self._discards = False
        try:
            self._folder.discard()
        except (OSError, BadManifest) as problem:
            self._log.warning("the append-only file of a backup could not be removed", error=str(problem))

    async def suspend(self) -> None:
        """End a rewrite that is running, and close the append-only file; `switch` begins another."""
        self._stop("the dataset is being replaced")
        await self._journal.close()

    def remove_unfinished(self) -> None:
        """Remove the files of a rewrite that was in progress at shutdown; its child has been killed."""
        if self.running:
            self._folder.remove(self._base)
            if self._first:
                self._folder.remove(self._increment)

    async def run(self) -> None:
        """Begin requested rewrites, and close the journal when it is switched off, until cancelled."""
        while True:
            await self._requested.wait()
            self._requested = trio.Event()
            if self._journal.is_open and not self.keeps_file:
                await self._journal.close()
            if self._wanted:
                self._wanted = False
                self._begin_done = trio.Event()
                try:
                    await self._begin()
                except (OSError, BadManifest) as problem:
                    self._cannot_begin(str(problem))
                self._begin_done.set()

    def _cannot_begin(self, problem: str) -> None:
        if self._forked:
            # `_done` removes the child's base: followed by the old increment, it would apply that data twice.
            self._problem = problem
            self._background.kill()
        else:
            self._background.release()
            self._failed(problem)
            self._report(problem)

    async def _begin(self) -> None:
        """Perform steps 1 and 2."""
        journal, folder = self._journal, self._folder
        self.count += 1
        self._first = self._forked = False
        if journal.is_open:
            await journal.replace(folder.add_increment, self._fork)
            return
        self._claims.append_only()
        await trio.to_thread.run_sync(folder.settle)
        if not self.keeps_file:
            self._base_only = True
            self._fork()
            return
        self._first = True
        file = await trio.to_thread.run_sync(folder.disk.create, folder.file(self._increment))
        try:
            self._fork()
        except OSError:
            file.close()
            raise
        journal.provisional = True
        journal.open(file, 0)

    def _fork(self) -> None:
        self._background.start(KIND, self._write, self._done)
        self._forked = True
        self._log.notice(
            f"Background append only file rewriting started{self._background.by_pid()}",
            fork_seconds=round(self._background.fork_seconds, 3),
        )

    def _write(self, progress: Progress) -> None:
        """Perform step 3, in the child."""
        self._folder.write_base(self._base, progress)

    async def _done(self, outcome: Outcome) -> None:
        self._report(await self._finish(outcome))
        if not self.keeps_file:
            await self._journal.close()
            self._discard()

    def _report(self, problem: str) -> None:
        for callback in self._ended:
            callback(problem)

    async def _finish(self, outcome: Outcome) -> str:
        """Perform steps 4 and 5; returns why that failed, or ""."""
        await self._begin_done.wait()
        journal, folder = self._journal, self._folder
        self.seconds = round(time.monotonic() - self._background.began)
        self.copied = outcome.copied
        problem = self._problem or outcome.problem
        if not problem:
            self._log.notice("Background AOF rewrite terminated with success")
            increment = self._increment if self._first else None
            kept = 1 if journal.is_open and not self._first else 0
            try:
                await trio.to_thread.run_sync(folder.install, self._base, kept, increment)
            except OSError as error:
                problem = str(error)
        if problem:
            folder.remove(self._base)
            if self._first:
                await journal.close()
                folder.remove(self._increment)
            self._failed(problem)
            return problem
        if journal.provisional:
            journal.provisional = False
            journal.progress()
        with contextlib.suppress(OSError):
            journal.size = self.base_size = await trio.to_thread.run_sync(folder.size)
        self.succeeded = True
        self.failures = 0
        self._log.notice(
            "Background AOF rewrite finished successfully",
            seconds=self.seconds,
            bytes=self.base_size,
            copied_bytes=self.copied,
        )
        try:
            await trio.to_thread.run_sync(folder.remove_history)
        except OSError as error:
            self._log.warning("history files of the append-only file could not be removed", error=str(error))
        return ""

    def _failed(self, problem: str) -> None:
        if problem is SWITCHED_OFF:
            self._log.notice(f"Background AOF rewrite terminated: {problem}")
            return
        self.succeeded = False
        self.failures += 1
        delay = 0
        if self.failures >= _PATIENCE:
            delay = min(60 << min(self.failures - _PATIENCE, 6), _LONGEST_DELAY)
            self._later_than = time.monotonic() + delay
        self._log.warning("Background AOF rewrite terminated with error", error=problem, not_again_for_seconds=delay)
