"""One client's logical state, without its socket.

The hot path looks at a single attribute, `flags`: while it is 0, the client's requests skip all the checks that only
some clients need (authentication, MULTI, subscribed mode, a paused broker, ...). Code that puts a client into such a
state sets the corresponding bit.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Protocol

from broker.acl.user import User
from broker.acl.users import Users
from broker.clients.tracking_state import TrackingState
from broker.clients.transport import Transport
from broker.clients.wait import Wait
from broker.keyspace.database import Database
from broker.keyspace.keyspace import Keyspace
from broker.process.clock import Clock
from broker.table.command import Command
from broker.type_variables import TypeVar
from protocol.replies import RESP2, Dialect

# Bits of `flags`: states in which a request takes the checked path...
UNAUTHENTICATED: Final = 1 << 0
IN_MULTI: Final = 1 << 1
SUBSCRIBED_RESP2: Final = 1 << 2
REPLY_OFF: Final = 1 << 3
REPLY_SKIP_NEXT: Final = 1 << 4
REPLY_SKIP: Final = 1 << 6
SUBSCRIBED_RESP3: Final = 1 << 7
"""Messages that the client's own request causes must follow the reply to it."""
BROKER_STATE: Final = 1 << 5
"""The broker as a whole is in a state in which it refuses or delays some requests (see `State.restrict`)."""
NO_TOUCH: Final = 1 << 11
"""The client's lookups do not count as accesses to the keys."""
RESTRICTED: Final = 1 << 13
"""The client's user may not do everything: each request is checked."""
MONITORING: Final = 1 << 15
"""The client is shown all requests, and may not use keys itself."""
TRACKING: Final = 1 << 14
"""What the client reads is tracked, or it receives invalidations: those that its own request causes must follow the
reply to it."""
# ... and those in which the client's next request must not be executed yet, or ever.
BLOCKED: Final = 1 << 8
POSTPONED: Final = 1 << 9
CLOSING: Final = 1 << 10
HELD: Final = 1 << 12
"""The client's replies are held until its writes are on the disk."""
REPLICA: Final = 1 << 16
"""The client gets an RDB file, and has the output limits of replicas. (Of the states on the checked path.)"""
MASTER: Final = 1 << 17
"""Not a client but the link to the master, whose commands are executed here. (Never on the dispatcher's paths.)"""
STOPPED: Final = BLOCKED | POSTPONED | CLOSING | HELD


class Subscriptions(Protocol):
    """What a session needs from the broker's pub/sub."""

    def unsubscribe_all(self, session: Session) -> None:
        """Forget all subscriptions of a client that is disconnecting."""


class Host(Protocol):
    """What a session needs from the broker it is a client of."""

    @property
    def keyspace(self) -> Keyspace:
        """The databases; a new session starts in the first."""

    @property
    def clock(self) -> Clock:
        """The current time, in wall milliseconds."""

    @property
    def pubsub(self) -> Subscriptions:
        """The channels that the client may have subscribed to."""

    @property
    def users(self) -> Users:
        """The users that clients can log in as."""

    @property
    def outbox(self) -> list[Session]:
        """The sessions with queued output for the tick to send."""

    def session_flags(self) -> int:
        """The flags that a new session starts with."""


HostT = TypeVar("HostT", bound=Host, default=Host, covariant=True)


