"""The link to the master: a task that connects, synchronizes, applies the stream, and begins again when that ends.

Whatever goes wrong is logged and followed by another attempt, at first at once, then after growing pauses: nothing that
a master does, and no defect here, may end the broker. A change of the role cancels what is being done (Role.scope), and
nothing that has arrived by then is applied any more.

The stream is applied in ticks of its own, so its effects are in the journal, and clients that wait for keys are served,
as after any client's request.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from broker.acl.user import User
from broker.clients.session import MASTER
from broker.replication.applying import Applying, Diverged
from broker.replication.failover import REJECTED
from broker.replication.incoming import Incoming, LinkLost
from broker.replication.joining import NO_OFFSET, Accepted, Joining, Known, Rejected
from broker.replication.link_sending import LinkTransport, Sender
from broker.replication.payload import receive_payload

if TYPE_CHECKING:
    from broker.clients.blocking import Blocking
    from broker.clients.session import Session
    from broker.clients.transport import Transport
    from broker.config import Config
    from broker.execution.executor import Executor
    from broker.execution.state import State
    from broker.keyspace.keyspace import Keyspace
    from broker.persistence.journal import Journal
    from broker.process.log import Log
    from broker.replication.failover import Failover
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.loading import Loading
    from broker.replication.replicas import Replicas
    from broker.replication.role import Address, Role
    from broker.table.command import CommandTable

Connect = Callable[["Address"], Awaitable[trio.abc.HalfCloseableStream | trio.abc.Stream]]
"""Connects to a server, encrypted if need be; raises OSError, or a Trio error for a connection that breaks."""

PAUSES: Final = (0.0, 1.0, 1.0, 2.0, 3.0, 5.0)
"""Seconds before each further attempt after the link was up; the last one holds from then on."""

LATER_PAUSE: Final = 1.0
"""Seconds before the next attempt if the master has asked for it."""

HOPELESS_PAUSES: Final = (10.0, 30.0, 60.0, 120.0, 300.0)
"""The same after data that can't be loaded or a command that can't be executed, since each attempt costs the master a
full synchronization."""

STEADY_SECONDS: Final = 2.0
"""How long a link must have been up for the next attempt to be made at once."""

PAUSED_CHECK: Final = 0.01

_LOST: Final = "Connection with master lost"
_SILENT: Final = "MASTER timeout: no data nor PING received..."


@dataclass(frozen=True)
class Parts:
    """The parts of the broker that a link works with."""

    config: Config
    log: Log
    commands: CommandTable
    executor: Executor
    blocking: Blocking
    keyspace: Keyspace
    state: State
    journal: Journal
    history: History
    feed: Feed
    replicas: Replicas
    loading: Loading
    failover: Failover
    open_session: Callable[[Transport], Session]
    close_session: Callable[[Session], None]
    listening_port: Callable[[], int]


class MasterLink:
    """The task. `begin` and `finish`, which `run` is given, are called around what must happen within a tick."""

    def __init__(self, role: Role, parts: Parts) -> None:
        self._role = role
        self._status = role.link
        self._parts = parts
        self._log = parts.log
        self._may_begin = trio.Event()
        self._begin: Callable[[], object]
        self._finish: Callable[[], None]
        self._connect: Connect
        self._failures = 0
        self._hopeless = 0
        self._was_steady = False

    def begin(self) -> None:
        """The data on the disk are loaded: the master may be asked for the rest."""
        self._may_begin.set()

    async def run(self, begin: Callable[[], object], finish: Callable[[], None], connect: Connect) -> None:
        """Follow the master, as long as there is one, until cancelled."""
        self._begin, self._finish, self._connect = begin, finish, connect
        await self._may_begin.wait()
        while True:
            with self._role.scope():
                master = self._role.master
                if master is None:
                    await trio.sleep_forever()
                else:
                    await self._follow(master)

    async def _follow(self, master: Address) -> None:
        self._failures = self._hopeless = 0
        while True:
            problem = await self._attempt(master)
            await trio.sleep(self._pause(problem))

    def _pause(self, problem: LinkLost) -> float:
        """The seconds before the next attempt, given how this one ended."""
        if problem.hopeless:
            self._hopeless += 1
            return HOPELESS_PAUSES[min(self._hopeless, len(HOPELESS_PAUSES)) - 1]
        if problem.later:
            return LATER_PAUSE
        if self._was_steady:
            self._failures = self._hopeless = 0
            return PAUSES[0]
        self._failures += 1
        return PAUSES[min(self._failures, len(PAUSES) - 1)]

    async def _attempt(self, master: Address) -> LinkLost:
        """Connect and stay connected as long as possible; returns why that ended."""
        self._was_steady = False
        stream: trio.abc.Stream | None = None
        try:
            self._status.connecting()
            self._log.notice(f"Connecting to MASTER {master}")
            stream = await self._open(master)
            await self._use(stream, master)
        except LinkLost as problem:
            (self._log.notice if problem.later else self._log.warning)(str(problem))
            if isinstance(problem, Diverged):
                self._status.diverged = True
                self._role.continues = False
            return problem
        except Exception as defect:
            self._log.failure("the link to the master failed unexpectedly", defect)
            self._role.continues = False
            return LinkLost("a defect", hopeless=True)
        finally:
            self._status.lost()
            self._role.update()
            if stream is not None:
                await trio.aclose_forcefully(stream)

    async def _open(self, master: Address) -> trio.abc.Stream:
        try:
            with trio.fail_after(self._parts.config.repl_timeout):
                stream = await self._connect(master)
        except trio.TooSlowError:
            raise LinkLost("Timeout connecting to the MASTER...") from None
        except (OSError, trio.BrokenResourceError) as problem:
            raise LinkLost(f"Error condition on socket for SYNC: {_reason(problem)}") from None
        self._log.notice("MASTER <-> REPLICA sync started")
        return stream

    async def _use(self, stream: trio.abc.Stream, master: Address) -> NoReturn:
        """Raises LinkLost in the end, and what a defect raises; no exception groups, whatever happens."""
        raised: Exception | None = None
        async with trio.open_nursery() as nursery:
            sender = Sender(stream, self._parts.config)
            try:
                await self._synchronize(stream, master, sender, nursery)
            except Exception as problem:
                raised = problem
            nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised
        raise LinkLost(_LOST)

    async def _synchronize(
        self, stream: trio.abc.Stream, master: Address, sender: Sender, nursery: trio.Nursery
    ) -> None:
        parts, role, status = self._parts, self._role, self._status
        incoming = Incoming(stream, lambda: parts.config.repl_timeout, status.touch)
        joining = Joining(parts.config, self._log, incoming, sender.send, parts.listening_port())
        status.state = "handshake"
        known = Known(parts.history.id if role.continues else "", parts.history.offset)
        accepted = await self._join(joining, known)
        nursery.start_soon(self._send, sender, nursery.cancel_scope)
        if accepted.whole:
            await self._load(incoming, accepted)
        elif accepted.id and accepted.id != parts.history.id:
            self._log.notice(f"Master replication ID changed to {accepted.id}")
            parts.history.rename(accepted.id)
            # They learn of the new ID when they come back.
            parts.replicas.disconnect_all()
        transport = LinkTransport(stream, master, nursery.cancel_scope)
        session = parts.open_session(transport)
        try:
            session.become_user(_superuser(), True)
            session.flags = MASTER
            session.deny_blocking = session.import_source = True
            session.db = parts.keyspace.databases[role.stream_database]
            applying = Applying(
                session, parts.commands, parts.executor, parts.blocking, parts.keyspace, parts.state, parts.history,
                parts.feed,
            )  # fmt: skip
            status.up()
            role.update()
            if accepted.offset != NO_OFFSET:
                sender.acknowledge(lambda: self._acknowledgement(applying))
            self._log.notice("MASTER <-> REPLICA sync: " + (
                "Finished with success" if accepted.whole else "Master accepted a Partial Resynchronization."
            ))  # fmt: skip
            await self._apply(incoming, applying, session, sender)
        finally:
            parts.close_session(session)

    async def _join(self, joining: Joining, known: Known) -> Accepted:
        failover = self._parts.failover
        if not failover.in_progress:
            return await joining.join(known)
        try:
            accepted = await joining.join(known, failover=True)
        except Rejected:
            self._begin()
            failover.abort(REJECTED)
            self._finish()
            raise
        self._begin()
        failover.end()
        self._finish()
        return accepted

    async def _send(self, sender: Sender, connection: trio.CancelScope) -> None:
        try:
            await sender.run()
        except Exception as defect:
            self._log.failure("sending to the master failed unexpectedly", defect)
            connection.cancel()

    async def _load(self, incoming: Incoming, accepted: Accepted) -> None:
        """Receive and load a full synchronization's data, and adopt the history that they belong to."""
        parts, role, history = self._parts, self._role, self._parts.history
        try:
            with tempfile.TemporaryFile(dir=parts.config.dir, buffering=0) as file:
                await receive_payload(incoming, file, self._status, self._log)
                size = file.seek(0, 2)
                file.seek(0)
                # What follows is another history for our own replicas as well.
                role.continues = False
                same_history = accepted.id == history.id
                parts.replicas.disconnect_all()
                facts = await parts.loading.replace(file, size, same_history, self._begin, self._finish)
        except OSError as problem:
            raise LinkLost(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization:"
                f" {problem.strerror}",
                hopeless=True,
            ) from None
        if accepted.id:
            history.adopt(accepted.id, accepted.offset)
            role.continues = True
        else:
            # A master that knows nothing of streams: ours is another, beginning here.
            history.close_backlog()
            history.open_backlog()
        role.stream_database = _database(facts, len(parts.keyspace.databases))
        self._status.diverged = False

    async def _apply(self, incoming: Incoming, applying: Applying, session: Session, sender: Sender) -> None:
        parts, role, status = self._parts, self._role, self._status
        began = trio.current_time()
        while True:
            data = await incoming.some(_LOST, _SILENT)
            while parts.state.paused:  # as in Redis, a pause holds for the master, too
                await trio.sleep(PAUSED_CHECK)
            self._begin()
            try:
                applying.feed(data)
                role.stream_database = session.db.index
            finally:
                self._finish()
            status.unapplied = applying.unapplied
            self._was_steady = trio.current_time() - began >= STEADY_SECONDS
            if applying.acknowledgement is not None:
                sender.wake()

    def _acknowledgement(self, applying: Applying) -> tuple[int, int | None]:
        """The offset to report to the master and, with a journal, the one up to which everything is on the disk."""
        parts = self._parts
        asked, applying.acknowledgement = applying.acknowledgement, None
        offset = parts.history.offset if asked is None else asked
        journal = parts.journal
        if not journal.is_open or journal.provisional:
            return offset, None
        return offset, min(offset, applying.synced_offset(journal.synced_position))


def _superuser() -> User:
    """The user of the master's commands, whose rights no client can change."""
    user = User(b"(superuser)")
    user.has_all_rights = True
    return user


def _reason(problem: BaseException) -> str:
    """What the operating system said; Trio's own errors have it as their cause."""
    cause: BaseException | None = problem
    while isinstance(cause, BaseException):
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[-1]
            continue
        if isinstance(cause, OSError) and cause.strerror:
            # Trio's own text is longer; a name that can't be resolved has a negative number.
            return os.strerror(cause.errno) if cause.errno and cause.errno > 0 else cause.strerror
        cause = cause.__cause__
    return str(problem)


def _database(facts: dict[bytes, bytes], count: int) -> int:
    """The database that the stream has selected at its beginning, if the payload says so."""
    with contextlib.suppress(ValueError):
        index = int(facts.get(b"repl-stream-db", b"0"))
        if 0 <= index < count:
            return index
    return 0
