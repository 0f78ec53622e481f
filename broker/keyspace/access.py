"""When, or how often, keys were accessed: for OBJECT IDLETIME and FREQ, and for eviction by LRU, LFU and LRM.

Nothing is recorded until it is needed, that is, until maxmemory-policy needs it or a client asks for an idle time. Then
databases look keys up by a function of this module, which records it in `Database.last_access`, and a bit of the event
mask has them report what they store and change; while nothing is recorded, the test for events covers this, too. The
idle time of keys not looked up since counts from the last time that any key may have been accessed before, known to the
second from the number of hits and changes: the first answer is exact if the broker was idle, and too low if it was
busy.

What `last_access` holds depends on what is recorded: wall milliseconds of the last access (LRU) or of the last
change (LRM); or, for LFU, Redis's counter, whose low 8 bits grow ever more slowly with each access and decay over time,
and whose upper 16 bits are the minute in which they were last updated.
"""

from __future__ import annotations

from random import random
from typing import Final

from broker.config import Config
from broker.keyspace.database import Database, Lookup, SharedState, Value
from broker.keyspace.databases import Databases
from broker.keyspace.events import ACCESS_RECORDED, CHANGE_RECORDED, RECORDED

LRU: Final = "lru"
LFU: Final = "lfu"
LRM: Final = "lrm"

NEW_FREQUENCY: Final = 5
"""The counter of a new key, high enough that the key lives until it is accessed (Redis's LFU_INIT_VAL)."""

FREQUENCY_MAX: Final = 255

_MINUTES: Final = 0xFFFF

_MASKS: Final = {LRU: ACCESS_RECORDED, LFU: ACCESS_RECORDED, LRM: CHANGE_RECORDED}
"""What databases tell a recorder, by what it records."""


