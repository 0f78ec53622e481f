"""Server-assisted client-side caching: which clients may hold which keys in their caches, and what they are told.

The table maps each key that a tracking client has read to those clients, by name only: like Redis's, it covers all
databases. A change takes the key out of it and sends an `invalidate` message to the clients that had read it. Clients
that have disconnected or switched tracking off stay in the table until then, so neither costs more than O(1).

Broadcasting clients read nothing into the table: the changed keys with their prefixes are collected and sent once per
tick, behind the replies.

While nobody tracks, a change costs nothing (CHANGE_TRACKED is a bit of the event mask), and neither does a read: only
for a session with the flag TRACKING does the dispatcher set `current`, which makes the executor report reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from broker.clients.session import BLOCKED, POSTPONED, TRACKING, Session
from broker.clients.tracking_state import TrackingState
from broker.config import Config
from broker.keyspace.database import SharedState
from broker.keyspace.events import CHANGE_TRACKED
from broker.table.command import PUBSUB, Command
from broker.values.positions import random_key
from protocol.replies import RESP2, RESP3, array_header, bulk, bulks, integer

CHANNEL: Final = b"__redis__:invalidate"
"""Where RESP2 clients receive the messages of those that redirect to them."""

FORGOTTEN_AT_ONCE: Final = 1000
"""Keys that are forgotten at once where the table has too many: about 2 ms of work."""

_PUSH: Final = RESP3.push_header(2) + bulk(b"invalidate")
_MESSAGE: Final = RESP2.push_header(3) + bulk(b"message") + bulk(CHANNEL)
_BROKEN: Final = RESP3.push_header(2) + bulk(b"tracking-redir-broken")
_ONE_KEY: Final = array_header(1)

_READ_BY_CALLS: Final = frozenset((b"eval_ro", b"evalsha_ro", b"fcall_ro"))
"""Commands that read nothing themselves: what their scripts call counts."""

_SEVERAL_KEYS: Final = 0


class Tracking:
    """The tracking table of a broker and its broadcasting clients.

    `current` is the client whose request is being executed, if it tracks or receives the messages of one that does.
    `clients` is the number of tracking clients, `items` that of clients in the table, over all keys. `announcing` says
    that there are changes to broadcast at the end of the tick.
    """

    __slots__ = (
        "_audiences", "_changed", "_find_command", "_in_script", "_key_positions", "_keys", "_later", "_lengths",
        "_max_keys", "_pending", "_redirected", "_sessions", "_shared", "_shrinking", "announcing", "clients",
        "current", "items",
    )  # fmt: skip

    def __init__(
        self,
        shared: SharedState,
        sessions: Mapping[int, Session],
        config: Config,
        find_command: Callable[[list[bytes]], Command | None],
        later: Callable[[Callable[[], None]], object],
        in_script: Callable[[], bool],
    ) -> None:
        """`sessions` are all open ones by ID; `find_command` returns what a request's arguments begin with;
        `later(action)` calls an action after everything else has had a turn; `in_script` returns whether a script is
        running."""
        self._shared = shared
        self._sessions = sessions
        self._find_command = find_command
        self._later = later
        self._in_script = in_script
        self.current: Session | None = None
        self.clients = 0
        self.items = 0
        self.announcing = False
        # A key's only reader, or a set of them: IDs.
        self._keys: dict[bytes, Any] = {}
        self._key_positions: dict[bytes, int] = {}
        # Messages that the current clients' own requests have caused: (client, its options, keys; None for all keys).
        self._pending: list[tuple[Session, TrackingState, bytes | None]] = []
        self._audiences: dict[bytes, dict[Session, None]] = {}
        self._lengths: dict[int, int] = {}
        # By prefix, the keys that have changed, and who changed them, where that is a tracking client.
        self._changed: dict[bytes, dict[bytes, Session | None]] = {}
        self._redirected: dict[int, int] = {}
        self._shrinking = False
        self._max_keys = 0
        self._limit(config.tracking_table_max_keys)
        config.on_change("tracking-table-max-keys", self._limit)
        shared.tracker = self

    @property
    def keys(self) -> int:
        """The number of keys in the table."""
        return len(self._keys)

    @property
    def prefixes(self) -> int:
        """The number of prefixes that clients are told about."""
        return len(self._audiences)

    # Switching on and off

    def enable(
        self, session: Session, *, redirect: int, broadcast: bool, opt_in: bool, opt_out: bool, no_loop: bool
    ) -> TrackingState:
        """Switch a client's tracking on, or change its options; the caller has checked them. Prefixes are kept."""
        state = session.tracking
        if state is None:
            state = session.tracking = TrackingState(session.id)
            self.clients += 1
            self._shared.event_mask |= CHANGE_TRACKED
        self._stop_redirecting(state)
        state.redirect = redirect
        if redirect:
            self._redirected[redirect] = self._redirected.get(redirect, 0) + 1
            self._sessions[redirect].flags |= TRACKING  # its replies must precede the messages, too
        state.broken = False
        state.broadcast = broadcast
        state.opt_in = opt_in
        state.opt_out = opt_out
        state.no_loop = no_loop
        session.flags |= TRACKING
        self.current = session
        return state

    def add_prefix(self, session: Session, state: TrackingState, prefix: bytes) -> None:
        """Tell a broadcasting client about keys with this prefix from now on."""
        if prefix in state.prefixes:
            return
        state.prefixes[prefix] = None
        audience = self._audiences.get(prefix)
        if audience is None:
            audience = self._audiences[prefix] = {}
            self._lengths[len(prefix)] = self._lengths.get(len(prefix), 0) + 1
        audience[session] = None

    def disable(self, session: Session) -> None:
        """Switch a client's tracking off (also: RESET, or it has disconnected). What it has read stays in the table."""
        state = session.tracking
        if state is None:
            return
        session.tracking = None
        self.clients -= 1
        for prefix in state.prefixes:
            audience = self._audiences[prefix]
            del audience[session]
            if not audience:
                del self._audiences[prefix]
                self._changed.pop(prefix, None)
                length = len(prefix)
                self._lengths[length] -= 1
                if not self._lengths[length]:
                    del self._lengths[length]
        self._stop_redirecting(state)
        if session.id not in self._redirected:
            session.flags &= ~TRACKING
        self._rest()

    def _stop_redirecting(self, state: TrackingState) -> None:
        """A client will no longer redirect to another. `redirect` is kept for what its last request has caused."""
        receiver = state.redirect
        if not receiver:
            return
        self._redirected[receiver] -= 1
        if self._redirected[receiver]:
            return
        del self._redirected[receiver]
        session = self._sessions.get(receiver)
        if session is not None and session.tracking is None:
            session.flags &= ~TRACKING

    def _rest(self) -> None:
        """Stop reporting changes if there are no tracking clients and no keys that any has read."""
        if not self.clients and not self._keys:
            self._shared.event_mask &= ~CHANGE_TRACKED

    # Reads

    def remember(self, command: Command, args: list[bytes]) -> None:
        """A command of the current client, or of its script, that only reads has been executed."""
        session = self.current
        if session is None:
            return
        state = session.tracking
        if state is None or state.broadcast:
            return
        if state.caching != state.opt_in and (state.opt_in or state.opt_out):
            return
        position = self._key_positions.get(command.name, -1)
        if position < 0:
            position = self._key_positions[command.name] = _key_position(command)
        if position != _SEVERAL_KEYS:
            self._add(args[position], state.client)
        elif not command.flags & PUBSUB and command.name not in _READ_BY_CALLS:
            for position in command.key_positions(args):
                self._add(args[position], state.client)

    def _add(self, key: bytes, client: object) -> None:
        readers = self._keys.get(key)
        if readers is None:
            self._keys[key] = client
            if len(self._keys) > self._max_keys > 0:
                self.items += 1
                self._forget(2)  # and not 1, for the case that the limit was lowered
                return
        elif readers is client:
            return
        elif readers.__class__ is set:
            if client in readers:
                return
            readers.add(client)
        elif readers == client:
            return
        else:
            self._keys[key] = {readers, client}
        self.items += 1

    # Changes

    def key_changed(self, key: bytes) -> None:
        """Tell the clients that have read a key that it has changed, and note it for those that are told of all."""
        if self._audiences:
            # In Redis, a script is a client of its own, to which NOLOOP does not apply.
            self._note(key, None if self._in_script() else self.current)
        if self._keys:
            self._tell_readers(key)

    def key_removed(self, key: bytes) -> None:
        """The same for a key that has expired or was evicted, for which no client counts as the one who did it."""
        if self._audiences:
            self._note(key, None)
        if self._keys:
            self._tell_readers(key)

    def _tell_readers(self, key: bytes) -> None:
        readers = self._keys.pop(key, None)
        if readers is not None:
            self._invalidate(key, readers, self.current)
            if not self.clients:
                self._rest()

    def _invalidate(self, key: bytes, readers: Any, current: Session | None) -> None:
        keys = _ONE_KEY + bulk(key)
        several = readers if readers.__class__ is set else (readers,)
        self.items -= len(several)
        for client in several:
            session = self._sessions.get(client)
            if session is None:
                continue
            state = session.tracking
            if state is None or state.broadcast:
                continue
            if session is not current:
                self._send(session, state, keys)
            elif not state.no_loop:
                self._pending.append((session, state, keys))

    def _note(self, key: bytes, changer: Session | None) -> None:
        audiences = self._audiences
        size = len(key)
        for length in self._lengths:
            if length <= size:
                prefix = key[:length]
                if prefix in audiences:
                    changed = self._changed.get(prefix)
                    if changed is None:
                        changed = self._changed[prefix] = {}
                        self.announcing = True
                    changed[key] = changer

    def flushed(self) -> None:
        """All keys of a database are gone: tell all tracking clients that nothing they hold is valid any more."""
        if self.clients:
            for session in self._sessions.values():
                state = session.tracking
                if state is None:
                    continue
                if session is self.current:
                    self._pending.append((session, state, None))
                else:
                    self._send(session, state, session.resp.null)
        if self._keys:
            self._shared.release(self._keys)
            self._keys = {}
            self.items = 0
            self._rest()

    # Messages

    def executed(self, session: Session, args: list[bytes]) -> None:
        """A request of the current client has been executed: send what it has caused, and end CLIENT CACHING."""
        if self._pending:
            self.send_pending(session)
        state = session.tracking
        if state is not None and state.caching:
            lasts = session.queued is not None or session.flags & (BLOCKED | POSTPONED)
            if not lasts and not _keeps_caching(self._find_command(args)):
                state.caching = False

    def send_pending(self, session: Session) -> None:
        """Send the messages that the request of this client has caused."""
        pending, self._pending = self._pending, []
        for message in pending:
            owner, state, keys = message
            if owner is session:
                self._send(session, state, session.resp.null if keys is None else keys)
            else:
                self._pending.append(message)

    def broadcast(self) -> None:
        """At the end of a tick, tell the broadcasting clients what has changed."""
        self.announcing = False
        all_changed, self._changed = self._changed, {}
        for prefix in sorted(all_changed):
            changed = all_changed[prefix]
            names = sorted(changed)
            for_all = bulks(names)
            for session in list(self._audiences.get(prefix, ())):
                state = session.tracking
                if state is None:
                    continue
                if not state.no_loop:
                    self._send(session, state, for_all)
                else:
                    others = [name for name in names if changed[name] is not session]
                    if others:
                        self._send(session, state, for_all if len(others) == len(names) else bulks(others))

    def _send(self, session: Session, state: TrackingState, keys: bytes) -> None:
        """Send encoded keys, or null, to a client, or to the one that it redirects to."""
        receiver: Session | None = session
        if state.redirect:
            receiver = self._sessions.get(state.redirect)
            if receiver is None:
                state.broken = True
                if session.resp is RESP3:
                    session.push(_BROKEN + integer(state.redirect))
                return
        assert receiver is not None
        if receiver.resp is RESP3:
            receiver.push(_PUSH + keys)
        elif state.redirect and (receiver.channels or receiver.patterns or receiver.shard_channels):
            receiver.push(_MESSAGE + keys)

    # The size of the table

    def _limit(self, keys: int) -> None:
        self._max_keys = keys
        self._shrink()

    def _shrink(self) -> None:
        """Forget keys until the table has no more than it may, a part at a time."""
        self._forget(FORGOTTEN_AT_ONCE)
        if len(self._keys) > self._max_keys > 0 and not self._shrinking:
            self._shrinking = True
            self._later(self._shrink_further)

    def _shrink_further(self) -> None:
        self._shrinking = False
        self._shrink()

    def _forget(self, count: int) -> None:
        """Forget up to `count` random keys, as if they had changed, while the table has more than it may."""
        keys = self._keys
        while count and len(keys) > self._max_keys > 0:
            count -= 1
            key = random_key(keys)
            # No client is current here: its own cache, too, holds a key that is no longer tracked.
            self._invalidate(key, keys.pop(key), None)


def _key_position(command: Command) -> int:
    """Where a command has its only key; _SEVERAL_KEYS where it may have more, or none."""
    specs = command.key_specs
    if command.find_keys is None and len(specs) == 1 and specs[0].is_plain_range and specs[0].last == 0:
        return specs[0].index
    return _SEVERAL_KEYS


def _keeps_caching(command: Command | None) -> bool:
    """Whether CLIENT CACHING still holds for what follows a command: other CLIENT commands come between."""
    return command is not None and command.name.startswith(b"client|") and command.name != b"client|setinfo"
