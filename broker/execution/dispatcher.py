"""Request -> checks in a fixed order -> command -> reply.

`execute` is the hot path: for a session whose `flags` are 0, only the number of arguments is checked, and the loop
inlines Executor.run. All other requests go through `_execute_checked`, which checks in Redis's order, since the order
decides which error a client gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.acl.log import MULTI, TOP_LEVEL
from broker.clients.blocking import Blocking
from broker.clients.permissions import denial
from broker.clients.session import (
    BLOCKED,
    IN_MULTI,
    MONITORING,
    POSTPONED,
    REPLICA,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    RESTRICTED,
    STOPPED,
    SUBSCRIBED_RESP2,
    TRACKING,
    UNAUTHENTICATED,
    Session,
)
from broker.clients.tracking import Tracking
from broker.config import Config
from broker.execution.executor import Executor
from broker.execution.state import State
from broker.keyspace.keyspace import Keyspace
from broker.process.clock import Clock
from broker.process.log import Log
from broker.process.stats import Stats
from broker.table.command import (
    ALLOW_BUSY,
    DENYOOM,
    IN_SUBSCRIBED_MODE,
    LOADING,
    MAY_REPLICATE,
    NEVER_QUEUED,
    NO_ASYNC_LOADING,
    NO_AUTH,
    NO_MULTI,
    READONLY,
    STALE,
    WRITE,
    Command,
    CommandTable,
)
from protocol import errors
from protocol.limits import QUERY_BUFFER_LEAST
from protocol.replies import NO_REPLY, QUEUED, error

REPLIES_AT_ONCE: Final = 1 << 20
"""Bytes of replies after which a client's remaining requests wait until these have been sent."""

ARGUMENT_OVERHEAD: Final = 48
"""Bytes that a queued argument costs besides its contents: the object's header and its slot in the list."""

_HTTP: Final = frozenset((b"post", b"host:"))