class Session(Generic[HostT]):
    """A client: its user, database, protocol version, transaction, subscriptions and name.

    `authenticated` says that it has logged in, or connected while that was not required.

    `replies` collects what the tick sends to the client: the dispatcher appends the replies to its own requests, and
    everything else goes through `send`, to `out`. That is the same list, except while a request is executed whose own
    messages must follow its reply.
    `queued` holds the transaction's commands, None outside one; `queued_size` is roughly the memory they take in bytes.
    `commands`, `bytes_in`, `bytes_out`, `reads`, `pipelines` (reads that completed requests) and `parsed` (the requests
    in these) are counters for CLIENT LIST; `received` is the size of the last read, and `bytes_executed` is what
    `bytes_in` was when all requests had been executed.
    `last_write_position` is Effects.position after the client's last write, 0 before its first: once the journal has
    reached it, everything the client has been told is on the disk.
    `watched` maps watched keys to whether they had already expired then and existed only because expiry was suspended.
    `import_source` says that the client copies another server's data, and sees keys that are due (import-mode).
    `is_script` is true for the session that scripts make their calls in.
    `tracking` holds the options of CLIENT TRACKING while it is on.
    `last_read` is the client's last XREADGROUP with its parsed options: workers repeat the same call word for word.
    """

    __slots__ = (
        "authenticated",
        "broker",
        "bytes_executed",
        "bytes_in",
        "bytes_out",
        "channels",
        "commands",
        "created",
        "db",
        "deny_blocking",
        "flags",
        "id",
        "import_source",
        "in_outbox",
        "is_script",
        "last_active",
        "last_command",
        "last_read",
        "last_write_position",
        "lib_name",
        "lib_ver",
        "name",
        "no_evict",
        "no_touch",
        "out",
        "parsed",
        "patterns",
        "pipelines",
        "queue_broken",
        "queued",
        "queued_size",
        "reads",
        "received",
        "replies",
        "resp",
        "shard_channels",
        "tracking",
        "transport",
        "user",
        "waiting",
        "watch_broken",
        "watched",
    )  # fmt: skip

    def __init__(self, broker: HostT, session_id: int, transport: Transport) -> None:
        self.broker = broker
        self.id = session_id
        self.transport = transport
        self.db: Database = broker.keyspace.databases[0]
        self.resp: Dialect = RESP2
        self.flags = broker.session_flags()
        self.user: User = broker.users.default
        self.authenticated = not self.flags & UNAUTHENTICATED
        self.replies: list[bytes] = []
        self.out = self.replies
        self.in_outbox = False
        self.commands = 0
        self.bytes_in = 0
        self.bytes_executed = 0
        self.bytes_out = 0
        self.reads = 0
        self.pipelines = 0
        self.parsed = 0
        self.received = 0
        self.name = b""
        self.lib_name = b""
        self.lib_ver = b""
        self.created = self.last_active = broker.clock.now
        self.last_command: Command | None = None
        self.last_read: tuple[list[bytes], tuple[Any, ...]] | None = None
        self.queued: list[tuple[Command, list[bytes]]] | None = None
        self.queued_size = 0
        self.queue_broken = False
        self.watched: dict[tuple[Database, bytes], bool] = {}
        self.watch_broken = False
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.tracking: TrackingState | None = None
        self.waiting: Wait | None = None
        self.deny_blocking = False
        self.is_script = False
        self.no_evict = False
        self.no_touch = False
        self.import_source = False
        self.last_write_position = 0

    @property
    def user_name(self) -> bytes:
        """The name of the client's user."""
        return self.user.name

    def become_user(self, user: User, authenticated: bool) -> None:
        """Act as this user from now on."""
        self.user = user
        self.authenticated = authenticated
        self.update_rights()

    def update_rights(self) -> None:
        """Bring the flags up to date after the client's user or the need to log in has changed."""
        flags = self.flags & ~(UNAUTHENTICATED | RESTRICTED)
        if not self.user.has_all_rights:
            flags |= RESTRICTED
        if not self.authenticated and self.broker.users.login_required():
            flags |= UNAUTHENTICATED
        differs = (flags ^ self.flags) & UNAUTHENTICATED
        self.flags = flags
        if differs:
            self.transport.limits_changed()

    def send(self, data: bytes) -> None:
        """Queue bytes other than the reply to the request being executed."""
        if self.flags & (REPLY_OFF | CLOSING):
            return
        self.out.append(data)
        if not self.in_outbox:
            self.in_outbox = True
            self.broker.outbox.append(self)

    def push(self, data: bytes) -> None:
        """Queue an out-of-band message, which is sent even if replies are off."""
        if self.flags & CLOSING:
            return
        self.out.append(data)
        if not self.in_outbox:
            self.in_outbox = True
            self.broker.outbox.append(self)

    def unsent(self) -> list[bytes]:
        """What waits to be sent at the end of the tick, in order: replies and messages."""
        return self.replies if self.out is self.replies else self.replies + self.out

    def block(self, wait: Wait) -> None:
        """Put the client into a wait, during which none of its requests is executed."""
        self.waiting = wait
        self.flags |= BLOCKED

    def unblock(self) -> None:
        """End the client's wait."""
        if self.tracking is not None:
            self.tracking.caching = False
        self.waiting = None
        self.flags &= ~BLOCKED

    def unwatch(self) -> None:
        """Stop watching any keys."""
        self.watch_broken = False
        if not self.watched:
            return
        for database, key in self.watched:
            watchers = database.watchers[key]
            watchers.discard(self)
            if not watchers:
                del database.watchers[key]
        self.watched.clear()

    def discard(self) -> None:
        """End the client's transaction, if any, and unwatch its keys (DISCARD, RESET, EXEC)."""
        self.queued = None
        self.queued_size = 0
        self.queue_broken = False
        self.flags &= ~IN_MULTI
        self.unwatch()

    def set_no_touch(self, on: bool) -> None:
        """CLIENT NO-TOUCH."""
        self.no_touch = on
        self.flags = self.flags | NO_TOUCH if on else self.flags & ~NO_TOUCH

    def subscriptions(self) -> int:
        """The number of channels and patterns subscribed to, excluding shard channels."""
        return len(self.channels) + len(self.patterns)

    def close(self) -> None:
        """Close the connection once the replies queued so far have been sent."""
        self.flags |= CLOSING
        self.broker.pubsub.unsubscribe_all(self)
        self.transport.close_soon()

    def kill(self) -> None:
        """Close the connection without sending anything more."""
        self.flags |= CLOSING
        self.broker.pubsub.unsubscribe_all(self)
        self.transport.abort()
