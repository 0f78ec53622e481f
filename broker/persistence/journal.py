"""The journal: what clients have changed, on its way to the append-only file.

While a tick executes requests, their effects gather in a list. At its end they are encoded, and then it depends on
`appendfsync`:

- **always**: the tick writes, which the system takes into its memory, and a thread syncs. Meanwhile ticks go on;
  the replies to the clients that have written are held until the sync that covers their writes is done. What gathers
  during one sync is the next one's, so however many clients write, the disk is asked once. The next one begins when no
  client is ready any more, at the latest after half the time that the last one took: begun at once, it would leave out
  those whom the last one has just released, and on a slow disk the clients would take turns, half of them a sync.
- **everysec**: the tick writes before its replies leave, also while a sync runs, so that a killed process loses nothing
  that was answered; once a second the thread syncs. On some file systems a write waits for the sync of its file. Redis
  therefore never writes during a sync, for two seconds at most. Here a write has to be seen waiting first: then ticks
  gather during syncs, within the same bound, and every minute a write tries again.
- **no**: the tick writes, the system syncs when it likes.

A rewrite puts another file in place. What was written to the old one must be on the disk before the new one holds
anything, so for the length of one sync nothing can be written; clients that write then wait for their replies.

A **write** that fails (a full disk) is tried again every second; until it succeeds, clients' writes are refused. What
was executed before is kept, and with `always` its clients go on waiting for their replies. A **sync** that fails is
final: the system may have dropped what it could not write and tell of success the next time, so nothing that is
appended to this file is worth anything. Only a restart helps, which reads what is really on the disk.
"""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.aof.writing import CommandWriter, sealed
from broker.persistence.files import Bytes, Output
from broker.persistence.syncing import SyncThread

if TYPE_CHECKING:
    from broker.config import Config
    from broker.keyspace.effects import Effects, Unit
    from broker.process.clock import Clock
    from broker.process.log import Log
    from broker.process.poller import Watches
    from broker.process.timers import Deadlines

ALWAYS: Final = "always"
NEVER: Final = "no"

SYNC_SECONDS: Final = 1
"""Between two syncs with `everysec`, and between two attempts to write what could not be written."""

BLOCKED_SECONDS: Final = 0.02
"""A write during a sync that slept for so long has waited for the disk."""

GATHER_SECONDS: Final = 60
"""How long ticks gather during syncs after a write that had to wait: then another write tries."""

POSTPONED_MS: Final = 2000
"""How long a tick leaves its effects unwritten because a sync is running."""


