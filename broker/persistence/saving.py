"""Snapshots: RDB files of a point in time, by SAVE, BGSAVE, save points, and at shutdown.

A file is written under a temporary name, and replaces the previous one only once it is complete and on the disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, Final

from broker.formats.rdb.file_saving import save_rdb
from broker.persistence.background import Outcome
from broker.persistence.delays import delayed
from broker.persistence.files import TEMPORARY, Write, replace
from broker.process.memory import resident

if TYPE_CHECKING:
    from broker.config.syntaxes import SavePoint
    from broker.persistence.background import Background, Progress
    from broker.persistence.claims import Claims
    from broker.persistence.environment import Environment, FunctionLibraries
    from broker.persistence.files import Disk

KIND: Final = "rdb"

RETRY_SECONDS: Final = 5
"""How long save points wait after a failed save before they trigger another (as in Redis)."""

_TEMPORARY_FORM: Final = TEMPORARY + "(?:bg)?save-[0-9]+-"

SYNC_EVERY: Final = 4 << 20
"""A long file is synced every time this many bytes were written, so that the final sync doesn't block for seconds."""


class Snapshots:
    """The RDB file of a broker, and when it is written.

    `last_save` is the wall time in seconds of the last save (or of the start); `succeeded` is whether the last
    background save succeeded, and `seconds` how long it took (-1 before the first).
    """

    def __init__(
        self,
        environment: Environment,
        disk: Disk,
        background: Background,
        claims: Claims,
        functions: FunctionLibraries,
    ) -> None:
        self._config = environment.config
        self._log = environment.log
        self._clock = environment.clock
        self._keyspace = environment.keyspace
        self._state = environment.state
        self._stream = environment.stream
        self._disk = disk
        self._background = background
        self._claims = claims
        self._functions = functions
        self.last_save = self._clock.now // 1000
        self._last_try = 0.0
        self._changes_saved = 0
        self._unwanted = False
        self._unfinished = ""
        self.succeeded = True
        self.failures = 0
        self.seconds = -1
        self.saves = 0
        self.copied = 0
        self.scheduled = False

    @property
    def running(self) -> bool:
        """Whether a background save is running."""
        return self._background.kind == KIND

    @property
    def path(self) -> str:
        config = self._config
        return os.path.join(config.dir, config.dbfilename)

    def save(self) -> None:
        """Write the file and return once it is on the disk. Raises OSError, in which case the old file remains."""
        self.saves += 1
        self.replace_file()

    def replace_file(self) -> None:
        """`save` as part of another command, which does not count as a save in INFO."""
        self._claims.snapshots()
        began = time.monotonic()
        try:
            self._write(self._temporary("save"), lambda keys: None)
        except OSError as problem:
            self._log.warning("Error saving DB on disk", file=self.path, error=str(problem))
            raise
        self._keyspace.access.forget_changes(self._keyspace.changes)
        self._note_success()
        self._log.notice("DB saved on disk", file=self.path, seconds=round(time.monotonic() - began, 3))

    def start(self) -> None:
        """Fork a child that writes the file as of now. Raises OSError; there must be no other child."""
        self._claims.snapshots()
        self._changes_saved = self._keyspace.changes + self._keyspace.dirty
        self._last_try = time.monotonic()
        self.saves += 1
        self.scheduled = False
        self._unwanted = False
        # Not the name that SAVE uses: a killed child may still be writing when SAVE begins.
        temporary = self._unfinished = self._temporary("bgsave")
        try:
            self._background.start(KIND, lambda progress: self._write(temporary, progress), self._done)
        except OSError as problem:
            self._failed(str(problem))
            raise
        self._log.notice(
            f"Background saving started{self._background.by_pid()}",
            fork_seconds=round(self._background.fork_seconds, 3),
        )

    async def _done(self, outcome: Outcome) -> None:
        self.seconds = round(time.monotonic() - self._background.began)
        self.copied = outcome.copied
        if outcome.problem:
            self.remove_unfinished()
            if self._unwanted:
                self._log.notice("Background saving terminated: all keys have been removed meanwhile")
            else:
                self._failed(outcome.problem)
            return
        self._unfinished = ""
        self._keyspace.access.forget_changes(min(self._keyspace.changes, self._changes_saved))
        self._note_success()
        self._log.notice("Background saving terminated with success", seconds=self.seconds, copied_bytes=self.copied)

    def _note_success(self) -> None:
        self.last_save = self._clock.now // 1000
        self.succeeded = True
        self.failures = 0

    def _failed(self, problem: str) -> None:
        self.succeeded = False
        self.failures += 1
        self._log.warning("Background saving error", file=self.path, error=problem)

    def _temporary(self, kind: str) -> str:
        config = self._config
        return os.path.join(config.dir, f"{TEMPORARY}{kind}-{os.getpid()}-{config.dbfilename}")

    def remove_unfinished(self) -> None:
        """Remove the unfinished file of a child that was killed, or whose outcome will never be awaited."""
        if self._unfinished:
            with contextlib.suppress(OSError):
                self._disk.remove(self._unfinished)
            self._unfinished = ""

    def left_behind(self, name: str) -> bool:
        """Whether a file of this name is a temporary one of an earlier broker that kept its RDB file here."""
        return re.fullmatch(_TEMPORARY_FORM + re.escape(self._config.dbfilename), name) is not None

    def _write(self, temporary: str, shown: Progress) -> None:
        place = self._stream.facts()

        def content(write: Write) -> None:
            aux = [(b"used-mem", b"%d" % resident()), *place]
            functions = self._functions.sources()
            progress = delayed(shown, self._config)
            save_rdb(write, self._keyspace, self._config, aux=aux, functions=functions, progress=progress)

        replace(self._disk, self.path, content, temporary=temporary, sync_every=SYNC_EVERY)

    # Automatic saves

    def is_due(self) -> bool:
        """Whether a save point or BGSAVE SCHEDULE calls for a save."""
        if self.scheduled:
            return True
        if not self.succeeded and time.monotonic() - self._last_try <= RETRY_SECONDS:
            return False
        return self.reached() is not None

    def reached(self) -> SavePoint | None:
        """The first save point that has been reached."""
        since = self._clock.now // 1000 - self.last_save
        changes = self._keyspace.changes
        for point in self._config.save:
            if changes >= point.changes and since > point.seconds:
                return point
        return None

    def all_flushed(self) -> None:
        """FLUSHALL: stop a child that is writing the old keys, and replace the file on the disk as well."""
        if self._state.loading:
            return
        if self.running:
            self._unwanted = True
            self._background.kill()
        if self._config.save:
            try:
                self.replace_file()
                # The command's own changes are counted later, but that file already includes them.
                self._keyspace.access.forget_changes(self._keyspace.dirty)
            except OSError as problem:
                self._log.warning("the old RDB file remains: its keys will be back after a restart", error=str(problem))
