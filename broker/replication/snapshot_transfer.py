"""Whole RDB files for clients that have asked with SYNC or PSYNC, such as `redis-cli --rdb`.

A forked child has the keys as they were when it was forked, and writes the file. For a client that recognises the end
by a mark it writes into a pipe, and what arrives is passed on at once: nothing is stored anywhere. Any other client
must be told the size first, so for those the child writes a file without a name, which is sent once it is complete.
Clients that ask while another child is at work wait for it to end; all that wait for the same form get the same file.

A client that reads slowly holds its child up, and is not read ahead for: what is unsent stays small, and so does the
memory. One that reads nothing for `repl-timeout` seconds is closed.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from broker.clients.session import CLOSING, REPLICA, Session
from broker.formats.rdb.file_saving import save_rdb
from protocol.replies import NO_REPLY

if TYPE_CHECKING:
    from broker.clients.blocking import Blocking
    from broker.config import Config
    from broker.keyspace.keyspace import Keyspace
    from broker.persistence.background import Background, Outcome, Progress, Work
    from broker.persistence.environment import FunctionLibraries
    from broker.process.log import Log
    from broker.process.poller import Watches
    from broker.process.timers import Deadlines
    from broker.replication.handshakes import Handshake
    from broker.table.command import Handler

KIND: Final = "transfer"

MARK_BYTES: Final = 40

AHEAD: Final = 1 << 20
"""Bytes that may be unsent to a client before more of the file is read."""

_READ_SIZE: Final = 1 << 18
_LEAST_READ: Final = 4 << 10
_WAIT_MS: Final = 2
"""How long to wait before looking again whether a client has read what was sent."""

_KEEP_ALIVE: Final = b"\n"
"""Tells a client that is waiting for a file that there will be one."""


@dataclass(slots=True, eq=False)
class _Receiver:
    """A client that gets a file; `pushed` bytes were passed to its connection, `taken` of them left it by `moved`."""

    session: Session
    wanted: Handshake
    greeting: bytes
    pushed: int = 0
    taken: int = 0
    moved: float = field(default_factory=time.monotonic)

    @property
    def unsent(self) -> int:
        return self.session.transport.sizes()[3]

    @property
    def form(self) -> tuple[bool, bool, bool]:
        """Receivers of equal forms can share a file."""
        return self.wanted.end_mark, self.wanted.with_keys, self.wanted.with_functions

    def push(self, data: bytes) -> None:
        self.pushed += len(data)
        self.session.push(data)

    def has_stalled(self, now: float, seconds: int) -> bool:
        """Whether nothing has left for that long, although there is something to send."""
        taken = self.pushed - self.unsent
        if taken != self.taken or taken == self.pushed:
            self.taken = taken
            self.moved = now
        return now - self.moved > seconds


class _Transfer:
    """One file on its way to some clients, read from a pipe or from the file itself.

    `mark` ends it, b"" if the clients are told its size.
    """

    def __init__(self, descriptor: int, receivers: list[_Receiver], mark: bytes) -> None:
        self.descriptor = descriptor
        self.receivers = receivers
        self.mark = mark
        self.ended = False
        self.outcome: Outcome | None = None

    def drop_closed(self) -> bool:
        """Forget clients that have disconnected; returns whether any are left."""
        self.receivers = [receiver for receiver in self.receivers if not receiver.session.flags & CLOSING]
        return bool(self.receivers)

    def push(self, data: bytes) -> None:
        for receiver in self.receivers:
            receiver.push(data)


class SnapshotTransfers:
    """All transfers of a broker; `count` is the number of files that clients have been promised."""

    def __init__(
        self,
        config: Config,
        log: Log,
        keyspace: Keyspace,
        functions: FunctionLibraries,
        blocking: Blocking,
        background: Background,
        deadlines: Deadlines,
        watches: Watches,
    ) -> None:
        self._config = config
        self._log = log
        self._keyspace = keyspace
        self._functions = functions
        self._blocking = blocking
        self._background = background
        self._deadlines = deadlines
        self._watches = watches
        self._pending: list[_Receiver] = []
        self._transfers: list[_Transfer] = []
        self.count = 0

    def start(self, session: Session, handler: Handler, args: list[bytes], wanted: Handshake, greeting: bytes) -> bytes:
        """Send the client a file as soon as possible, after `greeting`, and close it then; for its command to return.

        Until then none of its requests is executed.
        """
        session.broker.pubsub.unsubscribe_all(session)
        session.flags |= REPLICA
        self.count += 1
        self._pending.append(_Receiver(session, wanted, greeting))
        self._log.notice("Replica asks for synchronization: the RDB file alone", id=session.id)
        self._begin()
        return self._blocking.wait(
            session, handler, args, keys=(), value_type=None, timeout_ms=0, timeout_reply=NO_REPLY
        )

    def cron(self) -> None:
        """Called once a second: start what had to wait, keep the waiting connections alive, close those that stall."""
        self._begin()
        now = time.monotonic()
        for receiver in self._pending:
            receiver.session.push(_KEEP_ALIVE)
        for transfer in self._transfers:
            for receiver in transfer.receivers:
                if not transfer.mark and not receiver.pushed:
                    receiver.session.push(_KEEP_ALIVE)
                elif receiver.has_stalled(now, self._config.repl_timeout):
                    self._log.warning("client closed: it has stopped reading the RDB file", id=receiver.session.id)
                    receiver.session.kill()
            if not transfer.drop_closed():
                self._abandon(transfer)

    def close(self) -> None:
        """Give everything up, when the broker ends."""
        for transfer in list(self._transfers):
            self._abandon(transfer)

    # The child

    def _begin(self) -> None:
        """Fork a child for the clients that have waited longest and those that want the same."""
        pending = [receiver for receiver in self._pending if not receiver.session.flags & CLOSING]
        self._pending = pending
        if not pending or self._background.active:
            return
        form = pending[0].form
        chosen = [receiver for receiver in pending if receiver.form == form]
        self._pending = [receiver for receiver in pending if receiver.form != form]
        try:
            self._fork(chosen)
        except OSError as problem:
            self._log.warning("Can't send the RDB file", error=str(problem))
            for receiver in chosen:
                receiver.session.kill()

    def _fork(self, receivers: list[_Receiver]) -> None:
        wanted = receivers[0].wanted
        mark = secrets.token_hex(MARK_BYTES // 2).encode() if wanted.end_mark else b""
        if mark:
            reading, writing = os.pipe()
            os.set_blocking(reading, False)
        else:
            # Without a name, it is gone when both processes have closed it.
            with tempfile.TemporaryFile(dir=self._config.dir, buffering=0) as file:
                reading, writing = os.dup(file.fileno()), os.dup(file.fileno())
        transfer = _Transfer(reading, receivers, mark)

        async def done(outcome: Outcome) -> None:
            # What follows sends, which must happen within a tick.
            self._deadlines.after(0, lambda: self._child_ended(transfer, outcome))

        try:
            self._background.start(KIND, self._work(writing, wanted), done, keep=writing)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._transfers.append(transfer)
        if mark:
            for receiver in receivers:
                receiver.session.push(receiver.greeting)
                receiver.push(b"$EOF:%b\r\n" % mark)
            self._watches.watch(reading, lambda: self._pass_on(transfer))
        self._log.notice(f"Background RDB transfer started{self._background.by_pid()}", clients=len(receivers))

    def _work(self, descriptor: int, wanted: Handshake) -> Work:
        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

        def work(progress: Progress) -> None:
            functions = self._functions.sources() if wanted.with_functions else []
            save_rdb(write, self._keyspace, self._config, functions=functions, keys=wanted.with_keys, progress=progress)

        return work

    def _child_ended(self, transfer: _Transfer, outcome: Outcome) -> None:
        transfer.outcome = outcome
        if transfer not in self._transfers:
            pass  # its clients have left before
        elif outcome.problem:
            self._log.warning("Background transfer error", error=outcome.problem)
            for receiver in transfer.receivers:
                receiver.session.kill()
            self._end(transfer)
        elif transfer.mark:
            self._complete(transfer)
        else:
            size = os.fstat(transfer.descriptor).st_size
            os.lseek(transfer.descriptor, 0, os.SEEK_SET)
            for receiver in transfer.receivers:
                receiver.session.push(receiver.greeting)
            transfer.push(b"$%d\r\n" % size)
            self._pass_on(transfer)
        self._begin()

    # The clients

    def _pass_on(self, transfer: _Transfer) -> None:
        """Send the next part of the file, unless a client still has to read what it was sent."""
        if not transfer.drop_closed():
            self._abandon(transfer)
            return
        ahead = self._ahead()
        if max(receiver.unsent for receiver in transfer.receivers) < ahead:
            try:
                data = os.read(transfer.descriptor, max(_LEAST_READ, min(_READ_SIZE, ahead)))
            except BlockingIOError:
                return
            if not data:
                transfer.ended = True
                self._stop_watching(transfer)
                self._complete(transfer)
                return
            transfer.push(data)
            if not transfer.mark:
                self._deadlines.after(0, lambda: self._continue(transfer))
            return
        self._stop_watching(transfer)
        self._deadlines.after(_WAIT_MS, lambda: self._continue(transfer))

    def _continue(self, transfer: _Transfer) -> None:
        if transfer not in self._transfers:
            return
        if transfer.mark:
            self._watches.watch(transfer.descriptor, lambda: self._pass_on(transfer))
        else:
            self._pass_on(transfer)

    def _ahead(self) -> int:
        """How much may be unsent: AHEAD, and less where the output limit of the class allows little."""
        limit = self._config.client_output_buffer_limit.replica
        return min([AHEAD, *(size // 2 for size in (limit.hard, limit.soft) if size)])

    def _complete(self, transfer: _Transfer) -> None:
        """Close the clients once everything was passed on, and the child is known to have written everything."""
        if not transfer.ended or transfer.outcome is None:
            return
        transfer.push(transfer.mark)
        for receiver in transfer.receivers:
            self._blocking.finish(receiver.session, NO_REPLY)
            receiver.session.close()
        self._log.notice("RDB transfer completed", clients=len(transfer.receivers))
        self._end(transfer)

    def _abandon(self, transfer: _Transfer) -> None:
        """End a transfer that nobody waits for."""
        if transfer.outcome is None:
            self._background.kill()
        self._end(transfer)

    def _end(self, transfer: _Transfer) -> None:
        if transfer in self._transfers:
            self._transfers.remove(transfer)
            self._stop_watching(transfer)
            os.close(transfer.descriptor)

    def _stop_watching(self, transfer: _Transfer) -> None:
        if transfer.descriptor in self._watches.calls:
            self._watches.unwatch(transfer.descriptor)
