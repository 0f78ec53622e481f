"""Request -> checks in a fixed order -> command -> reply.

`execute` is the hot path: a session whose `gate` is 0 needs nothing checked but the number of arguments. All
other requests go through `_careful`, whose checks stand in the order of Redis's, since the order shows in which
error a client gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.clients.session import (
    BLOCKED,
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
from broker.table.command import (
    ALLOW_BUSY,
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
from protocol import errors
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, QUEUED, error

if TYPE_CHECKING:
    from broker.broker import Broker

REPLIES_AT_ONCE: Final = 1 << 20
"""Bytes of replies after which a client's further requests wait until these have been sent."""

ARGUMENT_OVERHEAD: Final = 48
"""Bytes that a queued argument costs beside its own: the object's header and its place in the list."""

_HTTP: Final = frozenset((b"post", b"host:"))


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
        propagation = keyspace.propagation
        sinks = propagation.sinks
        emitted = propagation.emitted
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
                    reply = self.failed(command, exception)
                # What a write leaves is taken at once only where somebody waits for it: 0.2 us less a write.
                if keyspace.dirty and (sinks or keyspace.ready):
                    if keyspace.ready:
                        self._written(session, args)
                    else:
                        keyspace.changes += keyspace.dirty
                        keyspace.dirty = 0
                        if propagation.special:
                            propagation.flush(session.db.index, args)
                        else:
                            # What nearly every write does, in a quarter of the time.
                            propagation.emitted += 1
                            effects = [(session.db.index, args)]
                            for sink in sinks:
                                sink(effects)
            done += 1
            append(reply)
            size += len(reply)
            gate = session.gate
            if size > REPLIES_AT_ONCE or gate & STOPPED:
                break
        if keyspace.dirty:
            keyspace.count_changes()
        if propagation.emitted != emitted:
            session.written = propagation.emitted
        self._broker.stats.requests += done
        session.last_active = self._broker.clock.now
        session.commands += done
        if command is not None:
            session.last_command = command
        return done

    def call(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Execute one command within another (EXEC); waiting clients are served later."""
        command.calls += 1
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
            keyspace.changes += keyspace.dirty
            keyspace.dirty = 0
            if keyspace.propagation.sinks:
                keyspace.propagation.flush(session.db.index, args)
        return reply

    def execute_again(self, session: Session, handler: Handler, args: list[bytes]) -> bytes:
        """Execute a waiting client's command function again; b"" if it still waits."""
        messages: list[bytes] = []
        out, session.out = session.out, messages
        propagation = self._keyspace.propagation
        emitted = propagation.emitted
        try:
            reply = handler(session, args)
        except Exception as exception:
            # A client that waits has executed nothing since.
            reply = self.failed(session.last_command, exception)
        session.out = out
        self._take_changes(session, args)
        if propagation.emitted != emitted:
            session.written = propagation.emitted
        if messages:
            if reply:
                return reply + b"".join(messages)
            out += messages
        return reply

    def _written(self, session: Session, args: list[bytes]) -> None:
        self._take_changes(session, args)
        if self._keyspace.ready:
            self._broker.blocking.serve()

    def _take_changes(self, session: Session, args: list[bytes]) -> None:
        """Count what a command has changed, and propagate it."""
        keyspace = self._keyspace
        if keyspace.dirty:
            keyspace.count_changes()
            keyspace.propagation.flush(session.db.index, args)

    def failed(self, command: Command | None, exception: Exception) -> bytes:
        """The error reply for what a command function raised."""
        if not self._keyspace.dirty:
            # What it wanted propagated must not be taken for the next command's.
            self._keyspace.propagation.forget()
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
        # What commands before this one in the pipeline have changed is not this one's.
        self._keyspace.count_changes()
        if session.gate & REPLY_SKIP_NEXT:
            session.gate ^= REPLY_SKIP_NEXT | REPLY_SKIP
        # What the request publishes to its own client must follow the reply.
        messages: list[bytes] = []
        out, session.out = session.out, messages
        reply = self._check_and_call(session, args)
        session.out = out
        if session.gate & POSTPONED:
            return NO_REPLY
        if session.gate & (REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT):
            if not session.gate & BLOCKED:  # else it is the later reply that is skipped
                session.gate &= ~REPLY_SKIP
            reply = NO_REPLY
        return reply + b"".join(messages) if messages else reply

    def _check_and_call(self, session: Session, args: list[bytes]) -> bytes:
        refusal: bytes | None
        command = self._broker.commands.find(args)
        if command is None:
            if args[0].lower() in _HTTP:
                # A browser was lured into sending requests here: it must not get to send a second line.
                self._broker.log.warning("client closed: it speaks HTTP", id=session.id)
                session.close()
                return NO_REPLY
            refusal = self._unknown(args)
        elif not command.min_args <= len(args) <= command.max_args:
            refusal = errors.wrong_arity(command.name)
        else:
            session.last_command = command
            refusal = self._refusal(session, command, session.gate)
        if refusal is not None:
            return self._refused(session, command, refusal)
        assert command is not None
        if self._broker.state.paused and self._postpone(session, command, args):
            return NO_REPLY
        if session.queued is not None and not command.flags & NEVER_QUEUED:
            return self._queue(session, command, args)
        reply = self.call(session, command, args)
        if self._keyspace.ready:
            self._broker.blocking.serve()
        return reply

    def _refused(self, session: Session, command: Command | None, text: bytes) -> bytes:
        """The reply to a request that is not executed; a transaction it belonged to is doomed."""
        self._broker.stats.count_error(text)
        if command is not None:
            command.rejected += 1
            if command.name == b"exec":
                text = errors.exec_abort(text)
                session.discard()
        if session.queued is not None:
            session.queue_broken = True
        return error(text)

    def _queue(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Keep a command for EXEC; a client that queues too much is disconnected.

        As in Redis the queued commands count toward client-query-buffer-limit, here with what an argument
        costs beside its bytes. A transaction that will fail anyway keeps nothing more.
        """
        queued = session.queued
        if queued is None or session.queue_broken or session.watch_broken:
            return QUEUED
        queued.append((command, args))
        session.queued_size += sum(map(len, args)) + ARGUMENT_OVERHEAD * len(args)
        broker = self._broker
        if session.queued_size <= broker.config.client_query_buffer_limit:
            return QUEUED
        broker.stats.query_limit_closes += 1
        broker.log.warning("client closed: its transaction is over the query buffer limit", id=session.id)
        session.kill()
        return NO_REPLY

    def _unknown(self, args: list[bytes]) -> bytes:
        name = args[0].lower()
        outer = self._broker.commands.by_name.get(name)
        if outer is not None and outer.subcommands:
            return errors.unknown_subcommand(args)
        return errors.unknown_command(args)

    def _refusal(self, session: Session, command: Command, gate: int) -> bytes | None:
        """Why this client may not execute this command now, None if it may."""
        flags = command.flags
        broker = self._broker
        if gate & IN_MULTI and command.name == b"exec":
            # EXEC is refused what any of its commands would be.
            for queued, _ in session.queued or ():
                flags = (flags | queued.flags & (DENYOOM | WRITE)) & (queued.flags | ~LOADING)
        if gate & UNAUTHENTICATED and not flags & NO_AUTH:
            return errors.NO_AUTH
        if gate & IN_MULTI and flags & NO_MULTI:
            return errors.NOT_IN_MULTI
        if broker.state.out_of_memory and flags & DENYOOM and broker.eviction.refuses():
            return errors.OUT_OF_MEMORY
        if broker.state.write_refusal and (flags & WRITE or command.name == b"ping"):
            return broker.state.write_refusal
        if gate & SUBSCRIBED_RESP2 and not flags & IN_SUBSCRIBED_MODE:
            return errors.subscribed_mode(command.name)
        if broker.state.loading and not flags & LOADING:
            return errors.LOADING
        if broker.state.busy is not None and not flags & ALLOW_BUSY:
            return broker.state.busy
        return None

    def _may_write(self, session: Session, command: Command, args: list[bytes]) -> bool:
        """Whether a request may change keys, or reach other clients; a script may have declared not to."""
        if not command.flags & (WRITE | MAY_REPLICATE):
            return False
        return command.reads_only is None or not command.reads_only(session, args)

    def _postpone(self, session: Session, command: Command, args: list[bytes]) -> bool:
        """Hold the client's request back while CLIENT PAUSE concerns it."""
        if self._broker.state.paused == "write":
            requests = (session.queued or ()) if command.name == b"exec" else ((command, args),)
            if not any(self._may_write(session, *request) for request in requests):
                return False
        if session.gate & REPLY_SKIP:
            session.gate ^= REPLY_SKIP_NEXT | REPLY_SKIP
        session.gate |= POSTPONED
        self._broker.state.postponed.append(session)
        return True
