"""Keeping the broker within maxmemory: keys are evicted by maxmemory-policy, or commands that take memory refused.

What counts is what has come into use in the process since the broker began: the interpreter's own tens of megabytes
do not, so that small limits hold what they would hold in redis-server. While the process can't be using as much, going
by its size as the system sees it, nothing needs doing; that is looked at once a millisecond at most (1.5 us), and
whenever clients have sent much. Only then is what is in use measured (see broker.process.memory), which takes longer
the larger the heap is: a twentieth of all time is the most that measuring gets. Between two measurements the sizes of
the keys evicted are estimated.

As in Redis the victims are approximate: maxmemory-samples keys of each database are drawn, and the best candidates
of these and earlier draws, up to 16, wait in a pool. The rest of a large eviction is continued by a timer, so that
clients are served meanwhile.

What waits to be sent to clients is not counted: evicting for a client that does not read would empty the keyspace,
the more so where what it is sent are the events of the evictions. For it there are the limits of output buffers, and
maxmemory-clients.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Callable
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
"""Candidates kept between two evictions (Redis's EVPOOL_SIZE)."""

SLICE_NS: Final = 5_000_000
"""Nanoseconds of eviction at once, as long as the limit is about kept."""

LONG_SLICE_NS: Final = 50_000_000
"""The same where clients write faster than the eviction can follow."""

FAR_OVER: Final = 1.04
"""In use, of the limit: from here on slices are long, if it becomes more all the same."""

MEASURING_SHARE: Final = 20
"""One part in so many of all time is the most that measuring takes."""

RESIDENT_SLACK: Final = 1.05
RESIDENT_SPARE: Final = 16 << 20
"""Resident, of the limit, and in bytes beside that: memory that is free in the process but can't be used counts as in
use from here on, unless the process was larger already when the limit was set: evicting would not bring that back. The
allocators keep some megabytes free whatever happens."""

COPY_SLACK: Final = 0.1
COPY_SPARE: Final = 8 << 20
"""Of the limit, and in bytes beside that: the copy of a larger table counts as in use with what it is larger."""

AHEAD: Final = 16
"""One part in so many of its keys is how far ahead of a table's growth its size counts: what may come between two
looks at memory. Once a table has grown, evicting doesn't bring it back."""

FRAGMENTED_MAX: Final = 0.2
"""Of the limit: more is not evicted because memory is fragmented. Nothing is refused for it."""

_SAMPLES_OF_SIZE: Final = 5
_LOOK_AT_CLOCK: Final = 16
_OFTEN_NS: Final = 1_000_000
# Bytes from clients after which memory is looked at within a tick: a share of the limit, within bounds.
_READ_SHARE: Final = 256
_READ_MIN, _READ_MAX = 1 << 16, 1 << 22


class Eviction:
    """A broker's memory limits.

    `check_at` is the wall time (milliseconds) from which the tick is to call `check`, `check_after` the number of
    bytes read from clients (Stats.bytes_read); never reached without a limit. `measure` and `writable` are
    process_memory's. `startup` is what was in use and resident when the broker began, in bytes.
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
        serve: Callable[[], None],
        unwritten: Callable[[], int],
    ) -> None:
        """`serve` serves clients that wait for keys; `unwritten` is how many bytes wait to be written to the disk."""
        self._config = config
        self._keyspace = keyspace
        self._clock = keyspace.clock
        self._state = state
        self._timers = timers
        self._reclaimer = reclaimer
        self._stats = stats
        self._log = log
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
        for name in ("maxmemory", "maxmemory-policy", "maxmemory-clients"):
            config.on_change(name, self._limits_changed)

    def start(self) -> None:
        """Begin to keep the limits."""
        self.startup = self.measure()
        # Of what the process may write to, what was neither in use then nor free for what comes into use.
        self._never_in_use = self.writable() - self.startup.in_use - process_memory.unused()
        self._limits_changed(None)

    def used(self, memory: Memory) -> int:
        """What of the process's memory is this broker's: what has come into use since it began.

        The process may have used more for something else then. The broker is known to use what its clients and the
        tables of its keys take.
        """
        self.startup = self.startup._replace(in_use=min(self.startup.in_use, memory.in_use - self._least()))
        return memory.in_use - self.startup.in_use

    def _least(self) -> int:
        tables = sum(database.data.__sizeof__() for database in self._keyspace.databases if database.data)
        return tables + self.clients.least()

    def exceeded_ms(self) -> int:
        """For how long the limit has been exceeded now, in milliseconds."""
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
        """Bring the process back within its limits, as far as that is done in one slice."""
        config, state = self._config, self._state
        self.check_at = self._clock.now + 1
        limit = config.maxmemory
        self.check_after = self._stats.bytes_read + min(max(limit // _READ_SHARE, _READ_MIN), _READ_MAX)
        if config.maxmemory_clients:
            self.clients.check()
        if state.paused or state.loading:
            return
        if not limit or self._taken() + self._growth() <= limit:
            self._within()
        elif self._must_measure():
            self._measure()
        elif self._left > 0:
            self._evict()

    def refuses(self) -> bool:
        """Whether commands that may take memory are refused: asked while they are, when one comes.

        It is measured again if something has changed, or else a third of the time at most.
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

    def _taken(self) -> int:
        """More than the broker uses, going by the process's size."""
        return self.writable() - self._never_in_use - self.startup.in_use

    def _measure(self) -> None:
        """Measure what is in use, and make room if it is too much."""
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
        # Of two measurements the faster one: the other may have been interrupted for as long as it likes.
        self._took, self._took_before = min(ends - began, self._took_before or _OFTEN_NS), ends - began
        self._measure_after = ends + max(_OFTEN_NS, self._took * MEASURING_SHARE)
        self._ask_after = ends + 2 * self._took
        self._full = over > 0
        if over + fragmented <= 0:
            self._within()
        elif self._config.maxmemory_policy == "noeviction":
            self._exhausted()
        else:
            self._left = int(over + fragmented)
            outrun = in_use > limit * FAR_OVER and 0 < self._measured < in_use
            self._slice = LONG_SLICE_NS if outrun else SLICE_NS
            self._measured = in_use
            self._evict()

    def _growth(self) -> int:
        """What the tables of keys will take when they grow next, beyond what they take now.

        Counted before it comes: of small keys the tables are half of the memory, and one that has grown by tens of
        megabytes at once does not shrink by evicting. Where keys come and go, a table is copied long before all its
        places are taken; where none is evicted, only one that is nearly full is about to grow. While a table is
        copied, the old one is there as well.
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
        """Nothing may be evicted, or nothing is left to evict."""
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
        """Evict keys until as much is free as is too much in use, or the slice is over."""
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
            if not evicted % _LOOK_AT_CLOCK and perf_counter_ns() > ends:
                break
        self._keyspace.effects.flush(0, None)
        if self._keyspace.ready:
            # Not here: this may be in the middle of a command (CONFIG SET).
            self._timers.after(0, self._serve)
        if self._left <= 0:
            self._exceeded_since = self._exceeded_since or self._clock.now
            self._within()
        elif exhausted:
            self._measured_changes = -1  # sizes were estimated: the next one who is to be refused has it measured
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
        """Evict one key; about the bytes that become free."""
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
        """The function that chooses a victim under the present policy; it gives None where there is none."""
        scope, _, order = self._config.maxmemory_policy.partition("-")
        volatile = scope == "volatile"
        if order == "random":
            return lambda: self._random(volatile)
        scoring = self._scoring(order)
        return lambda: self._best(volatile, scoring)

    def _scoring(self, order: str) -> Scoring:
        """How good a victim each of some keys is: the greater the better."""
        access = self._keyspace.access
        if order in (LRU, LRM):
            return access.idle_times
        if order == LFU:
            return lambda database, keys: [-access.frequency(database, key) for key in keys]
        return lambda database, keys: [-database.expires[key] for key in keys]

    def _random(self, volatile: bool) -> tuple[Database, bytes] | None:
        """A key at random, of each database in turn."""
        databases = list(self._keyspace.databases)
        for _ in databases:
            self._next_database = (self._next_database + 1) % len(databases)
            database = databases[self._next_database]
            keys = database.expires if volatile else database.data
            if keys:
                return database, random_key(keys)
        return None

    def _best(self, volatile: bool, scoring: Scoring) -> tuple[Database, bytes] | None:
        """The best key of the pool, after new candidates of all databases came in."""
        databases = self._keyspace.databases
        pool = self._pool
        samples = self._config.maxmemory_samples
        while True:
            found = False
            for database in databases:
                keys = database.expires if volatile else database.data
                if not keys:
                    continue
                found = True
                sample = sample_keys(keys, samples)
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
    """The bytes that a dict of so many keys takes when it has just grown: CPython gives it three times the room.

    A place in its index takes 1, 2 or 4 bytes, and two thirds of the places can have an entry of 24 bytes.
    """
    places = max(8, 1 << max(0, 3 * keys - 1).bit_length())
    index = 1 if places < 1 << 8 else 2 if places < 1 << 16 else 4
    return places * index + places * 2 // 3 * 24
