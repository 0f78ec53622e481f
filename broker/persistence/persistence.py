"""Everything that makes a broker's data outlive it: the journal, snapshots, rewrites and recovery, put together.

Within the tick, the only disk access is a plain write to the append-only file, which goes to the system's page cache.
The exceptions are SAVE, SHUTDOWN with a save, and BACKUP SEAL, which block all clients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from broker.persistence.append_only_folder import AppendOnlyFolder
from broker.persistence.background import Background, Child, Work, fork
from broker.persistence.backup import APPEND_ONLY_RELOADED, SWITCHED_OFF, Backup, Refused
from broker.persistence.claims import Claims
from broker.persistence.environment import LoadError
from broker.persistence.files import Disk
from broker.persistence.journal import Journal
from broker.persistence.recovery import Recovery
from broker.persistence.rewriting import Rewrites
from broker.persistence.saving import Snapshots
from protocol.errors import BGSAVE_ERROR, aof_error

if TYPE_CHECKING:
    from broker.clients.session import Host, Session
    from broker.persistence.environment import Environment, FunctionLibraries
    from broker.process.poller import Watches
    from broker.process.timers import Deadlines
    from broker.table.command import CommandTable

UNWRITTEN_MAX: Final = 1 << 30
"""Bytes that may accumulate for the append-only file while the disk takes nothing (ticks don't write while a rewrite
changes files). Above it, clients' writes are refused until the disk has taken them. Checked once a second."""

TOO_SLOW: Final = "the disk takes too long"


@dataclass(frozen=True)
class Storage:
    """The disk that holds a broker's files, and how its children are forked and begin (see Background)."""

    disk: Disk = field(default_factory=Disk)
    spawn: Callable[[Work], Child] = fork
    child_begins: Callable[[str], None] | None = None


