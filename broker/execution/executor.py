"""Executing one command: counting and timing it, turning its error into a reply, collecting its changes.

Client requests arrive from the dispatcher, which has checked them (it executes plain pipelines in its own loop, with
this code inlined). Transactions, script calls and the commands of waiting clients come here directly. Only commands
loaded from the append-only file do not: their handlers run without a client.

Times are measured as in Redis. The commands of a transaction and the calls of a script have times of their own, which
the transaction's or the script's time includes; a write's time excludes the commands of waiting clients that it
serves. A command that waits is counted when its client is answered, with the time it ran, not the time it waited.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.clients.session import BLOCKED, Session
from broker.keyspace.keyspace import Keyspace
from broker.process.clock import Clock
from broker.process.log import Log
from broker.process.stats import Stats
from broker.table.command import Command, Handler
from protocol import errors
from protocol.errors import CommandError
from protocol.replies import error


class Executor:
    """Executes commands without checking whether they are allowed.

    `now` returns the time in seconds, for timing commands; `elsewhere` is the number of seconds spent on other clients'
    commands since the running one began.
    """

    __slots__ = ("_effects", "_keyspace", "_log", "_stats", "elsewhere", "now")

    def __init__(self, keyspace: Keyspace, clock: Clock, stats: Stats, log: Log) -> None:
        self._keyspace = keyspace
        self._effects = keyspace.effects
        self._stats = stats
        self._log = log
        self.now: Callable[[], float] = clock.stopwatch
        self.elsewhere = 0.0

    def run(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute a client's request and return its reply or error reply. The caller serves waiting clients."""
        outer, self.elsewhere = self.elsewhere, 0.0
        began = self.now()
        reply = self._invoke(session, command, args)
        took = self.now() - began
        command.seconds += took - self.elsewhere
        if not session.flags & BLOCKED:
            command.calls += 1
        self.elsewhere = outer + took
        return reply

    def run_transaction(self, session: Session, queued: list[tuple[Command, list[bytes]]]) -> list[bytes]:
        """Execute the commands of a transaction back to back and return their replies. None of them blocks."""
        now = self.now
        session.commands += len(queued)
        replies = []
        deny_blocking = session.deny_blocking
        session.deny_blocking = True
        self._effects.begin()
        try:
            began = now()
            for command, args in queued:
                replies.append(self._invoke(session, command, args))
                ended = now()
                command.calls += 1
                command.seconds += ended - began
                began = ended
        finally:
            self._effects.end()
            session.deny_blocking = deny_blocking
        return replies

    def run_call(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute a script's call; `session` is the one that scripts run in."""
        began = self.now()
        reply = self._invoke(session, command, args)
        command.seconds += self.now() - began
        command.calls += 1
        return reply

    def run_again(self, session: Session, handler: Handler, args: list[bytes]) -> bytes:
        """Execute a waiting client's command function again; returns b"" if the client must keep waiting."""
        messages: list[bytes] = []
        out, session.out = session.out, messages
        effects = self._effects
        position = effects.position
        command = session.last_command  # a waiting client has executed nothing since
        began = self.now()
        try:
            reply = handler(session, args)
        except Exception as exception:
            reply = self.failed(command, exception)
        session.out = out
        self.take_changes(session, args)
        took = self.now() - began
        if command is not None:
            command.seconds += took
        self.elsewhere += took
        if effects.position != position:
            session.last_write_position = effects.position
        if messages:
            if reply:
                return reply + b"".join(messages)
            out += messages
        return reply

    def _invoke(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        keyspace = self._keyspace
        no_touch = session.no_touch  # read first, since RESET clears it
        if no_touch:
            keyspace.access.suspended = command.name != b"touch"
        try:
            reply = command.handler(session, args)
        except Exception as exception:
            reply = self.failed(command, exception)
        if no_touch:
            keyspace.access.suspended = False
        if keyspace.dirty:
            self.take_changes(session, args)
        return reply

    def take_changes(self, session: Session, args: list[bytes]) -> None:
        """Count and propagate the changes of the command that was just executed, if any."""
        keyspace = self._keyspace
        if keyspace.dirty:
            keyspace.changes += keyspace.dirty
            keyspace.dirty = 0
            self._effects.flush(session.db.index, args)

    def count(self, command: Command, calls: int, began: float) -> None:
        """Add `calls` executions of a command that took the time since `began`."""
        command.calls += calls
        command.seconds += self.now() - began - self.elsewhere

    def failed(self, command: Command | None, exception: Exception) -> bytes:
        """Return the error reply for an exception that a command function raised, and count it."""
        if not self._keyspace.dirty:
            # The effects it announced must not be attributed to the next command.
            self._effects.discard()
        if command is not None:
            command.failed += 1
        if isinstance(exception, CommandError):
            text = exception.text
        else:
            # A bug costs one client an error; it never takes the broker down.
            text = errors.INTERNAL
            name = command.name.decode() if command is not None else "of a waiting client"
            self._log.failure("a command failed unexpectedly", exception, command=name)
        self._stats.count_error(text)
        return error(text)
