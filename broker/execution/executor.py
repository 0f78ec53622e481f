"""The one act of executing a command: it is counted and timed, its error becomes a reply, its changes are taken.

A client's request comes here from the dispatcher, which has checked it (and which executes plain pipelines in a loop
of its own, the same act unrolled); a transaction's commands, a script's calls and a waiting client's command come here
by themselves. Only what is loaded from the append-only file does not: its handlers are called for nobody.

Times are Redis's: a transaction's commands and a script's calls have their own, which is in the transaction's or the
script's as well; the commands of waiting clients that a write serves are not in the write's. A command that waits is
counted when its client is answered, with the time that it ran, not the time that it waited.
"""

from __future__ import annotations

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
    """Executes commands, without asking whether they may be.

    `now` reads the seconds that commands are timed with; `elsewhere` counts those that have gone into other clients'
    commands since the one that runs began.
    """

    __slots__ = ("_effects", "_keyspace", "_log", "_stats", "elsewhere", "now")

    def __init__(self, keyspace: Keyspace, clock: Clock, stats: Stats, log: Log) -> None:
        self._keyspace = keyspace
        self._effects = keyspace.effects
        self._stats = stats
        self._log = log
        self.now = clock.stopwatch
        self.elsewhere = 0.0

    def run(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute a client's request; its reply, or its error's. The caller serves who waits for what it wrote."""
        outer, self.elsewhere = self.elsewhere, 0.0
        began = self.now()
        reply = self._act(session, command, args)
        took = self.now() - began
        command.seconds += took - self.elsewhere
        if not session.flags & BLOCKED:
            command.calls += 1
        self.elsewhere = outer + took
        return reply

    def run_transaction(self, session: Session, queued: list[tuple[Command, list[bytes]]]) -> list[bytes]:
        """Execute the commands of a transaction with nothing in between; the reply of each. None of them waits."""
        now = self.now
        replies = []
        deny_blocking = session.deny_blocking
        session.deny_blocking = True
        self._effects.begin()
        try:
            began = now()
            for command, args in queued:
                replies.append(self._act(session, command, args))
                ended = now()
                command.calls += 1
                command.seconds += ended - began
                began = ended
        finally:
            self._effects.end()
            session.deny_blocking = deny_blocking
        return replies

    def run_call(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute what a script calls; `session` is the scripts' own."""
        began = self.now()
        reply = self._act(session, command, args)
        command.seconds += self.now() - began
        command.calls += 1
        return reply

    def run_again(self, session: Session, handler: Handler, args: list[bytes]) -> bytes:
        """Execute a waiting client's command function again; b"" if it still waits."""
        messages: list[bytes] = []
        out, session.out = session.out, messages
        effects = self._effects
        position = effects.position
        command = session.last_command  # a client that waits has executed nothing since
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

    def _act(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        keyspace = self._keyspace
        no_touch = session.no_touch  # RESET ends it
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
        """Count what the command that was just executed has changed, if anything, and propagate it."""
        keyspace = self._keyspace
        if keyspace.dirty:
            keyspace.changes += keyspace.dirty
            keyspace.dirty = 0
            self._effects.flush(session.db.index, args)

    def count(self, command: Command, calls: int, began: float) -> None:
        """Count what has been executed of one command since it began."""
        command.calls += calls
        command.seconds += self.now() - began - self.elsewhere

    def failed(self, command: Command | None, exception: Exception) -> bytes:
        """The error reply for what a command function raised, which is counted."""
        if not self._keyspace.dirty:
            # What it wanted propagated must not be taken for the next command's.
            self._effects.discard()
        if command is not None:
            command.failed += 1
        if isinstance(exception, CommandError):
            text = exception.text
        else:
            # The cost of a defect is one client's error, never the broker.
            text = errors.INTERNAL
            name = command.name.decode() if command is not None else "of a waiting client"
            self._log.failure("a command failed unexpectedly", exception, command=name)
        self._stats.count_error(text)
        return error(text)