class Access:
    """Records accesses to the keys of a broker.

    `recorded` is "lru", "lfu", "lrm", or "" for nothing. While `suspended`, accesses are not recorded (CLIENT
    NO-TOUCH), but new keys are.
    """

    __slots__ = (
        "_accesses", "_config", "_databases", "_minute", "_policy", "_quiet_since", "_ready", "_requested", "_set_back",
        "_shared", "_since", "_stamps", "_unknown", "recorded", "suspended",
    )  # fmt: skip

    def __init__(self, shared: SharedState, databases: Databases, config: Config) -> None:
        self._shared = shared
        self._databases = databases
        self._config = config
        self._requested = False
        self._since = self._quiet_since = shared.clock.now
        self._set_back = 0
        self._accesses = self._count()
        self._minute = -1
        self._stamps: list[int] = []
        self.recorded = ""
        self.suspended = False
        self._unknown = NEW_FREQUENCY
        self._ready = False
        self.follow(config.maxmemory_policy)
        self._ready = True
        config.on_change("maxmemory-policy", self.follow)

    def follow(self, policy: str) -> None:
        """Record what a maxmemory-policy needs. Existing records are kept unless they are of another kind."""
        self._policy = policy
        kind = policy.rpartition("-")[2]
        if kind not in _MASKS:
            kind = LRU if self._requested else ""
        if kind == self.recorded:
            return
        # As in Redis, keys that have been there before begin without frequency.
        self._unknown = 0 if self._ready and kind == LFU else NEW_FREQUENCY
        self.recorded = kind
        self.sample()
        self._since = self._shared.clock.now if kind == LFU else self._quiet_since
        shared = self._shared
        shared.event_mask = shared.event_mask & ~RECORDED | _MASKS.get(kind, 0)
        shared.recorder = self if kind else None
        self._databases.forget_accesses()

    def sample(self) -> None:
        """Note whether keys have been accessed since the last call; call it once a second."""
        accesses = self._count()
        if accesses != self._accesses:
            self._accesses = accesses
            self._quiet_since = self._shared.clock.now

    def _count(self) -> int:
        """A number that grows with accesses to keys."""
        shared = self._shared
        return shared.hits + shared.changes + shared.dirty + self._set_back

    def forget_hits(self) -> None:
        """Count hits and misses from 0 again (CONFIG RESETSTAT)."""
        shared = self._shared
        self._set_back += shared.hits
        shared.hits = shared.misses = 0

    def forget_changes(self, count: int) -> None:
        """Subtract changes that have been saved."""
        self._set_back += count
        self._shared.changes -= count

    # Querying and setting

    def idle_times(self, database: Database, keys: list[bytes]) -> list[int]:
        """Milliseconds since the last access (under LRM: change) of each of these existing keys. Not for LFU."""
        now, since, last = self._shared.clock.now, self._since, database.last_access.get
        return [now - last(key, since) for key in keys]

    def idle_seconds(self, database: Database, key: bytes) -> int:
        """Seconds since the last access (under LRM: change) of an existing key, 0 or more. Not for LFU.

        Counts whole seconds of the clock, as Redis does. The first call starts the recording.
        """
        self.begin_recording()
        last = database.last_access.get(key, self._since)
        return max(0, self._shared.clock.now // 1000 - last // 1000)

    def frequency(self, database: Database, key: bytes) -> int:
        """The access counter of an existing key, 0 to 255, decayed up to now. Only for LFU."""
        return self._decayed(database.last_access.get(key))

    def set_idle(self, database: Database, key: bytes, seconds: int) -> None:
        """Set the seconds since an existing key's last access (RESTORE IDLETIME); ignored if LFU is recorded."""
        self.begin_recording()
        if self.recorded != LFU:
            database.last_access[key] = self._shared.clock.now - seconds * 1000

    def set_frequency(self, database: Database, key: bytes, counter: int) -> None:
        """Set a key's access counter, 0 to 255 (RESTORE FREQ); ignored unless LFU is recorded."""
        if self.recorded == LFU:
            database.last_access[key] = self._stamp(counter)

    def begin_recording(self) -> None:
        """Record accesses from now on, whatever the policy, because a client wants idle times."""
        if not self._requested:
            self._requested = True
            self.follow(self._policy)

    # Recording

    def recording_lookup(self, database: Database) -> Lookup | None:
        """Returns a lookup that records accesses, built on `database.get_untouched`; None where only changes count."""
        if self.recorded == LRM:
            return None
        look_up, last_access, clock = database.get_untouched, database.last_access, self._shared.clock

        def get(key: bytes) -> Value:
            value = look_up(key)
            if value is not None and not self.suspended:
                last_access[key] = clock.now
            return value

        def get_and_count(key: bytes) -> Value:
            value = look_up(key)
            if value is not None and not self.suspended:
                last_access[key] = self._counted(last_access.get(key))
            return value

        return get_and_count if self.recorded == LFU else get

    def adding(self, database: Database, key: bytes) -> None:
        """A key that does not exist is about to be stored."""
        database.last_access[key] = self._stamp(NEW_FREQUENCY) if self.recorded == LFU else self._shared.clock.now

    def storing(self, database: Database, key: bytes) -> None:
        """A key that may or may not exist is about to be stored."""
        if database.get_untouched(key) is None:
            self.adding(database, key)
        elif not self.suspended:
            last_access = database.last_access
            if self.recorded == LFU:
                last_access[key] = self._counted(last_access.get(key))
            else:
                last_access[key] = self._shared.clock.now

    def changed(self, database: Database, key: bytes) -> None:
        """A key has changed, which only LRM records."""
        if key in database.data:
            database.last_access[key] = self._shared.clock.now

    # LFU

    def _stamp(self, counter: int) -> int:
        """The counter combined with the current minute. Keys share these objects, which saves 32 bytes per key."""
        minute = self._shared.clock.now // 60_000 & _MINUTES
        if minute != self._minute:
            self._minute = minute
            self._stamps = [minute << 8 | counter for counter in range(FREQUENCY_MAX + 1)]
        return self._stamps[counter]

    def _counted(self, last: int | None) -> int:
        """The record after an access: the higher the counter, the less likely it grows."""
        counter = self._decayed(last)
        if counter < FREQUENCY_MAX:
            above = max(0, counter - NEW_FREQUENCY)
            if random() * (above * self._config.lfu_log_factor + 1) < 1:
                counter += 1
        return self._stamp(counter)

    def _decayed(self, last: int | None) -> int:
        """The counter, less one for every lfu-decay-time minutes since; assumes the minutes wrapped at most once."""
        if last is None:
            last = (self._since // 60_000 & _MINUTES) << 8 | self._unknown
        counter = last & FREQUENCY_MAX
        if not self._config.lfu_decay_time:
            return counter
        elapsed = (self._shared.clock.now // 60_000 & _MINUTES) - (last >> 8)
        if elapsed < 0:
            elapsed += _MINUTES
        return max(0, counter - elapsed // self._config.lfu_decay_time)
