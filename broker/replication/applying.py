"""The master's stream, executed: commands without checks and without replies.

The stream is passed on as the bytes that it is, to the history and to this broker's own replicas, once all of a
transaction has been executed. Its offset therefore never lies within one, as in Redis.

A command that is unknown here or fails means that the data are not the master's any more. Redis goes on by default;
here that ends the link, and the operator learns which command it was.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from broker.replication.incoming import LinkLost
from broker.table.command import CommandTable
from protocol.parser import RequestParser
from protocol.replies import bulks
from protocol.requests import ProtocolError

if TYPE_CHECKING:
    from broker.clients.blocking import Blocking
    from broker.clients.session import Session
    from broker.execution.executor import Executor
    from broker.execution.state import State
    from broker.keyspace.keyspace import Keyspace
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.table.command import Command

LARGEST: Final = (1 << 31) - 1
"""The most arguments of a command, and the most bytes of one: what a master has executed must be read."""

SYNC_POINTS: Final = 1024
"""Pairs of positions kept while the disk has not caught up; beyond, fewer are noted."""

_CONTROL: Final = frozenset((b"multi", b"exec", b"replconf"))


class Diverged(LinkLost):
    """A command of the master could not be executed: only a full synchronization makes the data the same again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, hopeless=True)


class Applying:
    """The execution of one connection's stream by `session`, in whose database it is.

    `acknowledgement` is an offset that the master has asked for (REPLCONF GETACK), None if it hasn't.
    """

    def __init__(
        self,
        session: Session,
        commands: CommandTable,
        executor: Executor,
        blocking: Blocking,
        keyspace: Keyspace,
        state: State,
        history: History,
        feed: Feed,
    ) -> None:
        self._session = session
        self._commands = commands
        self._originals: CommandTable | None = None
        self._executor = executor
        self._blocking = blocking
        self._keyspace = keyspace
        self._state = state
        self._history = history
        self._feed = feed
        self._parser = RequestParser(max_args=LARGEST, max_bulk=LARGEST)
        self._received = bytearray()  # what is not passed on yet
        self._queued: list[tuple[Command, list[bytes]]] | None = None
        self._queued_bytes = 0
        self._sync_points: deque[tuple[int, int]] = deque()
        self._synced = history.offset
        self.acknowledgement: int | None = None

    @property
    def unapplied(self) -> int:
        """The number of bytes that have arrived and are not counted in the offset."""
        return len(self._received)

    def feed(self, data: bytes) -> None:
        """Execute what these bytes complete; within a tick. Raises LinkLost, or Diverged with the command."""
        self._received += data
        self._session.bytes_in += len(data)
        try:
            requests = self._parser.feed(data)
        except ProtocolError as problem:
            raise Diverged(f"The stream of the master is broken: {problem.text.decode(errors='replace')}") from None
        if requests:
            self._execute(requests)
        self._pass_on()

    def synced_offset(self, synced_position: int) -> int:
        """The offset up to which everything is on the disk, given the effects' position that is."""
        points = self._sync_points
        while points and points[0][0] <= synced_position:
            self._synced = points.popleft()[1]
        return self._synced

    def _pass_on(self) -> None:
        complete = len(self._received) - self._parser.buffered - self._queued_bytes
        if not complete:
            return
        self._feed.relay(bytes(self._received[:complete]))
        del self._received[:complete]
        if len(self._sync_points) < SYNC_POINTS:
            self._sync_points.append((self._keyspace.effects.position, self._history.offset))

    def _execute(self, requests: list[list[bytes]]) -> None:
        state, keyspace = self._state, self._keyspace
        state.applying = True
        keyspace.reveal(True)
        try:
            self._execute_all(requests)
        finally:
            state.applying = False
            keyspace.reveal(False)
        self._session.last_active = keyspace.clock.now

    def _execute_all(self, requests: list[list[bytes]]) -> None:
        session, run = self._session, self._executor.run
        plain = self._commands.plain
        keyspace = self._keyspace
        for at, args in enumerate(requests):
            command = plain.get(args[0]) or self._find(args)
            if command is None or not command.min_args <= len(args) <= command.max_args:
                raise _failure(args, "unknown here, or with a wrong number of arguments")
            if command.name in _CONTROL:
                self._control(command, requests, at)
            elif self._queued is not None:
                self._queued.append((command, args))
                self._queued_bytes += len(bulks(args))
            else:
                reply = run(session, command, args)
                if reply[:1] == b"-":
                    raise _failure(args, reply[1:].decode(errors="replace").strip())
                session.last_command = command
                session.commands += 1
                if keyspace.ready:
                    self._blocking.serve()

    def _find(self, args: list[bytes]) -> Command | None:
        """The command, also if it has another name here: masters call each by its own."""
        found = self._commands.find(args)
        if found is None:
            if self._originals is None:
                self._originals = CommandTable()
            found = self._originals.find(args)
        return found

    def _control(self, command: Command, requests: list[list[bytes]], at: int) -> None:
        args = requests[at]
        if command.name == b"replconf":
            if len(args) > 1 and args[1].lower() == b"getack":
                # It counts only what precedes it.
                following = self._parser.buffered + sum(len(bulks(later)) for later in requests[at:])
                self.acknowledgement = self._history.offset + len(self._received) - following
        elif command.name == b"multi":
            if self._queued is not None:
                raise _failure(args, "within a transaction")
            self._queued = []
            self._queued_bytes = len(bulks(args))
        else:
            if self._queued is None:
                raise _failure(args, "outside a transaction")
            queued, self._queued = self._queued, None
            self._queued_bytes = 0
            self._transaction(queued)

    def _transaction(self, queued: list[tuple[Command, list[bytes]]]) -> None:
        session = self._session
        replies = self._executor.run_transaction(session, queued)
        for (_, args), reply in zip(queued, replies, strict=True):
            if reply[:1] == b"-":
                raise _failure(args, reply[1:].decode(errors="replace").strip())
        if self._keyspace.ready:
            self._blocking.serve()


def _failure(args: list[bytes], reason: str) -> Diverged:
    # Neither keys nor values, which may be secret.
    name = b" ".join(args[:1])[:64].decode("utf-8", "backslashreplace")
    return Diverged(
        f"The master's command '{name}' ({len(args)} arguments) can't be executed: {reason}. The data are not the"
        " master's any more, so the link is closed until a full synchronization succeeds"
    )
