"""Clients that wait for keys.

A blocking command that finds nothing registers a `Wait` and returns no reply. When one of its keys changes, the
command function is simply executed again, in the same tick, and either replies (the wait is over) or registers again
(the client keeps its place in the queue). So the blocking form of a command can't drift from its plain form.

Clients are served in order of arrival per key. One that has disconnected is closed before any request of a tick is
executed (see broker.network.tick), so an element is never popped for it. Commands don't block inside transactions and
scripts: they reply as if they had timed out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from broker.clients.session import CLOSING, REPLY_SKIP, RESTRICTED, Session
from broker.clients.wait import Wait
from broker.keyspace.database import Database
from broker.keyspace.keyspace import Keyspace
from broker.process.timers import Deadlines
from broker.table.command import Handler
from protocol.replies import NO_REPLY

FOREVER = 0


class Blocking:
    """All waiting clients of a broker.

    While `suspended` (the broker is paused), none of them is served.
    """

    def __init__(
        self,
        keyspace: Keyspace,
        deadlines: Deadlines,
        execute: Callable[[Session, Handler, list[bytes]], bytes],
        resume: Callable[[Session], None],
        answered: Callable[[Session, Wait, bytes], None],
        refuse: Callable[[Session, list[bytes]], bytes],
    ) -> None:
        """`execute` runs a command function for a session and returns its reply or error reply.

        `answered` counts the command of a client whose wait is over. `refuse` returns the error reply if the client's
        user may no longer execute its command, else b"". `resume` is called at the end of a wait, once the reply is
        queued: the client's next requests may be executed.
        """
        self._keyspace = keyspace
        self._deadlines = deadlines
        self._execute = execute
        self._resume = resume
        self._answered = answered
        self._refuse = refuse
        self.suspended = False
        # The number of clients that wait for any change of a key, including its removal.
        self._any_change: dict[tuple[Database, bytes], int] = {}
        self.sessions: dict[Session, None] = {}

    def wait(
        self,
        session: Session,
        handler: Handler,
        args: list[bytes],
        *,
        keys: Sequence[bytes],
        value_type: type[Any] | None,
        timeout_ms: int,
        timeout_reply: bytes,
        retry_ms: int = 0,
    ) -> bytes:
        """Make the client wait for one of `keys` in its database; the command must return what this returns.

        `timeout_ms` counts from now; FOREVER (0) means no timeout. `retry_ms`, if not 0, executes the command again
        after that time even if no key has changed. `args` are passed to `handler` again, and may differ from the
        client's own (`$` replaced by an ID).
        """
        waiting = session.waiting
        if waiting is not None:
            waiting.args = args
            waiting.timeout_reply = timeout_reply
            if retry_ms or waiting.retry is not None:
                self._set_retry(session, waiting, retry_ms)
            return NO_REPLY
        if session.deny_blocking:
            return timeout_reply
        database = session.db
        distinct = list(keys) if len(keys) == 1 else list(dict.fromkeys(keys))
        wait = Wait(handler, args, database, distinct, value_type, timeout_reply)
        waiters = database.waiters
        for key in distinct:
            sessions = waiters.get(key)
            if sessions is None:
                waiters[key] = {session: None}
            else:
                sessions[session] = None
        session.block(wait)
        if value_type is None:
            for key in distinct:
                self._any_change[(database, key)] = self._any_change.get((database, key), 0) + 1
        self.sessions[session] = None
        # Timers are set in functions of their own: compiled, one with a lambda prepares for it whenever it is called.
        if timeout_ms:
            self._set_timeout(session, wait, timeout_ms)
        if retry_ms:
            self._set_retry(session, wait, retry_ms)
        return NO_REPLY

    def _set_timeout(self, session: Session, wait: Wait, timeout_ms: int) -> None:
        wait.timeout = self._deadlines.after(timeout_ms, lambda: self.finish(session, wait.timeout_reply))

    def _set_retry(self, session: Session, wait: Wait, retry_ms: int) -> None:
        if wait.retry is not None:
            wait.retry.cancel()
        wait.retry = self._deadlines.after(retry_ms, lambda: self._try(session, wait)) if retry_ms else None

    def serve(self) -> None:
        """Serve the clients waiting for keys that have become ready; serving them may make further keys ready."""
        if self.suspended:
            return
        ready = self._keyspace.ready
        while ready:
            place = next(iter(ready))
            del ready[place]
            database, key = place
            waiters = database.waiters.get(key)
            if waiters is not None:
                self._serve_key(database, key, waiters)

    def _serve_key(self, database: Database, key: bytes, waiters: dict[Session, None]) -> None:
        # The first in line usually takes all there is, and then nothing more is needed.
        first = None
        value = database.get(key)
        while waiters and value is not None:
            session = next(iter(waiters))
            wait = session.waiting
            if wait is None or type(value) is not wait.value_type:
                break
            self._try(session, wait)
            value = database.get(key)
            if session in waiters:
                first = session
                break
        if not waiters:
            return
        if value is not None or (self._any_change and (database, key) in self._any_change):
            self._serve_all(database, key, waiters, first)
        else:
            # What was served has changed the key, but there is nothing left of it to offer.
            self._keyspace.ready.pop((database, key), None)

    def _serve_all(self, database: Database, key: bytes, waiters: dict[Session, None], tried: Session | None) -> None:
        """Offer the key to every client waiting for it; those for which it is not enough stay in the queue."""
        for session in list(waiters):
            wait = session.waiting
            if wait is None or session not in waiters or session is tried:
                continue
            if wait.value_type is None or database.get(key).__class__ is wait.value_type:
                self._try(session, wait)

    def _try(self, session: Session, wait: Wait) -> None:
        if session.waiting is not wait or session.flags & CLOSING:
            return
        if session.flags & RESTRICTED and wait.keys:
            denied = self._refuse(session, wait.args)
            if denied:
                # The key that it waited for is no longer its business: the element stays for others.
                self.finish(session, denied, refused=True)
                return
        reply = self._execute(session, wait.handler, wait.args)
        if reply:
            self.finish(session, reply)

    def retry(self, session: Session) -> None:
        """Execute a waiting client's command again for a reason other than a changed key."""
        if session.waiting is not None:
            self._try(session, session.waiting)

    def finish(self, session: Session, reply: bytes, refused: bool = False) -> None:
        """End a client's wait with the given reply; a command that was refused in the end does not count as called."""
        wait = session.waiting
        self.cancel(session)
        if wait is not None and not refused:
            self._answered(session, wait, reply)
        session.commands += 1
        session.last_active = self._keyspace.clock.now  # the directive `timeout` counts from here
        if session.flags & REPLY_SKIP:
            session.flags &= ~REPLY_SKIP
        else:
            session.send(reply)
        self._resume(session)

    def cancel(self, session: Session) -> None:
        """Forget a client's wait, because it was answered or has disconnected."""
        wait = session.waiting
        if wait is None:
            return
        session.unblock()
        del self.sessions[session]
        if wait.ended is not None:
            wait.ended(session)
        if wait.value_type is None:
            for key in wait.keys:
                place = (wait.database, key)
                self._any_change[place] -= 1
                if not self._any_change[place]:
                    del self._any_change[place]
        if wait.timeout is not None:
            wait.timeout.cancel()
        if wait.retry is not None:
            wait.retry.cancel()
        waiters = wait.database.waiters
        for key in wait.keys:
            sessions = waiters[key]
            del sessions[session]
            if not sessions:
                del waiters[key]

    def wake_all(self, database: Database) -> None:
        """Mark every key that a client waits for in `database` as ready: any may have changed (FLUSHDB, SWAPDB)."""
        for key in database.waiters:
            self._keyspace.ready[(database, key)] = None