class Journal:
    """The append-only file that is open, and what is not in it yet.

    Positions are counts of Effects.position. Up to `synced_position` all is on the disk; up to
    `acknowledged_position` replies may leave, None: none of them waits for the disk. `size` is what was written to the
    open file and, given with `open`, to those before it, in bytes. `write_error` is why the last write failed, None
    after a success; `sync_error` why a sync did, which stays.

    `error_changed` is called whenever one of the errors has. `timers` and `watches` are called in the tick.
    `child_runs` tells whether a forked child is writing, for `no-appendfsync-on-rewrite`.
    """

    def __init__(
        self,
        effects: Effects,
        config: Config,
        clock: Clock,
        log: Log,
        timers: Deadlines,
        watches: Watches,
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
        self._blocks_until = 0.0
        # One at a time may sync, or put another file in place. (A trio.Lock would have to be released by the task that
        # has acquired it.)
        self._exclusive = trio.Semaphore(1)
        self._written_position = 0
        self._unsynced_since = 0
        self._told_of_progress: list[Callable[[], None]] = []
        self.synced_position = 0
        self.acknowledged_position: int | None = None
        self.size = 0
        self.delayed_syncs = 0
        self.provisional = False
        self.write_error: OSError | None = None
        self.sync_error: OSError | None = None
        config.on_change("appendfsync", self._policy_changed)

    # What it tells

    @property
    def is_open(self) -> bool:
        """Whether effects are being recorded."""
        return self._file is not None

    @property
    def unwritten_bytes(self) -> int:
        """Bytes that wait to be written."""
        return self._buffered + len(self._unwritten)

    @property
    def syncing(self) -> bool:
        """Whether a sync is running."""
        return self._syncing_since != 0

    def unsynced_age(self) -> int:
        """For how many milliseconds the oldest write that is not synced has waited, 0 without one."""
        if self._file is None or self.synced_position >= self._effects.position:
            return 0
        return max(0, self._clock.now - self._unsynced_since)

    # Progress

    def on_progress(self, call: Callable[[], None]) -> None:
        """Call this in the tick whenever one of the positions may have changed, or a sync has failed."""
        self._told_of_progress.append(call)

    def progress(self) -> None:
        """Outside any tick: tell of progress, in a tick as soon as possible."""
        self._move_acknowledged()
        self._timers.after(0, self._tell_of_progress)

    def _tell_of_progress(self) -> None:
        self._move_acknowledged()
        for call in self._told_of_progress:
            call()
        if self.sync_error is not None:
            self.acknowledged_position = None  # those who waited have been disconnected, and nobody writes any more

    def _move_acknowledged(self) -> None:
        # After a failure it stays until everybody is told: what waits then must never leave.
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
        """Record all effects from now on in this file.

        `size` counts what the files before it hold, too; `checksum` is that of the bytes at the end of this one which
        no checksum line covers. Raises OSError where no thread can be had to sync it; the file is closed then.
        """
        try:
            self._thread = SyncThread()
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

    async def replace(self, prepare: Callable[[], Output], at_once: Callable[[], None]) -> None:
        """Go on in another, empty file.

        `prepare`, called in a thread, gives that file, which by then is found by a restart, behind the present one.
        `at_once` is called at the very moment between the last effect in the present file and the first in the other:
        no client's request is executed meanwhile. Effects only gather then until the present file is synced: an
        increment is never cut short while a later one holds something. Raises OSError, and whatever the two do; only
        where `at_once` is what failed, the other file is in use all the same.
        """
        if self.write_error is not None:
            raise self.write_error
        prepared = await trio.to_thread.run_sync(prepare)
        failed = self.sync_error
        try:
            if self._exclusive.value and self._config.appendfsync != ALWAYS:
                self._sync()  # so that little is left to be synced while clients wait
            async with self._exclusive:
                if self.sync_error is not failed:
                    raise self.sync_error  # type: ignore[misc]  # it never becomes None here
                self._write()
                if self.write_error is not None:
                    raise self.write_error
                # What gathers from here on is for the other file, which knows of no database yet.
                self._writer = CommandWriter()
                try:
                    at_once()
                finally:
                    await self._change_to(prepared)
        finally:
            if self._file is not prepared:
                prepared.close()

    async def _change_to(self, file: Output) -> None:
        """Go on in this file when all of the present one is on the disk. Raises OSError; the present one stays then."""
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

    async def close(self) -> None:
        """Stop recording; all that was recorded is written and synced as far as the disk allows."""
        async with self._exclusive:
            self.close_now()
        self.progress()

    def close_now(self) -> bool:
        """`close`, when nothing else is running any more; False if something could not be written and synced."""
        if self._file is None:
            return True
        self._end_thread()
        self._effects.sinks.remove(self._record)
        if self.sync_error is None:
            self._write()
            try:
                self._file.sync()
            except OSError as problem:
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
        problem = None
        try:
            self._thread.close()
        except OSError as error:
            problem = error
        self._thread = None
        if self._syncing_since:
            self._leave_sync(problem)

    # In the tick

    def end_tick(self) -> None:
        """Take the effects of a tick, before any reply to it leaves."""
        if self._pending:
            self._encode()
        if not self._buffer:
            return
        if self.sync_error is not None:
            self._buffer.clear()  # an expired key's end: it will expire again
            self._buffered = 0
        elif self._config.appendfsync == ALWAYS and not self._paused():
            if monotonic() >= self._gathers_until:
                self._commit()
        elif self.write_error is None and not self._between_files:
            if self._syncing_since:
                self._write_beside_sync()
            else:
                self._write()
            if self._config.appendfsync == ALWAYS:
                self._wake.set()  # no reply needs to wait any more

    def end_turn(self) -> None:
        """No client is ready, or none is looked at for a while: what has gathered need not wait for more."""
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
        """All that is to be written, checksum and all: it brings the file up to the present position."""
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
        """Write everything; what could not be written stays in `_unwritten`."""
        position = self._effects.position
        data = self._take()
        if data:
            assert self._file is not None
            self._wrote(data, position, *_write_some(self._file, data))

    def _write_beside_sync(self) -> None:
        """Write while a sync is running, unless writes are known to wait for it."""
        began = monotonic()
        if began < self._blocks_until and self._clock.now - self._syncing_since < POSTPONED_MS:
            return
        waits = _waits()
        self._write()
        if monotonic() - began < BLOCKED_SECONDS or (waits and _waits() == waits):
            return  # in the second case somebody else had the processor
        if not self._blocks_until:
            self._log.warning(
                "a write to the append-only file had to wait for its sync: from now on, changes gather in memory while"
                " a sync runs, for two seconds at most, and are lost if the process is killed then"
            )
        self._blocks_until = began + GATHER_SECONDS
        self.delayed_syncs += 1

    def _wrote(self, data: Bytes, position: int, count: int, problem: OSError | None) -> None:
        """Take in how a write went that was to bring the file up to `position`."""
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
        """See once a second to what ticks don't: syncs with `everysec`, and another attempt at a write that failed."""
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
        """One write and one sync for everything that has gathered, now or when the one that is running has ended."""
        if self._exclusive.value and self.write_error is None:
            self._write()
            self._sync()

    def _sync(self) -> None:
        """Begin to sync what is written."""
        if self.write_error is not None or self.synced_position == self._written_position or self._paused():
            return
        assert self._file is not None and self._thread is not None
        self._exclusive.acquire_nowait()
        self._syncing_since = self._clock.now
        self._syncing_to = self._written_position
        self._sync_began = monotonic()
        self._thread.start(self._file)

    def _sync_ended(self) -> None:
        """Within a tick: take in how the sync went. The clients that it lets go on are given time to join the next."""
        assert self._thread is not None
        try:
            if not self._thread.ended():
                return
            problem = None
        except OSError as error:
            problem = error
        self._leave_sync(problem)
        now = monotonic()
        self._gathers_until = now + (now - self._sync_began) / 2
        if self._buffer and self._config.appendfsync != ALWAYS and not (self.sync_error or self.write_error):
            self._write()
        self._tell_of_progress()

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
            "syncing the append-only file has failed: nobody knows what of it is on the disk; writes are refused until"
            " the broker is started again",
            error=str(problem),
        )
        self._error_changed()

    def _paused(self) -> bool:
        """Whether syncs are left out for now."""
        return self._config.no_appendfsync_on_rewrite and self._child_runs()

    def _policy_changed(self, _: object) -> None:
        self._wake.set()
        self._tell_of_progress()


def _write_some(file: Output, data: Bytes) -> tuple[int, OSError | None]:
    """Write until all is written or a write fails: how many bytes are in the file, and the failure."""
    view = memoryview(data)
    written = 0
    try:
        while written < len(view):
            count = file.write(view[written:])
            if not count:
                return written, OSError(errno.EIO, "the file takes no more bytes")
            written += count
    except OSError as problem:
        return written, problem
    return written, None


def _waits() -> int:
    """How often this thread has given up the processor to wait for something; 0 where the system doesn't tell."""
    this_thread = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if this_thread is None else resource.getrusage(this_thread).ru_nvcsw
