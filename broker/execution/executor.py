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

from broker.acl.log import TOP_LEVEL
from broker.clients.permissions import denial, denial_in_exec
from broker.clients.session import BLOCKED, BROKER_STATE, RESTRICTED, TRACKING, Session
from broker.clients.tracking import Tracking
from broker.clients.wait import Wait
from broker.keyspace import importing
from broker.keyspace.keyspace import Keyspace
from broker.observation.histogram import Histogram
from broker.observation.hotkeys import Hotkeys
from broker.observation.monitor import Monitors
from broker.observation.observer import Observer
from broker.process.clock import Clock
from broker.process.log import Log
from broker.process.stats import Stats
from broker.table.command import READONLY, Command, Handler
from protocol import errors
from protocol.errors import CommandError
from protocol.replies import error


class Executor:
    """Executes commands without checking whether they are allowed.

    `now` returns the time in seconds, for timing commands, and `observer` learns what they took; `elsewhere` is the
    number of seconds spent on other clients' commands since the running one began.
    """

    __slots__ = (
        "_effects", "_hotkeys", "_keyspace", "_log", "_monitors", "_stats", "_tracking", "elsewhere", "now", "observer",
    )  # fmt: skip

    def __init__(
        self,
        keyspace: Keyspace,
        clock: Clock,
        stats: Stats,
        log: Log,
        observer: Observer,
        monitors: Monitors,
        hotkeys: Hotkeys,
        tracking: Tracking,
    ) -> None:
        self._keyspace = keyspace
        self._effects = keyspace.effects
        self._stats = stats
        self._log = log
        self.observer = observer
        self._monitors = monitors
        self._hotkeys = hotkeys
        self._tracking = tracking
        self.now: Callable[[], float] = clock.stopwatch
        self.elsewhere = 0.0

    def run(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute a client's request and return its reply or error reply. The caller serves waiting clients."""
        outer, self.elsewhere = self.elsewhere, 0.0
        began = self.now()
        reply = self._invoke(session, command, args)
        took = self.now() - began
        self.executed(session, command, args, took - self.elsewhere)
        if session.flags & BROKER_STATE and self._hotkeys.active:
            self._hotkeys.executed(session, command, args, reply, took - self.elsewhere)
        self.elsewhere = outer + took
        return reply

    def run_transaction(self, session: Session, queued: list[tuple[Command, list[bytes]]]) -> list[bytes]:
        """Execute the commands of a transaction back to back and return their replies. None of them blocks."""
        now = self.now
        session.commands += len(queued)
        replies = []
        denials = 0
        deny_blocking = session.deny_blocking
        session.deny_blocking = True
        self._effects.begin()
        try:
            began = now()
            for command, args in queued:
                if session.flags & RESTRICTED:
                    denied = denial_in_exec(session, command, args)
                    if denied is not None:
                        replies.append(self._denied(denied))
                        denials += 1
                        continue
                reply = self._invoke(session, command, args)
                replies.append(reply)
                if len(reply) >= self.observer.large_reply:
                    self.observer.reply_noticed(session, command, args, reply)
                ended = now()
                if self.count(command, 1, ended - began):
                    self.observer.noticed(session, command, args, ended - began)
                if session.flags & BROKER_STATE and self._hotkeys.active:
                    self._hotkeys.executed(session, command, args, reply, ended - began)
                    ended = now()
                began = ended
        finally:
            self._effects.end()
            session.deny_blocking = deny_blocking
        if denials and session.last_command is not None:
            session.last_command.failed += 1  # EXEC's, once, as in Redis
        return replies

    def _denied(self, text: bytes) -> bytes:
        self._stats.count_error(text)
        return error(text)

    def run_call(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute a script's call; `session` is the one that scripts run in."""
        began = self.now()
        reply = self._invoke(session, command, args)
        took = self.now() - began
        if self.count(command, 1, took):
            self.observer.noticed(session, command, args, took)
        return reply

    def run_again(self, session: Session, handler: Handler, args: list[bytes]) -> bytes:
        """Execute a waiting client's command function again; returns b"" if the client must keep waiting."""
        messages: list[bytes] = []
        out, session.out = session.out, messages
        effects = self._effects
        position = effects.position
        command = session.last_command  # a waiting client has executed nothing since
        tracking = self._tracking
        outer, tracking.current = tracking.current, session if session.flags & TRACKING else None
        if self._keyspace.importing and command is not None:
            importing.prepare(session.db, session.import_source, command, args)
        began = self.now()
        try:
            reply = handler(session, args)
        except Exception as exception:
            reply = self.failed(command, exception)
        if tracking.current is not None:
            if command is not None and command.flags & READONLY:
                tracking.remember(command, args)
            tracking.executed(session, args)
        tracking.current = outer
        session.out = out
        self.take_changes(session, args)
        took = self.now() - began
        if session.waiting is not None:
            session.waiting.seconds += took
        self.elsewhere += took
        if effects.position != position:
            session.last_write_position = effects.position
        if messages:
            if reply:
                return reply + b"".join(messages)
            out += messages
        return reply

    def refuse_again(self, session: Session, args: list[bytes]) -> bytes:
        """The error reply if a waiting client's user may no longer execute its command; b"" if it may."""
        command = session.last_command
        denied = denial(session, command, args, TOP_LEVEL) if command is not None else None
        if denied is None or command is None:
            return b""
        command.rejected += 1
        return self._denied(denied)

    def _invoke(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        keyspace = self._keyspace
        no_touch = session.no_touch  # read first, since RESET clears it
        if no_touch:
            keyspace.access.suspended = command.name != b"touch"
        if keyspace.importing:
            # A script's calls see what the client sees whose request they belong to.
            visible = keyspace.everything_visible if session.is_script else session.import_source
            importing.prepare(session.db, visible, command, args)
        monitored = bool(self._monitors.sessions)
        if monitored:
            self._monitors.begins(session, command, args)
        try:
            reply = command.handler(session, args)
        except Exception as exception:
            reply = self.failed(command, exception)
        if no_touch:
            keyspace.access.suspended = False
        if monitored:
            self._monitors.ended(session, command, args)
        if keyspace.dirty or self._effects.special:
            self.take_changes(session, args)
        if self._tracking.current is not None and command.flags & READONLY:
            self._tracking.remember(command, args)
        return reply

    def take_changes(self, session: Session, args: list[bytes]) -> None:
        """Count and propagate the changes of the command that was just executed, if any.

        If there are none, the effects that it named must not be attributed to the next command.
        """
        keyspace = self._keyspace
        if keyspace.dirty:
            keyspace.changes += keyspace.dirty
            keyspace.dirty = 0
            self._effects.flush(session.db.index, args)
        elif self._effects.special:
            self._effects.discard()

    def count(self, command: Command, calls: int, took: float) -> bool:
        """Count `calls` executions of a command that took so many seconds together.

        Returns whether that must be noticed: by Observer.noticed or Observer.run_noticed.
        """
        command.calls += calls
        command.seconds += took
        observer = self.observer
        if observer.tracking:
            histogram = command.histogram
            if histogram is None:
                histogram = command.histogram = Histogram()
            histogram.record(took if calls == 1 else took / calls, calls)
        return took >= observer.notice_at

    def executed(self, session: Session, command: Command, args: list[bytes], took: float) -> None:
        """Count a request that took so many seconds; if its client waits now, it is counted when that is answered."""
        if session.flags & BLOCKED:
            wait = session.waiting
            if wait is not None:
                wait.request = args
                wait.seconds += took
        elif self.count(command, 1, took):
            self.observer.noticed(session, command, args, took)

    def count_run(
        self, session: Session, command: Command, requests: list[list[bytes]], first: int, done: int, took: float
    ) -> None:
        """Count the consecutive requests for one command from `first` to before `done`; their replies end `out`."""
        count = done - first
        if self.count(command, count, took) and not command.timed_alone:
            self.observer.run_noticed(session, command, requests[first:done], session.out[-count:], took)

    def answered(self, session: Session, wait: Wait, reply: bytes) -> None:
        """Count the command of a client whose wait is over."""
        command = session.last_command  # a waiting client has executed nothing since
        if command is None:
            return
        if self.count(command, 1, wait.seconds):
            self.observer.noticed(session, command, wait.request, wait.seconds)
        if len(reply) >= self.observer.large_reply:
            self.observer.reply_noticed(session, command, wait.request, reply)

    def failed(self, command: Command | None, exception: Exception) -> bytes:
        """Return the error reply for an exception that a command function raised, and count it."""
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
