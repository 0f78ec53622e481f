"""The journal: the effects of clients' commands, on their way to the append-only file.

While a tick executes requests, their effects are collected in a list. They are encoded at its end, and what happens
next depends on `appendfsync`:

- **always**: the tick writes them, which puts them into the system's page cache, and a thread syncs. Ticks go on
  meanwhile; clients that have written don't get their replies until the sync that covers their writes is done. Effects
  that accumulate during one sync go into the next, so one sync serves any number of clients. It begins when no more
  clients are ready, or after half the duration of the last sync: if it began immediately, it would miss the clients
  that the last one has just released, and on a slow disk the clients would take turns, half of them per sync. While
  the disk is quicker than a thread is woken, the tick itself syncs: until a sync takes longer, all clients wait for it.
- **everysec**: the tick writes before its replies are sent, even while a sync is running, so that a killed process
  loses nothing that was acknowledged; the thread syncs once a second (where writes wait for a sync: postponing.py).
- **no**: the tick writes, and the system syncs whenever it likes.

A rewrite switches to another file. Everything in the old file must be on the disk before anything is written to the new
one, so for the duration of one sync nothing can be written, and clients that write wait for their replies.

A **write** that fails (a full disk) is retried every second; until it succeeds, clients' writes are refused. Effects
already executed are kept, and with `always` their clients keep waiting for replies. A **sync** that fails is final: the
system may have dropped what it could not write and report success the next time, so nothing appended to this file can
be trusted. Only a restart helps, which reads what is really on the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.aof.writing import CommandWriter, sealed
from broker.persistence.files import Bytes, Output, write_some
from broker.persistence.postponing import Postponement
from broker.persistence.syncing import QUICK_SECONDS, SyncThread, failure_of
from broker.process.cpus import stay_on

if TYPE_CHECKING:
    from broker.config import Config
    from broker.keyspace.effects import Effects, Unit
    from broker.observation.latency import Latency
    from broker.process.clock import Clock
    from broker.process.log import Log
    from broker.process.poller import Watches
    from broker.process.timers import Deadlines

ALWAYS: Final = "always"
NEVER: Final = "no"

SYNC_SECONDS: Final = 1
"""The interval between syncs with `everysec`, and between attempts to repeat a failed write."""


class Journal:
    """The open append-only file, and the effects that are not in it yet.

    Positions are values of Effects.position. Everything up to `synced_position` is on the disk; replies up to
    `acknowledged_position` may be sent, and None means that no reply waits for the disk. `size` is the number of bytes
    written to the open file and, as passed to `open`, to those before it. `write_error` is why the last write failed,
    None after a success; `sync_error` is why a sync failed, and never goes away.

    `error_changed` is called whenever one of the errors has changed. `timers` and `watches` fire within the tick.
    `child_runs` returns whether a forked child is writing, for `no-appendfsync-on-rewrite`.
    """

    def __init__(
        self,
        effects: Effects,
        config: Config,
        clock: Clock,
        log: Log,
        timers: Deadlines,
        watches: Watches,
        latency: Latency,
        *,
        child_runs: Callable[[], bool],
        error_changed: Callable[[], None],
    ) -> None:
        self._effects = effects
        self._config = config
        self._clock = clock
        self._log = log
        self._timers = timers
        self._watches = watches
        self._latency = latency
        self._child_runs = child_runs
        self._error_changed = error_changed
        self._pending: list[Unit] = []
        self._record = self._pending.append
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._unwritten: Bytes = b""
        self._writer = CommandWriter()
        self._checksum = 0
        self._file: Output | None = None
        self._between_files = False
        self._wake = trio.Event()
        self._thread: SyncThread | None = None
        self._syncing_since = 0
        self._syncing_to = 0
        self._sync_began = 0.0
        self._gathers_until = 0.0
        self._syncs_are_quick = False
        self._postponement = Postponement(log)
        # Held to sync, or to switch to another file. (A trio.Lock would have to be released by the task that acquired
        # it.)
        self._exclusive = trio.Semaphore(1)
        self._written_position = 0
        self._unsynced_since = 0
        self._progress_callbacks: list[Callable[[], None]] = []
        self.synced_position = 0
        self.acknowledged_position: int | None = None
        self.size = 0
        self.delayed_syncs = 0
        self.provisional = False
        self.write_error: OSError | None = None
        self.sync_error: OSError | None = None
        config.on_change("appendfsync", self._policy_changed)

    # Queries

    @property
    def is_open(self) -> bool:
        """Whether effects are being recorded."""
        return self._file is not None

    @property
    def unwritten_bytes(self) -> int:
        """The number of bytes waiting to be written."""
        return self._buffered + len(self._unwritten)

    @property
    def syncing(self) -> bool:
        """Whether a sync is running."""
        return self._syncing_since != 0

    def unsynced_age(self) -> int:
        """Milliseconds for which the oldest unsynced write has been waiting, 0 if there is none."""
        if self._file is None or self.synced_position >= self._effects.position:
            return 0
        return max(0, self._clock.now - self._unsynced_since)

    # Progress

    def on_progress(self, callback: Callable[[], None]) -> None:
        """Call this within the tick whenever one of the positions may have changed, or a sync has failed."""
        self._progress_callbacks.append(callback)

    def progress(self) -> None:
        """Call the progress callbacks in a tick as soon as possible; for use outside a tick."""
        self._move_acknowledged()
        self._timers.after(0, self._notify_progress)

    def _notify_progress(self) -> None:
        self._move_acknowledged()
        for callback in self._progress_callbacks:
            callback()
        if self.sync_error is not None:
            self.acknowledged_position = None  # waiting clients have been disconnected, and no one can write any more

    def _move_acknowledged(self) -> None:
        # After a failure it stays until the callbacks have run: replies held by then must never be sent.
        if self.sync_error is None:
            self.acknowledged_position = self._position_to_acknowledge()

    def _position_to_acknowledge(self) -> int | None:
        if self._file is None:
            return None
        if self._config.appendfsync == ALWAYS and not self._paused():
            return self.synced_position
        return self._written_position if self._between_files else None

    # The file

    def open(self, file: Output, size: int, checksum: int = 0) -> None:
        """Record all effects in this file from now on.

        `size` includes the files before it; `checksum` is that of the bytes at the end of this one that no checksum
        line covers. Raises OSError if no thread can be started to sync it; the file is closed then.
        """
        try:
            self._thread = SyncThread()
            stay_on(self._config.bio_cpulist, self._log.warning, self._thread.native_id)
        except OSError:
            self.provisional = False
            file.close()
            raise
        self._watches.watch(self._thread.fileno(), self._sync_ended)
        self._file = file
        self._writer = CommandWriter()
        self._checksum = checksum
        self.size = size
        self.synced_position = self._written_position = self._effects.position
        self.write_error = self.sync_error = None
        self._effects.sinks.append(self._record)
        self.progress()

    async def replace(self, prepare: Callable[[], Output], at_switch: Callable[[], None]) -> None:
        """Continue in another, empty file.

        `prepare`, called in a thread, returns that file; by then, a restart must find it after the current one.
        `at_switch` is called between the last effect in the current file and the first in the other, with no request
        executed in between. Effects are then only collected until the current file is synced: an increment is never
        incomplete while a later one has contents. Raises OSError, and whatever the two callables raise; if it was
        `at_switch` that failed, the other file is in use all the same.
        """
        if self.write_error is not None:
            raise self.write_error
        prepared = await trio.to_thread.run_sync(prepare)
        failed = self.sync_error
        try:
            if self._exclusive.value and self._config.appendfsync != ALWAYS:
                self._sync()  # so that little is left to sync while clients wait
            async with self._exclusive:
                if self.sync_error is not failed:
                    raise self.sync_error  # type: ignore[misc]  # it never becomes None here
                self._write()
                if self.write_error is not None:
                    raise self.write_error
                # Effects collected from here on are for the other file, in which no database is selected yet.
                self._writer = CommandWriter()
                try:
                    at_switch()
                finally:
                    await self._change_to(prepared)
        finally:
            if self._file is not prepared:
                prepared.close()

    async def _change_to(self, file: Output) -> None:
        """Switch to this file once the current one is on the disk. Raises OSError, keeping the current one then."""
        assert self._file is not None
        old, position = self._file, self._written_position
        self._between_files = True
        self.progress()
        try:
            await trio.to_thread.run_sync(old.sync)
        except OSError as problem:
            self._synced(position, problem)
            self.progress()
            raise
        else:
            self._synced(position, None)
            self._file = file
            self._checksum = 0
            old.close()
        finally:
            self._between_files = False
            self._wake.set()
        if self._config.appendfsync != ALWAYS or self._paused():
            self._write()

    def sync_now(self) -> None:
        """Return once everything is on the disk; all clients wait meanwhile. Raises OSError. Not during `replace`."""
        assert self._file is not None and self._thread is not None
        if self._syncing_since:
            self._leave_sync(failure_of(self._thread.wait))
        self._write()
        if problem := self.sync_error or self.write_error:
            raise problem
        problem = failure_of(self._file.sync)
        self._synced(self._written_position, problem)
        self.progress()
        if problem is not None:
            raise problem

    def continue_in(self, file: Output) -> None:
        """Continue in another, empty file, right after `sync_now`; a restart must find it after the current one."""
        assert self._file is not None and not self.unwritten_bytes
        self._file.close()
        self._file = file
        self._writer = CommandWriter()
        self._checksum = 0

    async def close(self) -> None:
        """Stop recording; what was recorded is written and synced as far as the disk allows."""
        async with self._exclusive:
            self.close_now()
        self.progress()

    def close_now(self) -> bool:
        """`close` for when nothing else is running any more; False if something could not be written and synced."""
        if self._file is None:
            return True
        self._end_thread()
        self._effects.sinks.remove(self._record)
        if self.sync_error is None:
            self._write()
            if problem := failure_of(self._file.sync):
                self._synced(0, problem)
        whole = self.sync_error is None and self.write_error is None
        self._file.close()
        self._file = None
        self._buffer.clear()
        self._buffered = 0
        self._unwritten = b""
        self.write_error = self.sync_error = None
        self.provisional = False
        self._error_changed()
        self.synced_position = self._effects.position
        self.acknowledged_position = None
        return whole

    def _end_thread(self) -> None:
        assert self._thread is not None
        self._watches.unwatch(self._thread.fileno())
        problem = failure_of(self._thread.close)
        self._thread = None
        if self._syncing_since:
            self._leave_sync(problem)

    # In the tick

    def end_tick(self) -> None:
        """Handle the effects of a tick, before any of its replies is sent."""
        if self._pending:
            self._encode()
        if not self._buffer:
            return
        if self.sync_error is not None:
            self._buffer.clear()  # only deletions of expired keys, which will expire again
            self._buffered = 0
        elif self._config.appendfsync == ALWAYS and not self._paused():
            if monotonic() >= self._gathers_until:
                self._commit()
        elif self.write_error is None and not self._between_files:
            if self._syncing_since:
                self._write_during_sync()
            else:
                self._write()
            if self._config.appendfsync == ALWAYS:
                self._wake.set()  # no reply has to wait any longer

    def end_turn(self) -> None:
        """Called when no client is ready or will be served for a while: collected effects need not wait for more."""
        self._gathers_until = 0.0
        if self._buffer and self._config.appendfsync == ALWAYS and self.sync_error is None:
            self._commit()

    def _encode(self) -> None:
        if self.synced_position == self._written_position and not self.unwritten_bytes:
            self._unsynced_since = self._clock.now
        data = self._writer.encode_all(self._pending)
        self._pending.clear()
        if self._config.aof_timestamp_enabled:
            data = self._writer.timestamp(self._clock.now // 1000) + data
        self._buffer.append(data)
        self._buffered += len(data)

    def _take(self) -> Bytes:
        """Everything to be written, including the checksum; it brings the file up to the current position."""
        if self._pending:
            self._encode()
        data = self._unwritten
        if self._buffer:
            batch = sealed(b"".join(self._buffer), self._checksum)
            data = bytes(data) + batch if data else batch
            self._checksum = 0
            self._buffer.clear()
            self._buffered = 0
        self._unwritten = b""
        return data

    def _write(self) -> None:
        """Write everything; whatever can't be written stays in `_unwritten`."""
        position = self._effects.position
        data = self._take()
        if data:
            assert self._file is not None
            began = monotonic()
            result = write_some(self._file, data)
            self._latency.add_write(monotonic() - began, syncing=self._syncing_since > 0, child_runs=self._child_runs())
            self._wrote(data, position, *result)

    def _write_during_sync(self) -> None:
        """Write during a sync, unless writes are known to wait for it."""
        if not self._postponement.applies(self._clock.now - self._syncing_since):
            self.delayed_syncs += self._postponement.attempt(self._write)

    def _wrote(self, data: Bytes, position: int, count: int, problem: OSError | None) -> None:
        """Process the result of a write that was to bring the file up to `position`."""
        self.size += count
        if problem is None:
            self._written_position = position
            if self.write_error is not None:
                self.write_error = None
                self._log.notice("the append-only file can be written again")
                self._error_changed()
            return
        self._unwritten = memoryview(data)[count:]
        if self.write_error is None:
            self._log.warning(
                "the append-only file can't be written; writes are refused until it can be", error=str(problem)
            )
        self.write_error = problem
        self._error_changed()

    # In the background

    async def run(self) -> None:
        """Do once a second what ticks don't: sync with `everysec`, and repeat failed writes."""
        while True:
            with trio.move_on_after(SYNC_SECONDS):
                await self._wake.wait()
            self._wake = trio.Event()
            if self._file is None or self.sync_error is not None:
                continue
            if self._exclusive.value:
                if self.write_error is not None or self._config.appendfsync == ALWAYS:
                    self._write()
                if self._config.appendfsync != NEVER:
                    self._sync()
            self.progress()

    def _commit(self) -> None:
        """Write and sync everything collected; while a sync is running, that is left until after it."""
        if self._exclusive.value and self.write_error is None:
            self._write()
            if self._syncs_are_quick:
                self._sync_in_tick()
            else:
                self._sync()

    def _needs_sync(self) -> bool:
        return self.write_error is None and self.synced_position != self._written_position and not self._paused()

    def _sync_in_tick(self) -> None:
        """Sync what was written, and process the result, at the end of a tick or turn."""
        if not self._needs_sync():
            return
        assert self._file is not None
        self._unsynced_since = self._clock.now
        began = monotonic()
        problem = failure_of(self._file.sync)
        self._measured(monotonic() - began)
        self._synced(self._written_position, problem)
        self._notify_progress()

    def _measured(self, seconds: float) -> None:
        """Decide by the time that a sync took where the next one is done."""
        if self._config.appendfsync == ALWAYS:
            self._latency.add("aof-fsync-always", seconds * 1000)
        # The disks of tests can't be synced but in the thread.
        self._syncs_are_quick = seconds < QUICK_SECONDS and self._file is not None and self._file.descriptor >= 0

    def _sync(self) -> None:
        """Start syncing what was written."""
        if not self._needs_sync():
            return
        assert self._file is not None and self._thread is not None
        self._exclusive.acquire_nowait()
        self._syncing_since = self._clock.now
        self._syncing_to = self._written_position
        self._sync_began = monotonic()
        self._thread.start(self._file)

    def _sync_ended(self) -> None:
        """Within a tick, process the result of a sync, and give the clients it releases time to join the next."""
        assert self._thread is not None
        try:
            if not self._thread.ended():
                return
            problem = None
        except OSError as error:
            problem = error
        self._leave_sync(problem)
        now = monotonic()
        self._measured(now - self._sync_began)
        self._gathers_until = now + (now - self._sync_began) / 2
        if self._buffer and self._config.appendfsync != ALWAYS and not (self.sync_error or self.write_error):
            self._write()
        self._notify_progress()

    def _leave_sync(self, problem: OSError | None) -> None:
        self._unsynced_since = self._syncing_since
        self._syncing_since = 0
        self._exclusive.release()
        self._synced(self._syncing_to, problem)

    def _synced(self, position: int, problem: OSError | None) -> None:
        if problem is None:
            self.synced_position = position
            return
        self.sync_error = problem
        self._log.warning(
            "syncing the append-only file failed: it is unknown how much of it is on the disk; writes are refused until"
            " the broker is restarted",
            error=str(problem),
        )
        self._error_changed()

    def _paused(self) -> bool:
        """Whether syncs are skipped for now."""
        return self._config.no_appendfsync_on_rewrite and self._child_runs()

    def _policy_changed(self, _: object) -> None:
        self._wake.set()
        self._notify_progress()
