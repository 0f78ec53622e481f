"""The migrations under way.

Redis serves nobody while it talks to the target. Here only the client that asked waits, so others may change the keys
meanwhile. What is sent are the values at the moment of the command. Once the target has acknowledged a key, it is
removed here unless it has changed since: then it stays, and the client gets an error, because the target has the old
value and removing the key would lose a write that was acknowledged. A key that was removed or has expired in the
meantime stays removed: it is as if that had happened after the migration.

A key is part of one migration at a time: a second client that wants to move it waits for the outcome of the first, or
the key could end up on two servers. Where no client may wait, in transactions and scripts, the whole broker does, for
at most the timeout at each step, as in Redis.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.rdb.dump_payload import dump
from broker.keyspace.events import DEL
from broker.migration.exchange import Outcome, Transfer, transfer
from broker.migration.links import IdleLinks, TrioLink, open_blocking_link, open_link, run_now
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, OK, bulks, simple

if TYPE_CHECKING:
    from broker.clients.blocking import Blocking
    from broker.clients.session import Session
    from broker.config import Config
    from broker.execution.executor import Executor
    from broker.keyspace.database import Database
    from broker.keyspace.keyspace import Keyspace
    from broker.migration.links import Address, Opener
    from broker.process.log import Log
    from broker.process.timers import Deadlines
    from broker.table.command import Handler
    from broker.tls.contexts import TlsContexts

NO_KEY: Final = simple(b"NOKEY")

UNDER_WAY: Final = b"TRYAGAIN Another client is migrating one of the keys"
"""In a transaction or a script, which can't wait for the other client's outcome."""

_PAUSE_MS: Final = 20
"""While clients are paused, the keys must not change; the end of the pause is noticed after this time."""


@dataclass(frozen=True, slots=True)
class Request:
    """A MIGRATE command: `timeout` in seconds, and AUTH's arguments, [] without one."""

    address: Address
    keys: list[bytes]
    database: int
    timeout: float
    copy: bool
    replace: bool
    credentials: list[bytes]


class _Key:
    """A key that is being sent, and whether it has changed since."""

    __slots__ = ("name", "watch_broken")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.watch_broken = False


class _Migration:
    """One command under way; `database` is the one with the keys here."""

    def __init__(self, session: Session, args: list[bytes], database: Database, keys: list[_Key], copy: bool) -> None:
        self.session = session
        self.args = args
        self.database = database
        self.keys = keys
        self.copy = copy

    def watch(self) -> None:
        """Begin to note changes of the keys."""
        for key in self.keys:
            self.database.watchers.setdefault(key.name, set()).add(key)

    def unwatch(self) -> None:
        for key in self.keys:
            watchers = self.database.watchers[key.name]
            watchers.discard(key)
            if not watchers:
                del self.database.watchers[key.name]


