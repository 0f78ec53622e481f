"""Full synchronizations: a snapshot for the replicas that have asked for one, and the stream from there on.

A forked child writes the snapshot into memory that belongs to no process (repl-diskless-sync), or into a file without a
name. When it is complete, the system copies it to the replicas' sockets as fast as they take it. The place in the
stream is that of the fork: what is streamed meanwhile stays in the history's blocks, because the replicas hold them.

Replicas that ask before the fork share a snapshot. Those that can't read what it contains are told in the log and wait,
because most servers ask again at once, and each time the broker would fork in vain.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.rdb.file_saving import save_rdb
from broker.formats.rdb.format import FILE_HEADER_BYTES, MAGIC, VERSION_7_0, VERSION_7_2
from broker.persistence.delays import delayed
from broker.replication.outflow import SnapshotFile
from broker.replication.replicas import LOADING, ONLINE, WAITING, Replica
from protocol.replies import NO_REPLY, simple

if TYPE_CHECKING:
    from broker.config import Config
    from broker.keyspace.keyspace import Keyspace
    from broker.persistence.background import Background, Outcome, Progress, Work
    from broker.persistence.environment import FunctionLibraries
    from broker.process.log import Log
    from broker.process.timers import Deadlines
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.replicas import Replicas

KIND: Final = "replication"

PAUSE_SECONDS: Final = (10, 60, 300)
"""How long a replica that could not use a snapshot waits for the next one: the first time, the second, and then."""


class _Snapshot:
    """A snapshot being written for some replicas; a replica whose connection ends is missing from Replicas."""

    def __init__(self, descriptor: int, replicas: list[Replica], offset: int) -> None:
        self.file = SnapshotFile(descriptor)
        self.replicas = replicas
        self.offset = offset


class _Failures:
    """How often a replica has failed to use what it was sent, and until when it has to wait."""

    def __init__(self) -> None:
        self.count = 0
        self.until = 0.0


class FullSyncs:
    """The synchronizations of a broker.

    `count` is how many replicas were promised a snapshot, `continued` how many could continue where they were, and
    `refused` how many could not, although they have asked for it.
    """

    def __init__(
        self,
        config: Config,
        log: Log,
        keyspace: Keyspace,
        functions: FunctionLibraries,
        background: Background,
        deadlines: Deadlines,
        history: History,
        feed: Feed,
        replicas: Replicas,
    ) -> None:
        self._config = config
        self._log = log
        self._keyspace = keyspace
        self._functions = functions
        self._background = background
        self._deadlines = deadlines
        self._history = history
        self._feed = feed
        self._replicas = replicas
        self._snapshot: _Snapshot | None = None
        # Replicas that were sent a snapshot which older servers can't read, until they report; then what came of it.
        self._doubtful: dict[Replica, str] = {}
        self._failures: dict[str, _Failures] = {}
        self.count = self.continued = self.refused = 0

    def synchronize(self, replica: Replica, id: str, offset: int) -> bytes:
        """PSYNC: continue at an offset, or begin with a snapshot. Returns the reply."""
        history, log = self._history, self._log
        log.notice(f"Replica {replica.name} asks for synchronization")
        self._feed.flush()
        refusal = history.refusal(id, offset)
        if not refusal:
            lacking = self._replicas.continue_from(replica, id, offset)
            self.continued += 1
            log.notice(
                f"Partial resynchronization request from {replica.name} accepted. Sending {lacking} bytes of backlog"
                f" starting from offset {offset}."
            )
            return simple(b"CONTINUE " + history.id.encode() if replica.settings.renames else b"CONTINUE")
        if id != "?":
            self.refused += 1
            log.notice(f"Partial resynchronization not accepted: {refusal}")
        self.request(replica)
        return NO_REPLY

    def request(self, replica: Replica) -> None:
        """Send the replica a snapshot as soon as possible."""
        self.count += 1
        self._log.notice(f"Full resync requested by replica {replica.name}")
        # Between two requests: at this moment, the changes of this tick may not have been propagated.
        self._deadlines.after(0, self.begin)

    @property
    def running(self) -> bool:
        """Whether a snapshot is being written."""
        return self._snapshot is not None

    def cron(self) -> None:
        """Called once a second: begin what had to wait."""
        self._forget_old_failures()
        self.begin()

    def close(self) -> None:
        """Give everything up, when the broker ends."""
        if self._snapshot is not None:
            self._background.kill()

    # The child

    def begin(self) -> None:
        """Fork a child for the waiting replicas, unless they have to wait; within a tick, but not for a request.

        Those that were not able to load what they were sent have to.
        """
        if self._background.active:
            return
        self._look_after_doubtful()
        now = trio.current_time()
        waiting = [
            replica
            for replica in self._replicas.by_session.values()
            if replica.state == WAITING and not replica.promised and now >= self._waits_until(replica)
        ]
        if not waiting or not self._enough(waiting, now):
            return
        as_valkey = self._needs_valkey_form() and waiting[0].settings.reads_valkey_files
        if self._needs_valkey_form():
            waiting = [replica for replica in waiting if replica.settings.reads_valkey_files == as_valkey]
        try:
            self._fork(waiting, as_valkey)
        except OSError as problem:
            self._log.warning("Can't write a snapshot for replicas", error=str(problem))
            for replica in waiting:
                replica.session.kill()

    def _enough(self, waiting: list[Replica], now: float) -> bool:
        """Whether no more replicas are waited for (repl-diskless-sync-delay), which is so only without a file."""
        config = self._config
        if not config.repl_diskless_sync:
            return True
        most: int = config.repl_diskless_sync_max_replicas
        if most and len(waiting) >= most:
            return True
        remaining = waiting[0].asked + config.repl_diskless_sync_delay - now
        if remaining <= 0:
            return True
        self._deadlines.after(int(remaining * 1000) + 1, self.begin)
        return False

    def _needs_valkey_form(self) -> bool:
        """Whether there are hashes whose fields may expire, which Redis and Valkey write differently."""
        return any(database.field_deadlines for database in self._keyspace.databases)

    def _fork(self, replicas: list[Replica], as_valkey: bool) -> None:
        self._feed.join()
        descriptor = self._create_file()
        snapshot = _Snapshot(descriptor, replicas, self._history.offset)
        snapshot.file.use()

        async def done(outcome: Outcome) -> None:
            # What follows sends, which must happen within a tick.
            self._deadlines.after(0, lambda: self._child_ended(snapshot, outcome))

        try:
            self._background.start(KIND, self._work(descriptor, as_valkey), done, keep=descriptor)
        except OSError:
            snapshot.file.release()
            raise
        self._snapshot = snapshot
        target = "memory" if self._config.repl_diskless_sync else "disk"
        self._log.notice(
            f"Background snapshot for replicas started{self._background.by_pid()}",
            target=target,
            replicas=len(replicas),
        )
        backlog = self._history.backlog
        assert backlog is not None
        for replica in replicas:
            if not replica.silent:
                replica.outflow.append(b"+FULLRESYNC %b %d\r\n" % (self._history.id.encode(), snapshot.offset))
            replica.outflow.follow(backlog.reader(snapshot.offset))
            replica.promised = True
            replica.session.push(b"")

    def _create_file(self) -> int:
        """Returns the descriptor of a file without a name, in memory or in the working directory."""
        if self._config.repl_diskless_sync and sys.platform == "linux":
            return os.memfd_create("trimaran-snapshot")
        with tempfile.TemporaryFile(dir=self._config.dir, buffering=0) as file:
            return os.dup(file.fileno())

    def _work(self, descriptor: int, as_valkey: bool) -> Work:
        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

        # On a replica, the stream goes on in the database that its master has selected.
        place = self._feed.facts()

        def work(progress: Progress) -> None:
            save_rdb(
                write,
                self._keyspace,
                self._config,
                aux=place,
                functions=self._functions.sources(),
                as_valkey=as_valkey,
                progress=delayed(progress, self._config),
            )

        return work

    def _child_ended(self, snapshot: _Snapshot, outcome: Outcome) -> None:
        self._snapshot = None
        here = [
            replica
            for replica in snapshot.replicas
            if self._replicas.by_session.get(replica.session) is replica and replica.state == WAITING
        ]
        if outcome.problem:
            self._log.warning("Background snapshot for replicas failed", error=outcome.problem)
            for replica in here:
                replica.session.kill()
        else:
            size = os.fstat(snapshot.file.descriptor).st_size
            self._log.notice("Background snapshot for replicas is complete", bytes=size, replicas=len(here))
            header = os.pread(snapshot.file.descriptor, FILE_HEADER_BYTES, 0)
            for replica in here:
                self._send(replica, snapshot.file, size, header)
        snapshot.file.release()
        self.begin()

    def _send(self, replica: Replica, file: SnapshotFile, size: int, header: bytes) -> None:
        version = int(header[len(MAGIC) :]) if header.startswith(MAGIC) else 0
        if version > VERSION_7_2 and replica.settings.version:
            self._refuse(replica, f"Valkey can't read what is stored here: it needs RDB version {version} of Redis")
            return
        if version > VERSION_7_0 and not replica.settings.version:
            self._doubtful[replica] = (
                f"it has not begun to follow after a snapshot in RDB version {version}, which Redis 7.0 can't read"
            )
        replica.begin(LOADING)
        replica.outflow.append(b"$%d\r\n" % size)
        replica.outflow.send_file(file, size)
        replica.session.push(b"")

    # Replicas that can't read the snapshot

    def _refuse(self, replica: Replica, reason: str) -> None:
        failures = self._failures.setdefault(replica.name, _Failures())
        pause = PAUSE_SECONDS[min(failures.count, len(PAUSE_SECONDS) - 1)]
        failures.count += 1
        failures.until = trio.current_time() + pause
        self._log.warning(f"Replica {replica.name} can't be synchronized: {reason}", next_try_in_seconds=pause)
        replica.session.kill()

    def _waits_until(self, replica: Replica) -> float:
        failures = self._failures.get(replica.name)
        return failures.until if failures is not None else 0.0

    def _forget_old_failures(self) -> None:
        """Forget replicas that have not asked again for long: their names are what they say themselves."""
        now = trio.current_time()
        for name, failures in list(self._failures.items()):
            if now > failures.until + PAUSE_SECONDS[-1]:
                del self._failures[name]

    def _look_after_doubtful(self) -> None:
        for replica, reason in list(self._doubtful.items()):
            if replica.acknowledged >= 0:
                self._failures.pop(replica.name, None)
            elif self._replicas.by_session.get(replica.session) is replica:
                continue
            elif replica.state == ONLINE:
                self._refuse(replica, reason)
            del self._doubtful[replica]