class Persistence:
    """The parts of a broker that manage its files."""

    def __init__(
        self,
        environment: Environment,
        storage: Storage,
        functions: FunctionLibraries,
        commands: CommandTable,
        host: Host,
        retry: Callable[[Session], None],
        timers: Deadlines,
        watches: Watches,
    ) -> None:
        """Recovery replays the append-only file with `commands`, for a client of `host`.

        `retry` executes a session's waiting command again. `timers` and `watches` fire within the tick.
        """
        config = self._config = environment.config
        self._log = environment.log
        self._keyspace = environment.keyspace
        self._state = environment.state
        self._retry = retry
        disk = storage.disk
        latency = environment.latency
        self.background = Background(
            lambda work: latency.measure("fork", lambda: storage.spawn(work)),
            self._child_ended,
            storage.child_begins,
        )
        self.journal = Journal(
            environment.keyspace.effects,
            config,
            environment.clock,
            environment.log,
            timers,
            watches,
            latency,
            child_runs=lambda: self.background.has_child,
            error_changed=self._update_refusal,
        )
        self._claims = Claims(config, disk)
        self.folder = AppendOnlyFolder(config, environment.keyspace, functions, disk, environment.stream)
        self.snapshots = Snapshots(environment, disk, self.background, self._claims, functions)
        self.rewrites = Rewrites(environment, self.folder, self.journal, self.background, self._claims)
        self.backup = Backup(environment, self.folder, self.journal, self.background, self.rewrites)
        self.recovery = Recovery(environment, self.folder, self.snapshots, self.journal, functions, commands, host)
        self._recovered = False
        self._watching: list[Session] = []
        self.journal.on_progress(self._retry_acknowledged)
        config.on_change("appendonly", self._switch_append_only)
        for name in ("stop-writes-on-bgsave-error", "save"):
            config.on_change(name, lambda _: self._update_refusal())

    def reload_append_only(self) -> None:
        """Load the append-only files again while all clients wait (DEBUG LOADAOF). Raises LoadError and OSError."""
        self.backup.fail(APPEND_ONLY_RELOADED)
        if not self.journal.is_open or self.journal.provisional:  # without its base it holds only what came since
            raise LoadError("there is no complete append-only file")
        self.journal.end_tick()
        if self.journal.unwritten_bytes:
            raise LoadError("not all changes have been written to the append-only file")
        self.recovery.reload_append_only()

    async def suspend_append_only(self) -> None:
        """Close the append-only file: what it describes is about to be replaced."""
        self.backup.fail(SWITCHED_OFF)
        self.background.kill()
        await self.rewrites.suspend()

    def resume_append_only(self) -> None:
        """Begin a new append-only file with all that is there now, if there is to be one."""
        if self._config.appendonly and not self.journal.is_open:
            with contextlib.suppress(ValueError):  # logged; tried again by `cron`
                self.rewrites.switch(True)

    # Start and stop

    async def recover(self) -> None:
        """Load the files on the disk. Raises LoadError, FilesInUse, UnusableFolder."""
        if self._config.appendonly:
            self._claims.append_only()
        if self._config.save:
            self._claims.snapshots()
        await self.recovery.run(sweep=bool(self._config.save))
        # As in Redis: growth counts from the last rewrite, even across restarts.
        self.rewrites.base_size = self.folder.base_size() if self.journal.is_open else 0
        self._recovered = True
        if self.journal.is_open != self._config.appendonly:
            # The directive was changed during loading.
            with contextlib.suppress(ValueError):
                self.rewrites.switch(self._config.appendonly)

    async def run(self) -> None:
        """Run the background tasks until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.journal.run)
            nursery.start_soon(self.background.run)
            nursery.start_soon(self.rewrites.run)

    def cron(self) -> None:
        """Called once a second: start a backup, rewrite or snapshot that is due, one child at a time."""
        if not self._state.loading:
            self.backup.cron()
        if not self.background.active and not self._state.loading:
            # While a backup is in progress, no other rewrite may begin.
            if self.rewrites.is_due() and not self.backup.in_progress:
                self.rewrites.start()
            elif self.snapshots.is_due():
                self._start_snapshot()
        keys = self.background.progress_to_report()
        if keys is not None:
            total = sum(len(database.data) for database in self._keyspace.databases)
            self._log.notice("writing in the background", what=self.background.kind, keys=keys, of=total)
        self._update_refusal()

    def _start_snapshot(self) -> None:
        if point := self.snapshots.reached():
            self._log.notice(f"{point.changes} changes in {point.seconds} seconds. Saving...")
        try:
            self.snapshots.start()
        except OSError as problem:
            self._log.warning("Can't save in background", error=str(problem))

    def prepare_shutdown(self, *, save: bool, no_save: bool, force: bool) -> bool:
        """Prepare the files for shutdown; False if the broker must not end, because data would be lost."""
        if self._state.loading or not (self._recovered or save):
            # The files on the disk must not be replaced by a partly loaded keyspace.
            return True
        if self.journal.provisional and not force:
            self._log.warning("not shutting down: the first append-only file is being written")
            return False
        if self.journal.write_error is not None and not (force or no_save):
            self._log.warning("not shutting down: the append-only file can't be written, and lacks what was answered")
            return False
        self.background.kill()
        if not save and (no_save or not self._config.save):
            return True
        self._log.notice("Saving the final RDB snapshot before exiting")
        try:
            self.snapshots.save()
        except OSError as problem:
            self._log.warning(
                "Error trying to save the DB" + (", exiting anyway" if force else ", can't exit"), error=str(problem)
            )
            return force
        return True

    def close(self) -> bool:
        """Write and sync what is left, after all tasks have ended; False if that failed."""
        self.background.kill()
        was_open = self.journal.is_open and not self.journal.provisional
        whole = self.journal.close_now()
        if was_open and whole:
            with contextlib.suppress(OSError):
                self.folder.close()
        self.snapshots.remove_unfinished()
        self.rewrites.remove_unfinished()
        self._claims.release()
        return whole

    # Queries

    def acknowledges(self, session: Session) -> bool:
        """Whether the session's writes are on this machine's disk, where a restart would find them."""
        journal = self.journal
        if not journal.is_open or journal.provisional or journal.sync_error is not None:
            return False
        return journal.synced_position >= session.last_write_position

    def watch(self, session: Session) -> None:
        """Execute the session's waiting command again once its writes are acknowledged (WAITAOF)."""
        if session not in self._watching:
            self._watching.append(session)

    def refusal(self) -> bytes | None:
        """The error with which clients' writes are refused, or None."""
        config = self._config
        if config.stop_writes_on_bgsave_error and config.save and not self.snapshots.succeeded:
            return BGSAVE_ERROR
        problem = self.journal.sync_error or self.journal.write_error
        if problem is not None:
            return aof_error(problem.strerror or str(problem))
        return aof_error(TOO_SLOW) if self.journal.unwritten_bytes > UNWRITTEN_MAX else None

    def _child_ended(self) -> None:
        self._update_refusal()
        with contextlib.suppress(Refused):  # the log says why
            self.backup.proceed()

    def _update_refusal(self) -> None:
        """Start or stop refusing clients' writes."""
        refusal = self.refusal()
        if refusal != self._state.write_refusal:
            self._state.write_refusal = refusal
            self._state.restrict()

    def _retry_acknowledged(self) -> None:
        """Retry the watched sessions after the journal has progressed."""
        if self._watching:
            watching, self._watching = self._watching, []
            for session in watching:
                if self.acknowledges(session):
                    self._retry(session)
                elif session.waiting is not None:
                    self._watching.append(session)

    def _switch_append_only(self, on: bool) -> None:
        if on:
            try:
                self._claims.append_only()
            except OSError as problem:
                raise ValueError(str(problem)) from None
        elif not self.rewrites.for_backup:
            self.backup.fail(SWITCHED_OFF)
        # A partly loaded keyspace must not become the base: `recover` switches once everything is loaded.
        if not self._state.loading:
            self.rewrites.switch(on)


__all__ = ["LoadError", "Persistence"]