class Migrations:
    """All migrations of a broker; `idle` are the connections kept for further ones."""

    def __init__(
        self,
        config: Config,
        log: Log,
        keyspace: Keyspace,
        blocking: Blocking,
        executor: Executor,
        deadlines: Deadlines,
        tls_contexts: TlsContexts,
        connect: Opener = open_link,
    ) -> None:
        self._config = config
        self._log = log
        self._keyspace = keyspace
        self._blocking = blocking
        self._executor = executor
        self._deadlines = deadlines
        self._tls_contexts = tls_contexts
        self._connect = connect
        self._moving: set[tuple[Database, bytes]] = set()
        self._queued: dict[Session, None] = {}
        self.idle = IdleLinks(deadlines)
        # What was let in under other rules is not used again.
        for name in ("tls-cluster", "tls-expected-peer-name"):
            config.on_change(name, lambda _: self.idle.close())
        self._send, self._receive = trio.open_memory_channel[tuple[_Migration, Transfer]](2**20)

    def start(self, session: Session, handler: Handler, args: list[bytes], request: Request) -> bytes:
        """Begin a client's migration, and return the reply if it can be given at once.

        `handler` is called again if the client must first wait for another migration. Raises CommandError.
        """
        database = session.db
        found = {name: value for name in request.keys if (value := database.read(name)) is not None}
        if not found:
            return NO_KEY
        if not request.copy and any((database, name) in self._moving for name in found):
            if session.deny_blocking:
                raise CommandError(UNDER_WAY)
            self._queued[session] = None
            return self._wait(session, handler, args)
        plan = Transfer(request.address, self._encryption(), request.timeout, request.database, request.credentials, [])
        end = [b"REPLACE"] if request.replace else []
        for name, value in found.items():
            deadline = database.deadline(name)
            ttl = max(deadline - self._keyspace.clock.now, 1) if deadline is not None else 0
            plan.restores.append(bulks([b"RESTORE", name, b"%d" % ttl, dump(value, self._config), *end]))
        migration = _Migration(session, args, database, list(map(_Key, found)), request.copy)
        if session.deny_blocking:
            outcome, link = run_now(transfer(plan, None, open_blocking_link))
            if link is not None:
                link.close()
            return self._settle(migration, outcome)
        if not request.copy:
            self._moving |= {(database, name) for name in found}
            migration.watch()
        self._send.send_nowait((migration, plan))
        return self._wait(session, handler, args)

    def _encryption(self) -> ssl.SSLContext | None:
        """Connections to targets are encrypted with tls-cluster, as in Redis, for which they belong to its cluster."""
        return self._tls_contexts.client if self._config.tls_cluster else None

    def _wait(self, session: Session, handler: Handler, args: list[bytes]) -> bytes:
        # Without a reply for a timeout: CLIENT UNBLOCK can't undo what has been sent.
        return self._blocking.wait(
            session, handler, args, keys=(), value_type=None, timeout_ms=0, timeout_reply=NO_REPLY
        )

    async def run(self) -> None:
        """Talk to the targets until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    nursery.start_soon(self._run, *await self._receive.receive())
        finally:
            self.idle.close()

    async def _run(self, migration: _Migration, plan: Transfer) -> None:
        try:
            link = self.idle.take(plan.address, plan.timeout)
            outcome, left = await transfer(plan, link, self._connect)
            if isinstance(left, TrioLink):
                self.idle.keep(plan.address, left)
            elif left is not None:
                left.close()
        except Exception as defect:
            self._log.failure("a migration failed unexpectedly", defect)
            outcome = Outcome(error=b"ERR internal error")
        self._deadlines.after(0, lambda: self._end(migration, outcome))

    def _end(self, migration: _Migration, outcome: Outcome) -> None:
        """Remove the keys and answer the client, if it is still there; within a tick."""
        if self._blocking.suspended:
            self._deadlines.after(_PAUSE_MS, lambda: self._end(migration, outcome))
            return
        session = migration.session
        reply = self._executor.run_again(session, lambda *_: self._settle(migration, outcome), migration.args)
        if session.waiting is not None:
            self._blocking.finish(session, reply)
        self._blocking.serve()
        if not migration.copy:
            self._moving -= {(migration.database, key.name) for key in migration.keys}
            queued, self._queued = self._queued, {}
            for other in queued:
                self._blocking.retry(other)

    def _settle(self, migration: _Migration, outcome: Outcome) -> bytes:
        """Remove what the target has acknowledged, and return the reply. Raises CommandError."""
        changed = 0
        if not migration.copy:
            changed = self._remove_acknowledged(migration, outcome.acknowledged)
        if outcome.error:
            raise CommandError(outcome.error)
        if changed:
            raise CommandError(
                b"ERR %d of the keys changed while being migrated: the target has the old values, and the keys remain"
                b" here" % changed
            )
        return OK

    def _remove_acknowledged(self, migration: _Migration, acknowledged: list[bool]) -> int:
        """Remove the keys that the target has; returns how many stay because they have changed."""
        database = migration.database
        changed = 0
        removed = []
        for key, done in zip(migration.keys, acknowledged, strict=False):
            if not done or database.get_untouched(key.name) is None:
                continue
            if key.watch_broken:
                changed += 1
            else:
                removed.append(key.name)
        if not migration.session.deny_blocking:
            migration.unwatch()
        if removed:
            self._keyspace.effects.replace_with([b"DEL", *removed])
        for name in removed:
            database.delete(name)
            database.changed(name, DEL)
        return changed
