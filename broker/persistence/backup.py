"""BACKUP: a copy of the append-only files at one point in time, made of hard links in a folder of its own.

1. A rewrite produces a base. Where no append-only file is kept, one is kept for the length of the backup. The base is
   linked into the backup's folder as soon as it is in place.
2. Writes accumulate in the increment that follows it. No other rewrite begins.
3. Sealing syncs that increment, links it, writes a manifest that names both, and lets the journal continue in a new
   increment, so that nothing is ever written to a file of a sealed backup. All clients wait meanwhile.

The linked files cost no space until a later rewrite drops them from the append-only folder. A backup's state is in
memory only: after a restart what is left of it stays in its folder until CLEANUP.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from broker.formats.aof.manifest import MANIFEST_SUFFIX, BadManifest, Manifest
from broker.persistence.files import replace

if TYPE_CHECKING:
    from broker.persistence.append_only_folder import AppendOnlyFolder
    from broker.persistence.background import Background
    from broker.persistence.environment import Environment
    from broker.persistence.journal import Journal
    from broker.persistence.rewriting import Rewrites

IDLE: Final = "idle"
PENDING: Final = "pending"
SNAPSHOTTING: Final = "snapshotting"
INCREMENTING: Final = "incrementing"
SEALED: Final = "sealed"
FAILED: Final = "failed"

# Redis's texts, verbatim.
IN_PROGRESS: Final = "A backup is already in progress, ABORT it first"
NOT_CLEANED: Final = "A sealed backup exists, CLEANUP it first"
NOT_ENDED: Final = "Backup is in progress"
NONE_TO_ABORT: Final = "No backup in progress"
NOT_READY: Final = "No backup ready to seal (must be in the incrementing state)"
NO_REWRITE: Final = "Can't start the AOF rewrite for the backup"
ABORTED: Final = "aborted by user"
SWITCHED_OFF: Final = "appendonly is stopped"
RELOADED: Final = "debug reload executed"
APPEND_ONLY_RELOADED: Final = "debug loadaof executed"
# Our own: Redis would remove other files than a backup's.
SHARED: Final = "backupdirname must name a folder that holds nothing else"


class Refused(Exception):
    """The request is refused, or has failed; the text is for the client."""


class Backup:
    """The one backup of a broker.

    `state` is one of the names above, `error` why a backup has failed, "" if it has not. `start_time` is when the
    rewrite began, and `end_time` when the backup was sealed, in seconds of the wall clock; 0 for what has not happened.
    """

    def __init__(
        self,
        environment: Environment,
        folder: AppendOnlyFolder,
        journal: Journal,
        background: Background,
        rewrites: Rewrites,
    ) -> None:
        self._config = environment.config
        self._log = environment.log
        self._clock = environment.clock
        self._disk = folder.disk
        self._folder = folder
        self._journal = journal
        self._background = background
        self._rewrites = rewrites
        self._reset()
        rewrites.on_end(self._rewritten)

    def _reset(self) -> None:
        self.state = IDLE
        self.error = ""
        self.start_time = self.end_time = 0
        self._path: str | None = None
        self._names: list[str] = []

    @property
    def in_progress(self) -> bool:
        """Whether a backup was started, and is neither sealed nor has failed."""
        return self.state in (PENDING, SNAPSHOTTING, INCREMENTING)

    @property
    def path(self) -> str:
        """The backup's folder: where it was started, or where one would be."""
        return self._path or os.path.join(self._config.dir, self._config.backupdirname)

    def files(self) -> list[str]:
        """The absolute paths of the files linked or written so far, in the order of loading; the manifest is last."""
        return [os.path.abspath(os.path.join(self.path, name)) for name in self._names]

    # Requests

    def start(self, *, later: bool) -> None:
        """Begin a backup, now or, if a child is active or with `later`, as soon as possible. Raises Refused."""
        if self.in_progress:
            raise Refused(IN_PROGRESS)
        if self.state == SEALED:
            raise Refused(NOT_CLEANED)
        path = os.path.join(self._config.dir, self._config.backupdirname)
        self._claim(path)
        self._reset()
        self._path = path
        self.state = PENDING
        if not later:
            self.proceed()

    def _claim(self, path: str) -> None:
        """Create the folder, which must be empty. Raises Refused."""
        self._check_name()
        name = self._config.backupdirname
        try:
            self._disk.make_folder(path)
            names = self._disk.names(path)
        except OSError as problem:
            # Redis does not find out before it reads the folder.
            number = errno.ENOTDIR if isinstance(problem, FileExistsError) else problem.errno
            raise Refused(f"Can't create backup directory {name}: {os.strerror(number or errno.EIO)}") from None
        if names:
            raise Refused(f"Backup directory {name} is not empty, CLEANUP it first")

    def _check_name(self) -> None:
        if self._config.backupdirname in (os.curdir, os.pardir, self._config.appenddirname):
            raise Refused(SHARED)

    def proceed(self) -> None:
        """Begin the rewrite of a pending backup, unless a child is active. Raises Refused if that fails."""
        if self.state != PENDING:
            return
        if not self._rewrites.leaves_increment:
            if self._background.active:
                return
            try:
                self._rewrites.start_for_backup()
            except (OSError, BadManifest) as problem:
                self._log.warning("BACKUP: no append-only file can be kept", error=str(problem))
                self.fail("failed to temporarily enable AOF for backup")
                raise Refused(NO_REWRITE) from None
        self.state = SNAPSHOTTING
        self.start_time = self._clock.now // 1000

    def seal(self) -> None:
        """Complete the backup with all changes made so far. Raises Refused."""
        if self.state != INCREMENTING:
            raise Refused(NOT_READY)
        manifest = self._folder.manifest
        manifest = Manifest(base=manifest.base, increments=manifest.increments)
        with self._step("Can't fsync the INCR file for the backup", "failed to fsync incr file"):
            self._journal.sync_now()
        with self._step("Can't pin the INCR AOF for the backup", "failed to pin INCR AOF"):
            for entry in manifest.increments:
                self._link(entry.name)
            self._disk.sync_folder(self.path)
        with self._step("Can't write the backup manifest", "failed to write backup manifest"):
            name = self._config.appendfilename + MANIFEST_SUFFIX
            replace(self._disk, os.path.join(self.path, name), manifest.sealed())
            self._disk.sync_folder(os.path.dirname(self.path))
            self._names.append(name)
        with self._step("Can't rotate the live AOF after sealing the backup", "failed to rotate live AOF after seal"):
            self._journal.continue_in(self._folder.add_increment())
        self._rewrites.end_for_backup()
        self.state = SEALED
        self.end_time = self._clock.now // 1000
        self._log.notice(f"BACKUP: sealed backup in {self._config.backupdirname}")

    @contextlib.contextmanager
    def _step(self, refusal: str, reason: str) -> Iterator[None]:
        """A step of sealing: an OSError makes the backup fail for this reason. Raises Refused then."""
        try:
            yield
        except OSError as problem:
            self._log.warning(f"BACKUP: {reason}", error=str(problem))
            self.fail(reason)
            raise Refused(refusal) from None

    def abort(self) -> None:
        """Give up the backup in progress. Raises Refused."""
        if not self.in_progress:
            raise Refused(NONE_TO_ABORT)
        self.fail(ABORTED)

    def clean_up(self) -> None:
        """Remove all files in the backup's folder. Raises Refused."""
        if self.in_progress:
            raise Refused(NOT_ENDED)
        self._check_name()
        self._remove_files()
        self._reset()

    # What happens meanwhile

    def _rewritten(self, problem: str) -> None:
        """Link the base that a rewrite has put in place."""
        if self.state != SNAPSHOTTING:
            return
        base = self._folder.manifest.base
        if problem or base is None:
            self.fail(f"snapshot rewrite failed: {problem}")
            return
        try:
            self._link(base.name)
        except OSError as error:
            self._log.warning("BACKUP: can't hard-link the base", file=base.name, error=str(error))
            self.fail("failed to pin snapshot file")
            return
        self.state = INCREMENTING
        self._log.notice(f"BACKUP: snapshot pinned ({base.name}), now accumulating writes")

    def fail(self, reason: str) -> None:
        """Make a backup in progress fail, and remove what there is of it."""
        if not self.in_progress:
            return
        self.state = FAILED
        self.error = reason
        self._names = []
        self._remove_files()
        self._rewrites.end_for_backup()
        self._log.warning(f"BACKUP: failed: {reason}")

    def cron(self) -> None:
        """Called once a second: begin a pending backup, or remove a sealed one that is older than backup-sealed-ttl."""
        with contextlib.suppress(Refused):
            self.proceed()
        ttl = self._config.backup_sealed_ttl
        if self.state == SEALED and ttl and self._clock.now // 1000 - self.end_time >= ttl:
            self._log.notice(f"BACKUP: auto cleaning sealed backup after {ttl} seconds")
            self.clean_up()

    def _link(self, name: str) -> None:
        self._disk.link(self._folder.file(name), os.path.join(self.path, name))
        self._names.append(name)

    def _remove_files(self) -> None:
        """Remove all files in the folder, as far as possible; folders in it stay, as in Redis."""
        try:
            names = self._disk.names(self.path)
        except OSError:
            return
        for name in names:
            try:
                self._disk.remove(os.path.join(self.path, name))
            except OSError as problem:
                self._log.warning("BACKUP: can't remove a file", file=name, error=str(problem))


__all__ = ["Backup", "Refused"]