class Dispatcher:
    """Executes the requests of a broker's clients."""

    __slots__ = (
        "_blocking", "_clock", "_config", "_executor", "_keyspace", "_log", "_memory_refuses", "_plain", "_state",
        "_stats", "_table", "_tracking",
    )  # fmt: skip

    def __init__(
        self,
        executor: Executor,
        table: CommandTable,
        keyspace: Keyspace,
        state: State,
        blocking: Blocking,
        clock: Clock,
        stats: Stats,
        config: Config,
        log: Log,
        memory_refuses: Callable[[], bool],
        tracking: Tracking,
    ) -> None:
        """`memory_refuses` is called only while the broker is out of memory, and returns whether it still is."""
        self._executor = executor
        self._table = table
        self._plain = dict(table.plain)
        self._keyspace = keyspace
        self._state = state
        self._blocking = blocking
        self._clock = clock
        self._stats = stats
        self._config = config
        self._log = log
        self._memory_refuses = memory_refuses
        self._tracking = tracking

    def set_read_only(self, on: bool) -> None:
        """Send clients' writes down the checked path, which refuses them, or no longer.

        Reads are as fast as before. The table is changed in place, since the request that causes this may be followed
        by others that are executed in the same loop.
        """
        for name, command in self._table.plain.items():
            if on and command.flags & WRITE:
                self._plain.pop(name, None)
            else:
                self._plain[name] = command

    def execute(self, session: Session, requests: list[list[bytes]]) -> int:
        """Execute requests in order, appending the replies to `session.out`.

        Returns the number executed: fewer than all when the client must wait (for a key, for the end of a pause, for
        its replies to be sent) or is being closed. A postponed request counts as not executed.

        The clock is read only when the command changes: consecutive requests for one command are timed together. For a
        command that may take long it is read each time, to notice the one that does; they are counted together.
        """
        plain = self._plain
        keyspace = self._keyspace
        effects = keyspace.effects
        sinks = effects.sinks
        position = effects.position
        out = session.out
        executor = self._executor
        now = executor.now
        flags = session.flags
        running: Command | None = None  # the command of all requests since `first`
        size = done = first = 0
        began = since = waited = 0.0  # `since`: of this request, with `waited` before it for other clients' commands
        observer = executor.observer
        for args in requests:
            command = plain.get(args[0])
            if (
                command is None
                or not command.min_args <= len(args) <= command.max_args
                or (flags and not (flags == RESTRICTED and session.user.permits(command, args)))
            ):
                if running is not None:
                    if done > first:
                        executor.count_run(session, running, requests, first, done, now() - began - executor.elsewhere)
                    running = None
                if effects.position != position:
                    position = session.last_write_position = effects.position  # for WAIT and WAITAOF
                if flags == IN_MULTI and command is not None and command.min_args <= len(args) <= command.max_args:
                    reply = self._execute_in_multi(session, command, args)
                else:
                    reply = self._execute_checked(session, command, args)
                if session.flags & POSTPONED:
                    break
            else:
                if command is not running:
                    ended = now()
                    if running is not None and done > first:
                        executor.count_run(session, running, requests, first, done, ended - began - executor.elsewhere)
                    executor.elsewhere = waited = 0.0
                    began = since = ended
                    running = command
                    first = done
                try:
                    reply = command.handler(session, args)
                except Exception as exception:
                    reply = executor.failed(command, exception)
                if command.timed_alone:
                    ended = now()
                    if ended - since >= observer.notice_at or session.flags & BLOCKED:
                        if done > first:
                            executor.count_run(session, command, requests, first, done, since - began - waited)
                        executor.executed(session, command, args, ended - since - executor.elsewhere + waited)
                        executor.elsewhere = 0.0
                        began = ended
                        first = done + 1
                    since = ended
                    waited = executor.elsewhere
                # Handle a write's effects now only if a sink or a waiting client needs them: saves 0.2 us per write.
                if not keyspace.dirty:
                    if effects.special:
                        effects.discard()
                elif sinks or keyspace.ready:
                    if keyspace.ready:
                        self._handle_write(session, args)
                    else:
                        keyspace.changes += keyspace.dirty
                        keyspace.dirty = 0
                        if effects.special:
                            effects.flush(session.db.index, args)
                        else:
                            # Effects.flush for nearly every write, in a quarter of the time.
                            effects.position += 1
                            unit = [(session.db.index, args)]
                            for sink in sinks:
                                sink(unit)
            done += 1
            out.append(reply)
            size += len(reply)
            flags = session.flags
            if size > REPLIES_AT_ONCE or flags & STOPPED:
                break
        if running is not None and done > first:
            executor.count_run(session, running, requests, first, done, now() - began - executor.elsewhere)
        if keyspace.dirty:
            keyspace.changes += keyspace.dirty
            keyspace.dirty = 0
        if effects.position != position:
            session.last_write_position = effects.position
        if size >= observer.large_reply or session.bytes_in - session.bytes_executed >= observer.large_request:
            observer.sizes_noticed(session, requests[:done], out[len(out) - done :])
        if done == len(requests):
            session.bytes_executed = session.bytes_in
        self._stats.requests += done
        session.last_active = self._clock.now
        session.commands += done - 1 if flags & BLOCKED else done  # a wait is counted when it ends
        if command is not None:
            session.last_command = command
        return done

    def _handle_write(self, session: Session, args: list[bytes]) -> None:
        self._executor.take_changes(session, args)
        if self._keyspace.ready:
            self._blocking.serve()

    def _execute_in_multi(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Queue or execute a request of a session in MULTI and in no other special state.

        Nothing but the command itself can forbid queueing it then. This costs 0.1 us instead of 0.3.
        """
        if command.flags & (NEVER_QUEUED | NO_MULTI):
            return self._execute_checked(session, command, args)
        return self._queue(session, command, args)

    def _execute_checked(self, session: Session, command: Command | None, args: list[bytes]) -> bytes:
        """Execute a request that the hot path leaves: flags are set, or name or arity do not fit.

        `command` is what the table's `plain` has for the request, None if nothing.
        """
        # Changes made by earlier commands of the pipeline must not be attributed to this one.
        self._keyspace.count_changes()
        is_replica = session.flags & REPLICA
        if session.flags & REPLY_SKIP_NEXT:
            session.flags ^= REPLY_SKIP_NEXT | REPLY_SKIP
        # Messages that the request publishes to its own client must follow the reply.
        messages: list[bytes] = []
        out, session.out = session.out, messages
        tracking = self._tracking
        outer, tracking.current = tracking.current, session if session.flags & TRACKING else None
        reply = self._check_and_call(session, command, args)
        if tracking.current is not None:
            tracking.executed(session, args)
        tracking.current = outer
        session.out = out
        if session.flags & POSTPONED:
            return NO_REPLY
        if session.flags & (REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT):
            if not session.flags & BLOCKED:  # otherwise the reply that ends the wait is the one to skip
                session.flags &= ~REPLY_SKIP
            reply = NO_REPLY
        if is_replica and reply:
            return self._replica_replied(session)
        return reply + b"".join(messages) if messages else reply

    def _replica_replied(self, session: Session) -> bytes:
        """Disconnect a replica that has sent a request with a reply: it would take it for a part of the stream."""
        name = session.last_command.name.decode() if session.last_command is not None else "NULL"
        self._log.warning(f"Replica generated a reply to command '{name}', disconnecting it", id=session.id)
        session.kill()
        return NO_REPLY

    def _check_and_call(self, session: Session, command: Command | None, args: list[bytes]) -> bytes:
        refusal: bytes | None
        if command is None:
            command = self._table.find(args)
        if command is None:
            if args[0].lower() in _HTTP:
                # Someone has tricked a browser into sending requests here: don't read a second line.
                self._log.warning("client closed: it speaks HTTP", id=session.id)
                session.close()
                return NO_REPLY
            refusal = self._unknown(args)
        elif not command.min_args <= len(args) <= command.max_args:
            refusal = errors.wrong_arity(command.name)
        else:
            session.last_command = command
            refusal = self._refusal(session, command, args)
        if refusal is not None:
            return self._refused(session, command, refusal)
        assert command is not None
        if self._state.paused and self._postpone(session, command, args):
            return NO_REPLY
        if session.queued is not None and not command.flags & NEVER_QUEUED:
            return self._queue(session, command, args)
        reply = self._executor.run(session, command, args)
        if self._keyspace.ready:
            self._blocking.serve()
        return reply

    def _refused(self, session: Session, command: Command | None, text: bytes) -> bytes:
        """Return the reply to a request that is not executed, and doom the transaction it belongs to."""
        self._stats.count_error(text)
        session.commands -= 1  # as in Redis, only what is executed counts
        if command is not None:
            command.rejected += 1
            if command.name == b"exec":
                text = errors.exec_abort(text)
                session.discard()
        if session.queued is not None:
            session.queue_broken = True
        return error(text)

    def _queue(self, session: Session, command: Command, args: list[bytes]) -> bytes:
        """Keep a command for EXEC; disconnect a client that queues too much.

        As in Redis, queued commands count toward client-query-buffer-limit, here including each argument's overhead.
        A transaction that is bound to fail keeps no further commands.
        """
        session.commands -= 1  # counted by EXEC
        queued = session.queued
        if queued is None or session.queue_broken or session.watch_broken:
            return QUEUED
        queued.append((command, args))
        size = session.queued_size + ARGUMENT_OVERHEAD * len(args)
        for argument in args:
            size += len(argument)
        session.queued_size = size
        if size <= QUERY_BUFFER_LEAST or size <= self._config.client_query_buffer_limit:
            return QUEUED
        self._stats.query_limit_closes += 1
        self._log.warning("client closed: its transaction is over the query buffer limit", id=session.id)
        session.kill()
        return NO_REPLY

    def _unknown(self, args: list[bytes]) -> bytes:
        name = args[0].lower()
        outer = self._table.by_name.get(name)
        if outer is not None and outer.subcommands:
            return errors.unknown_subcommand(args)
        return errors.unknown_command(args)

    def _refusal(self, session: Session, command: Command, args: list[bytes]) -> bytes | None:
        """Return the error if this client may not execute this command now, or None if it may."""
        flags = session.flags
        needs = command.flags
        state = self._state
        if flags == IN_MULTI and not state.read_only:
            return errors.NOT_IN_MULTI if needs & NO_MULTI else None
        if flags & IN_MULTI and command.name == b"exec":
            # EXEC is refused whenever any of its commands would be.
            for queued, _ in session.queued or ():
                needs |= queued.flags & (DENYOOM | WRITE | NO_ASYNC_LOADING)
                needs &= queued.flags | ~(LOADING | STALE)
        if flags & UNAUTHENTICATED and not needs & NO_AUTH:
            return errors.NO_AUTH
        if flags & IN_MULTI and needs & NO_MULTI:
            return errors.NOT_IN_MULTI
        if flags & RESTRICTED:
            denied = denial(session, command, args, MULTI if flags & IN_MULTI else TOP_LEVEL)
            if denied is not None:
                return denied
        if state.out_of_memory and needs & DENYOOM and self._memory_refuses():
            return errors.OUT_OF_MEMORY
        if state.write_refusal and (needs & WRITE or command.name == b"ping"):
            return state.write_refusal
        if state.too_few_replicas and needs & WRITE:
            return errors.NO_REPLICAS
        if state.read_only and needs & WRITE:
            return errors.READ_ONLY_REPLICA
        if flags & SUBSCRIBED_RESP2 and not needs & IN_SUBSCRIBED_MODE:
            return errors.subscribed_mode(command.name)
        if state.stale and not needs & STALE:
            return errors.MASTER_DOWN
        if (state.loading and not needs & LOADING) or (state.async_loading and needs & NO_ASYNC_LOADING):
            return errors.LOADING
        if state.busy is not None and not needs & ALLOW_BUSY:
            return state.busy
        if flags & (MONITORING | REPLICA) and needs & (WRITE | READONLY | MAY_REPLICATE):
            return errors.NO_KEYSPACE
        return None

    def _may_write(self, session: Session, command: Command, args: list[bytes]) -> bool:
        """Whether a request may change keys or reach other clients; a script may have declared that it doesn't."""
        if not command.flags & (WRITE | MAY_REPLICATE):
            return False
        return command.reads_only is None or not command.reads_only(session, args)

    def _postpone(self, session: Session, command: Command, args: list[bytes]) -> bool:
        """Hold the client's request back if CLIENT PAUSE applies to it; returns whether it does."""
        if self._state.paused == "write":
            requests = (session.queued or ()) if command.name == b"exec" else ((command, args),)
            if not any(self._may_write(session, *request) for request in requests):
                return False
        if session.flags & REPLY_SKIP:
            session.flags ^= REPLY_SKIP_NEXT | REPLY_SKIP
        session.flags |= POSTPONED
        self._state.postponed.append(session)
        return True
