"""All databases of a broker: their shared state, and the expiry of their keys before each tick."""

from __future__ import annotations

from collections.abc import Callable

from broker.config import Config
from broker.config.syntaxes import INVALID_EVENT_CLASS
from broker.keyspace.access import Access
from broker.keyspace.database import SharedState, Value, unchecked
from broker.keyspace.databases import Databases
from broker.keyspace.events import KEYEVENT, KEYSPACE, NOT_EVENTS, POLICY, SUBKEYS, Notifier, parse_flags
from broker.keyspace.expiry import EXPIRE_BATCH, checked, expire, remove_due, visible
from broker.keyspace.expiry_timer import ExpiryTimer
from broker.keyspace.importing import forget_copies, imported
from broker.process.clock import Clock
from broker.process.timers import Deadlines
from broker.values.deadline_queue import NEVER


class Keyspace(SharedState):
    """All databases of a broker, and when their keys expire.

    With `active_expiry`, expired keys are removed even if they are never looked up. While `suspended`, nothing expires;
    once something is due, `hiding` says that it is kept but hidden from lookups. While `importing` nothing expires
    either, and what is due is hidden from some clients only (see broker.keyspace.importing). While `revealing`, nothing
    is hidden. `expiry_batches_full` counts the batches that left expired keys for the next one, and `expiry_seconds` is
    the time that all batches have taken.
    """

    __slots__ = (
        "_extensions",
        "access",
        "active_expiry",
        "databases",
        "expiry_batches_full",
        "expiry_seconds",
        "hiding",
        "importing",
        "revealing",
        "suspended",
        "timer",
    )

    def __init__(
        self, clock: Clock, config: Config, timers: Deadlines, notifier: Notifier, release: Callable[[Value], None]
    ) -> None:
        self.timer = ExpiryTimer(timers, clock, lambda: self.next_deadline)
        super().__init__(clock, notifier, release, self.timer.moved)
        self.active_expiry = True
        self.expiry_batches_full = 0
        self.expiry_seconds = 0.0
        self.suspended = False
        self.hiding = False
        self.importing = False
        self.revealing = False
        self.databases = Databases(self, config.databases)
        self.access = Access(self, self.databases, config)
        self.databases[0]  # always exists, since clients start in it
        self._extensions = config.stream_extensions
        self.choose_events(config.notify_keyspace_events)
        config.on_change("notify-keyspace-events", self.choose_events)

    def choose_events(self, letters: str) -> None:
        """Send the events selected by these letters of notify-keyspace-events; none if no channel is selected.

        Raises ValueError for those of policies if there are none (stream-extensions).
        """
        mask = parse_flags(letters.encode()) or 0
        if mask & POLICY and not self._extensions:
            raise ValueError(INVALID_EVENT_CLASS)
        if not mask & (KEYSPACE | KEYEVENT | SUBKEYS):
            mask = 0
        self.event_mask = mask | self.event_mask & NOT_EVENTS

    def count_changes(self) -> None:
        """Add `dirty` to `changes`."""
        self.changes += self.dirty
        self.dirty = 0

    def expire_due(self) -> None:
        """Remove a bounded number of expired keys; called before a tick when `next_deadline` has passed.

        While expiry is suspended, hide them from now on instead.
        """
        if self.suspended:
            self.next_deadline = NEVER
            self.hiding = True
            self._bind(overdue=True)
            return
        now = self.clock.now
        left = EXPIRE_BATCH
        if self.active_expiry:
            began = self.clock.stopwatch()
            for database in self.databases:
                if left > 0 and database.deadlines.next_deadline() < now:
                    left -= remove_due(database, now, left)
            self.effects.flush(0, None)
            if left <= 0:
                self.expiry_batches_full += 1
            self.expiry_seconds += self.clock.stopwatch() - began
        self.next_deadline = min(database.deadlines.next_deadline() for database in self.databases)
        self._set_overdue(self.next_deadline < now)
        if not self.active_expiry:
            self.next_deadline = NEVER

    def collect_writes(self, on: bool) -> None:
        """Keep in mind what clients write on a replica that takes writes, or no longer."""
        if on != (self.written_here is not None):
            self.written_here = {} if on else None

    def expire_written_here(self) -> None:
        """Remove keys that clients have written on a replica and that have expired; called once a second."""
        places = self.written_here
        if not places:
            return
        for index, key in list(places):
            database = self.databases[index]
            deadline = database.expires.get(key)
            if deadline is not None and deadline >= self.clock.now:
                continue
            del places[(index, key)]
            if deadline is not None:
                expire(database, key)
        self.effects.flush(0, None)

    def set_active_expiry(self, on: bool) -> None:
        """Switch the removal of expired keys that are not looked up on or off (DEBUG SET-ACTIVE-EXPIRE)."""
        self.active_expiry = on
        if self.suspended:
            return
        if on:
            self._find_next_deadline()
        else:
            self.next_deadline = NEVER
        self._set_overdue(not on)

    def suspend_expiry(self, on: bool, importing: bool = False) -> None:
        """Suspend or resume expiry (CLIENT PAUSE, import-mode): expired keys and fields are kept, but hidden.

        During a pause they are hidden only from the next tick that finds some expired, because commands later in the
        same tick or transaction may still write, and time stands still for them.
        """
        if on == self.suspended and importing == self.importing:
            return
        self.suspended = on
        self.importing = importing
        self.everything_visible = False
        if on:
            if importing or self.hiding:
                self.hiding = True
                self._bind(overdue=True)
            elif not self.active_expiry:
                self.next_deadline = self.clock.now
        else:
            self.hiding = False
            forget_copies(self)
            self._find_next_deadline()
            self._bind(overdue=self.next_deadline < self.clock.now or not self.active_expiry)
            if not self.active_expiry:
                self.next_deadline = NEVER

    def reveal(self, on: bool) -> None:
        """Let lookups find what is due while a master's commands are executed, and then hide it again.

        The master decides what has expired: where these commands were executed first, it had not.
        """
        if on:
            if self.hiding or self.overdue:
                self.revealing = True
                self._bind(overdue=False)
        elif self.revealing:
            self.revealing = False
            forget_copies(self)
            self._bind(overdue=True)

    def _find_next_deadline(self) -> None:
        self.next_deadline = min(database.deadlines.next_deadline() for database in self.databases)
        self.deadline_moved()

    def _set_overdue(self, overdue: bool) -> None:
        overdue = overdue or not self.active_expiry
        if overdue != self.overdue:
            self._bind(overdue)

    def _bind(self, overdue: bool) -> None:
        self.overdue = overdue
        if self.revealing:
            self.lookup = unchecked
        elif self.importing:
            self.lookup = imported
        else:
            self.lookup = visible if self.hiding else checked if overdue else unchecked
        for database in self.databases:
            database.bind()
