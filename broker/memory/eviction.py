"""Keeping the broker within maxmemory: evicting keys by maxmemory-policy, or refusing commands that take memory.

Only memory that has come into use since the broker started counts, not the interpreter's own tens of megabytes, so that
small limits hold as much data as they would in redis-server. While the size of the process, as the system sees it,
rules out that the limit is exceeded, nothing needs doing; that is checked at most once a millisecond (1.5 us), and
whenever clients have sent a lot. Only beyond that is the memory in use measured (see broker.process.memory), which
takes longer the larger the heap is, and is allowed at most a twentieth of the time. Between measurements, the sizes of
evicted keys are estimated.

As in Redis, victims are chosen approximately: maxmemory-samples keys of each database are sampled, and the best
candidates from these and earlier samples, up to 16, are kept in a pool. A large eviction is continued by a timer, so
that clients are served in between.

Output waiting for clients is not counted: evicting because of a client that does not read would empty the keyspace,
all the more if that output consists of eviction events. The output buffer limits and maxmemory-clients limit it.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter_ns
from typing import Final

from broker.config import Config
from broker.execution.state import State
from broker.keyspace.access import LFU, LRM, LRU
from broker.keyspace.database import Database
from broker.keyspace.events import EVICTED
from broker.keyspace.keyspace import Keyspace
from broker.keyspace.sizes import size_of
from broker.memory.client_eviction import ClientEviction
from broker.observation.latency import Latency
from broker.policies.delayed_entries import PREFIX as DELAYED
from broker.policies.policy_hash import PREFIX as POLICY
from broker.process import memory as process_memory
from broker.process.log import Log
from broker.process.memory import Memory
from broker.process.reclaim import Reclaimer
from broker.process.stats import Stats
from broker.process.timers import Deadlines
from broker.values.deadline_queue import NEVER
from broker.values.positions import random_key, sample_keys

Scoring = Callable[[Database, list[bytes]], list[int]]

POOL_SIZE: Final = 16
"""Candidates kept between evictions (Redis's EVPOOL_SIZE)."""

SLICE_NS: Final = 5_000_000
"""Nanoseconds per slice of eviction while memory stays close to the limit."""

LONG_SLICE_NS: Final = 50_000_000
"""Nanoseconds per slice when clients write faster than eviction can keep up."""

FAR_OVER: Final = 1.04
"""Memory in use relative to the limit above which slices are long, if it keeps growing."""

MEASURING_SHARE: Final = 20
"""Measuring takes at most one part in this many of the time."""

RESIDENT_SLACK: Final = 1.05
RESIDENT_SPARE: Final = 16 << 20
"""Resident memory relative to the limit, plus a number of bytes, above which memory that is free in the process but
can't be reused counts as in use. If the process was already larger when the limit was set, that size is tolerated:
evicting would not give it back. The allocators always keep some megabytes free."""

COPY_SLACK: Final = 0.1
COPY_SPARE: Final = 8 << 20
"""The size of a table relative to the limit, plus a number of bytes, above which the excess counts as in use, because
the table will be copied when it grows."""

KEPT: Final = (POLICY, DELAYED)
"""How the keys begin that are not evicted while `stream-extensions` is on."""

AHEAD: Final = 16
"""A table's growth counts once it is within one part in this many of its keys, which allows for the keys that may
arrive between two checks. Once a table has grown, evicting doesn't shrink it."""

FRAGMENTED_MAX: Final = 0.2
"""The most to evict because of fragmentation, relative to the limit. No command is refused because of it."""

_SAMPLES_OF_SIZE: Final = 5
_KEYS_PER_CLOCK_CHECK: Final = 16
_OFTEN_NS: Final = 1_000_000
# Bytes from clients after which memory is checked within a tick: a share of the limit, within bounds.
_READ_SHARE: Final = 256
_READ_MIN, _READ_MAX = 1 << 16, 1 << 22


class Eviction:
    """A broker's memory limits.

    The tick calls `check` from the wall time `check_at` (milliseconds) on, and once `check_after` bytes have been read
    from clients (Stats.bytes_read); without a limit, neither is ever reached. `measure` and `writable` are those of
    process_memory. `startup` is the memory in use and resident when the broker started, in bytes.
    """

    def __init__(
        self,
        config: Config,
        keyspace: Keyspace,
        clients: ClientEviction,
        state: State,
        *,
        timers: Deadlines,
        reclaimer: Reclaimer,
        stats: Stats,
        log: Log,
        latency: Latency,
        serve: Callable[[], None],
        unwritten: Callable[[], int],
    ) -> None:
        """`serve` serves clients waiting for keys; `unwritten` returns the number of bytes waiting for the disk."""
        self._config = config
        self._keyspace = keyspace
        self._clock = keyspace.clock
        self._state = state
        self._timers = timers
        self._reclaimer = reclaimer
        self._stats = stats
        self._log = log
        self._latency = latency
        self._serve = serve
        self._unwritten = unwritten
        self.clients = clients
        self.measure: Callable[[], Memory] = process_memory.measure
        self.writable: Callable[[], int] = process_memory.writable
        self.startup = Memory(0, 0)
        self._never_in_use = 0
        self.check_at = NEVER
        self.check_after = NEVER
        self._pool: list[tuple[int, int, bytes]] = []
        self._next_database = 0
        self._left = 0
        self._slice = SLICE_NS
        self._continuing = False
        self._full = False
        self._measured = 0
        self._measured_writable = 0
        self._tolerated = 0.0
        self._measure_after = 0
        self._took = self._took_before = self._ask_after = 0
        self._measured_changes = -1
        self._exceeded_since = 0
        for name in ("maxmemory", "maxmemory-policy", "maxmemory-clients", "replica-ignore-maxmemory"):
            config.on_change(name, self._limits_changed)

    def start(self) -> None:
        """Start enforcing the limits."""
        self.startup = self.measure()
        # The part of the process's writable memory that was neither in use at that time nor available for use.
        self._never_in_use = self.writable() - self.startup.in_use - process_memory.unused()
        self._limits_changed(None)

    def used(self, memory: Memory) -> int:
        """The part of the process's memory that belongs to this broker: what has come into use since it started.

        The process may have freed memory that it used for other things back then. The broker certainly uses what its
        clients and its tables of keys take.
        """
        self.startup = self.startup._replace(in_use=min(self.startup.in_use, memory.in_use - self._least()))
        return memory.in_use - self.startup.in_use

    def _least(self) -> int:
        tables = sum(database.data.__sizeof__() for database in self._keyspace.databases if database.data)
        return tables + self.clients.least()

    def exceeded_ms(self) -> int:
        """How long the limit has been exceeded up to now, in milliseconds."""
        return self._clock.now - self._exceeded_since if self._exceeded_since else 0

    def _limits_changed(self, _: object) -> None:
        self._pool.clear()
        self._left = 0
        self._tolerated = process_memory.resident() - self.startup.resident
        self._measure_after = 0
        if self._config.maxmemory or self._config.maxmemory_clients:
            self.check()
        else:
            self.check_at = self.check_after = NEVER
            self._within()

    def check(self) -> None:
        """Bring the process back within its limits, as far as one slice allows."""
        config, state = self._config, self._state
        self.check_at = self._clock.now + 1
        limit = config.maxmemory
        self.check_after = self._stats.bytes_read + min(max(limit // _READ_SHARE, _READ_MIN), _READ_MAX)
        if config.maxmemory_clients:
            self.clients.check()
        if state.paused or state.loading:
            return
        if state.replica and config.replica_ignore_maxmemory:
            self._within()  # the master evicts, and its memory decides
            return
        if not limit or self._upper_bound() + self._growth() <= limit:
            self._within()
        elif self._must_measure():
            self._measure()
        elif self._left > 0:
            self._latency.measure("eviction-cycle", self._evict)

    def refuses(self) -> bool:
        """Whether to refuse a command that may take memory; called while the broker is out of memory.

        Measures again if something has changed, otherwise for at most a third of the time.
        """
        quick = self._took < _OFTEN_NS and self._keyspace.changes != self._measured_changes
        if quick or perf_counter_ns() >= self._ask_after:
            self._measure()
        return self._state.out_of_memory

    # Measuring

    def _must_measure(self) -> bool:
        if perf_counter_ns() >= self._measure_after:
            return not self._reclaimer.pending or self._state.out_of_memory
        return self.writable() > self._measured_writable + self._config.maxmemory // 128

    def _upper_bound(self) -> int:
        """An upper bound of the memory that the broker uses, from the size of the process."""
        return self.writable() - self._never_in_use - self.startup.in_use

    def _measure(self) -> None:
        """Measure the memory in use, and make room if it is too much."""
        began = perf_counter_ns()
        memory = self.measure()
        limit: int = self._config.maxmemory
        in_use = self.used(memory) + self._growth()
        resident = memory.resident - self.startup.resident
        over = in_use - limit
        fragmented = 0.0
        self._tolerated = max(limit * RESIDENT_SLACK + RESIDENT_SPARE, min(self._tolerated, resident))
        if over > 0 or resident > self._tolerated:
            unsent = self.clients.unsent() + self._unwritten()
            over -= unsent
            fragmented = max(0, resident - unsent - self._tolerated)
            fragmented = min(fragmented, limit * FRAGMENTED_MAX)
        ends = perf_counter_ns()
        self._measured_writable = self.writable()
        self._measured_changes = self._keyspace.changes
        # The faster of the last two measurements: either may have been interrupted for any length of time.
        self._took, self._took_before = min(ends - began, self._took_before or _OFTEN_NS), ends - began
        self._measure_after = ends + max(_OFTEN_NS, self._took * MEASURING_SHARE)
        self._ask_after = ends + 2 * self._took
        self._full = over > 0
        if over + fragmented <= 0:
            self._within()
        elif self._config.maxmemory_policy == "noeviction" or self._state.importing:
            self._exhausted()
        else:
            self._left = int(over + fragmented)
            outrun = in_use > limit * FAR_OVER and 0 < self._measured < in_use
            self._slice = LONG_SLICE_NS if outrun else SLICE_NS
            self._measured = in_use
            self._latency.measure("eviction-cycle", self._evict)

    def _growth(self) -> int:
        """The memory that tables of keys will take when they next grow, beyond what they take now.

        It counts in advance: with small keys, tables make up half of the memory, and one that has grown by tens of
        megabytes at once does not shrink by evicting. If keys come and go, a table is copied long before it is full; if
        keys are never evicted, only a nearly full table is about to grow. While a table is copied, the old one exists
        as well.
        """
        grows_when_full = self._config.maxmemory_policy == "noeviction"
        growth = largest = 0
        for database in self._keyspace.databases:
            if database.data:
                for table in (database.data, database.expires, database.last_access):
                    keys = len(table)
                    size = table.__sizeof__()
                    if not keys or (grows_when_full and grown_size(keys * 4 // 7) <= size):
                        continue
                    growth += max(0, grown_size(keys + keys // AHEAD) - size)
                    largest = max(largest, size)
        return growth + max(0, int(largest - self._config.maxmemory * COPY_SLACK - COPY_SPARE))

    def _within(self) -> None:
        self._left = self._measured = 0
        if self._exceeded_since:
            self._stats.eviction_exceeded_ms += self.exceeded_ms()
            self._exceeded_since = 0
        self._refuse(False)

    def _exhausted(self) -> None:
        """Handle the case that nothing may be evicted, or nothing is left to evict."""
        self._left = 0
        if self._full:
            self._exceeded(refuse=True)
        else:
            self._within()

    def _exceeded(self, *, refuse: bool) -> None:
        self._exceeded_since = self._exceeded_since or self._clock.now
        self._refuse(refuse)

    def _refuse(self, refuse: bool) -> None:
        state = self._state
        if state.out_of_memory != refuse:
            state.out_of_memory = refuse
            state.restrict()
            if refuse:
                self._log.warning(
                    "out of memory: writes are refused until some is freed", maxmemory=self._config.maxmemory
                )
            else:
                self._log.notice("memory is within maxmemory again")

    # Evicting

    def _evict(self) -> None:
        """Evict keys until enough memory is free, or the slice is over."""
        began = perf_counter_ns()
        ends = began + self._slice
        evicted = 0
        exhausted = False
        choose = self._choice()
        while self._left > 0:
            victim = choose()
            if victim is None:
                exhausted = True
                break
            self._left -= self._remove(*victim)
            evicted += 1
            if not evicted % _KEYS_PER_CLOCK_CHECK and perf_counter_ns() > ends:
                break
        self._keyspace.effects.flush(0, None)
        if self._keyspace.ready:
            # Not here, since this may run in the middle of a command (CONFIG SET).
            self._timers.after(0, self._serve)
        if self._left <= 0:
            self._exceeded_since = self._exceeded_since or self._clock.now
            self._within()
        elif exhausted:
            self._measured_changes = -1  # sizes were estimated: measure before refusing the next command
            self._exhausted()
        else:
            self._exceeded(refuse=False)
            if not self._continuing:
                self._continuing = True
                self._timers.after(0, self._continue)

    def _continue(self) -> None:
        self._continuing = False
        self.check()

    def _remove(self, database: Database, key: bytes) -> int:
        """Evict one key; returns the approximate number of bytes freed."""
        keyspace = self._keyspace
        value = database.data[key]
        size = sys.getsizeof(key)
        if value.__class__ is bytes:
            size += sys.getsizeof(value)
        else:
            size += size_of(value, _SAMPLES_OF_SIZE)
        database.delete(key)
        self._stats.evicted_keys += 1
        keyspace.effects.add(database.index, [b"DEL", key])
        database.removed(key)
        database.notify(EVICTED, key)
        return size

    def _choice(self) -> Callable[[], tuple[Database, bytes] | None]:
        """Returns a function that chooses a victim under the current policy, or returns None if there is none."""
        scope, _, order = self._config.maxmemory_policy.partition("-")
        volatile = scope == "volatile"
        if order == "random":
            return lambda: self._random(volatile)
        scoring = self._scoring(order)
        return lambda: self._best(volatile, scoring)

    def _scoring(self, order: str) -> Scoring:
        """Returns the function that rates keys as victims: the higher the score, the better."""
        access = self._keyspace.access
        if order in (LRU, LRM):
            return access.idle_times
        if order == LFU:
            return lambda database, keys: [-access.frequency(database, key) for key in keys]
        return lambda database, keys: [-database.expires[key] for key in keys]

    def _random(self, volatile: bool) -> tuple[Database, bytes] | None:
        """A random key, from each database in turn."""
        databases = list(self._keyspace.databases)
        for _ in databases:
            self._next_database = (self._next_database + 1) % len(databases)
            database = databases[self._next_database]
            keys = database.expires if volatile else database.data
            if keys and (found := self._evictable([random_key(keys)], keys)):
                return database, found[0]
        return None

    def _evictable(self, sample: list[bytes], keys: Iterable[bytes]) -> list[bytes]:
        """Returns the sample without what is never evicted: policies, and entries that clients rely on being added.

        If nothing of it is left, any other of the keys.
        """
        if not self._config.stream_extensions:
            return sample
        kept = [key for key in sample if not key.startswith(KEPT)]
        return kept or list(islice((key for key in keys if not key.startswith(KEPT)), 1))

    def _best(self, volatile: bool, scoring: Scoring) -> tuple[Database, bytes] | None:
        """The best key in the pool, after adding new candidates from all databases."""
        databases = self._keyspace.databases
        pool = self._pool
        samples = self._config.maxmemory_samples
        while True:
            found = False
            for database in databases:
                keys = database.expires if volatile else database.data
                sample = self._evictable(sample_keys(keys, samples), keys) if keys else []
                if not sample:
                    continue
                found = True
                for score, key in zip(scoring(database, sample), sample, strict=True):
                    candidate = (score, database.index, key)
                    if len(pool) < POOL_SIZE:
                        insort(pool, candidate)
                    elif candidate > pool[0]:
                        insort(pool, candidate)
                        del pool[0]
            if not found:
                return None
            while pool:
                _, index, key = pool.pop()
                database = databases[index]
                if key in (database.expires if volatile else database.data):
                    return database, key


def grown_size(keys: int) -> int:
    """The size in bytes of a dict that has just grown with this many keys: CPython makes room for three times as many.

    A slot in its index takes 1, 2 or 4 bytes, and two thirds of the slots can have an entry of 24 bytes.
    """
    places = max(8, 1 << max(0, 3 * keys - 1).bit_length())
    index = 1 if places < 1 << 8 else 2 if places < 1 << 16 else 4
    return places * index + places * 2 // 3 * 24
