"""Request -> checks in a fixed order -> command -> reply.

`execute` is the hot path: a session whose `gate` is 0 needs nothing checked but the number of arguments. All
other requests go through `_careful`, whose checks stand in the order of Redis's, since the order shows in which
error a client gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.registry import (
    DENYOOM,
    IN_SUBSCRIBED_MODE,
    LOADING,
    MAY_REPLICATE,
    NEVER_QUEUED,
    NO_AUTH,
    NO_MULTI,
    WRITE,
    Command,
    Handler,
)
from broker.session import (
    IN_MULTI,
    POSTPONED,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    STOPPED,
    SUBSCRIBED_RESP2,
    UNAUTHENTICATED,
    Session,
)
from protocol import errors
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, QUEUED, error

if TYPE_CHECKING:
    from broker.core import Broker

REPLIES_AT_ONCE: Final = 1 << 20
"""Bytes of replies after which a client's further requests wait until these have been sent."""


class Dispatcher:
    """Executes requests for a broker."""

    __slots__ = ("_broker", "_keyspace", "_plain")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._keyspace = broker.keyspace
        self._plain = broker.commands.plain

    def execute(self, session: Session, requests: list[list[bytes]]) -> int:
        """Execute requests in order, appending the replies to `session.out`.

        Returns how many were executed: fewer than all when the client must wait (for a key, for the end of a
        pause, for its replies to be sent) or is being closed; a postponed request counts as not executed.
        """
        plain = self._plain
        keyspace = self._keyspace
        append = session.out.append
        gate = session.gate
        size = 0
        done = 0
        for args in requests:
            command = plain.get(args[0])
            if gate or command is None or not command.min_args <= len(args) <= command.max_args:
                reply = self._careful(session, args)
                if session.gate & POSTPONED:
                    break
            else:
                command.calls += 1
                try:
                    reply = command.handler(session, args)
                except Exception as exception:
                    reply = self._failed(command, exception)
                if keyspace.dirty:
                    self._written(session, args)
            done += 1
            append(reply)
            size += len(reply)
            gate = session.gate
            if size > REPLIES_AT_ONCE or gate & STOPPED:
                break
        self._broker.stats.requests += done
        session.last_active = self._broker.clock.now
        if command is not None:
            session.last_command = command
        return done

    def call(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute one command within another (EXEC, a script); waiting clients are served later."""
        command.calls += 1
        try:
            reply = command.handler(session, args)
        except Exception as exception:
            reply = self._failed(command, exception)
        self._take_changes(session, args)
        return reply

    def execute_again(self, session: Session, handler: Handler, args: list[bytes]) -> bytes:
        """Execute a waiting client's command function again; b"" if it still waits."""
        try:
            reply = handler(session, args)
        except Exception as exception:
            reply = self._failed(None, exception)
        self._take_changes(session, args)
        return reply

    def _written(self, session: Session, args: list[bytes]) -> None:
        self._take_changes(session, args)
        if self._keyspace.ready:
            self._broker.blocking.serve()

    def _take_changes(self, session: Session, args: list[bytes]) -> None:
        keyspace = self._keyspace
        if keyspace.dirty:
            keyspace.changes += keyspace.dirty
            keyspace.dirty = 0
            keyspace.propagation.flush(session.db.index, args)

    def _failed(self, command: Command | None, exception: Exception) -> bytes:
        """The error reply for what a command function raised."""
        if command is not None:
            command.failed += 1
        if isinstance(exception, CommandError):
            text = exception.text
        else:
            # The cost of a defect is one client's error, never the broker.
            text = errors.INTERNAL
            name = command.name.decode() if command is not None else "of a waiting client"
            self._broker.log.failure("a command failed unexpectedly", exception, command=name)
        self._broker.stats.count_error(text)
        return error(text)

    def _careful(self, session: Session, args: list[bytes]) -> bytes:
        """Execute one request of a session whose gate is set, or that the hot path could not place."""
        gate = session.gate
        if gate & REPLY_SKIP_NEXT:
            session.gate ^= REPLY_SKIP_NEXT | REPLY_SKIP
        refusal: bytes | None
        command = self._broker.commands.find(args)
        if command is None:
            refusal = self._unknown(args)
        elif not command.min_args <= len(args) <= command.max_args:
            refusal = errors.wrong_arity(command.name)
        else:
            session.last_command = command
            refusal = self._refusal(session, command, gate)
        if refusal is not None:
            reply = self._refused(session, command, refusal)
        else:
            assert command is not None
            if self._broker.paused and self._postpone(session, command):
                if gate & REPLY_SKIP_NEXT:
                    session.gate ^= REPLY_SKIP_NEXT | REPLY_SKIP
                return NO_REPLY
            if session.queued is not None and not command.flags & NEVER_QUEUED:
                session.queued.append((command, args))
                reply = QUEUED
            else:
                reply = self.call(session, command, args)
                if self._keyspace.ready:
                    self._broker.blocking.serve()
        if session.gate & (REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT):
            session.gate &= ~REPLY_SKIP
            return NO_REPLY
        return reply

    def _refused(self, session: Session, command: Command | None, text: bytes) -> bytes:
        """The reply to a request that is not executed; a transaction it belonged to is doomed."""
        self._broker.stats.count_error(text)
        if session.queued is not None:
            session.queue_broken = True
        if command is not None:
            command.rejected += 1
        return error(text)

    def _unknown(self, args: list[bytes]) -> bytes:
        outer = self._broker.commands.by_name.get(args[0].lower())
        if outer is not None and outer.subcommands:
            return errors.unknown_subcommand(args)
        return errors.unknown_command(args)

    def _refusal(self, session: Session, command: Command, gate: int) -> bytes | None:
        """Why this client may not execute this command now, None if it may."""
        flags = command.flags
        broker = self._broker
        if gate & UNAUTHENTICATED and not flags & NO_AUTH:
            return errors.NO_AUTH
        if gate & IN_MULTI and flags & NO_MULTI:
            return errors.NOT_IN_MULTI
        if broker.out_of_memory and flags & DENYOOM:
            return errors.OUT_OF_MEMORY
        if gate & SUBSCRIBED_RESP2 and not flags & IN_SUBSCRIBED_MODE:
            return errors.subscribed_mode(command.name)
        if broker.loading and not flags & LOADING:
            return errors.LOADING
        return None

    def _postpone(self, session: Session, command: Command) -> bool:
        """Hold the client's request back while CLIENT PAUSE concerns it."""
        flags = command.flags
        if command.name == b"exec":
            for queued, _ in session.queued or ():
                flags |= queued.flags
        if self._broker.paused == "write" and not flags & (WRITE | MAY_REPLICATE):
            return False
        session.gate |= POSTPONED
        self._broker.postponed.append(session)
        return True
