"""How a broker's memory is used, for INFO and MEMORY STATS."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import NamedTuple

from broker.clients.memory_use import client_memory
from broker.clients.session import REPLICA, Session
from broker.keyspace.database import Database
from broker.keyspace.keyspace import Keyspace
from broker.memory.client_eviction import unsent_bytes
from broker.memory.eviction import Eviction
from broker.process import memory as process_memory


class ScriptMemory(NamedTuple):
    """Bytes of EVAL's scripts and of libraries of functions, and of the Lua states of both."""

    scripts: int
    functions: int
    lua_of_scripts: int
    lua_of_functions: int


class MemoryOverview:
    """A broker's memory at one moment, in bytes.

    `used` is the memory that has come into use since the broker started, which is what maxmemory limits; `peak` is its
    maximum so far. `allocated` is the memory in use in the whole process, `active` that and what the allocators keep
    for reuse, `resident` what the system charges to it.
    `clients` is the memory of clients and their buffers, `replicas` that of clients that receive the stream (with the
    part of it that they lack, which they share); `unsent` is the output waiting for clients and for the disk,
    which does not count for eviction. `tables` maps each database with keys to the sizes of its tables of keys and of
    deadlines. `scripts` and `functions` are EVAL's scripts and the function libraries; `lua_of_scripts` and
    `lua_of_functions` are the Lua states of both. `overhead` is everything except keys and values, `dataset` the rest.
    """

    def __init__(
        self,
        eviction: Eviction,
        keyspace: Keyspace,
        sessions: Collection[Session],
        unwritten: int,
        scripts: ScriptMemory,
    ) -> None:
        """`unwritten` is the number of bytes waiting to be written to the disk."""
        memory = process_memory.measure()
        self.allocated, self.resident = memory
        self.active = min(self.allocated + process_memory.unused(), self.resident)
        self.used = eviction.used(memory)
        self.peak = max(process_memory.peak_resident() - eviction.startup.resident, self.used)
        replicas = [session for session in sessions if session.flags & REPLICA]
        self.replicas = sum(map(client_memory, replicas))
        self.clients = sum(map(client_memory, sessions)) - self.replicas
        self.journal = unwritten
        self.unsent = unsent_bytes(sessions) + self.journal
        databases = [database for database in keyspace.databases if database.data]
        self.tables = {
            database.index: (sys.getsizeof(database.data), _of_deadlines(database)) for database in databases
        }
        self.tables_total = sum(map(sum, self.tables.values()))
        self.keys = sum(len(database.data) for database in databases)
        self.scripts, self.functions, self.lua_of_scripts, self.lua_of_functions = scripts
        self.overhead = min(self.clients + self.replicas + self.tables_total + sum(scripts), self.used)
        self.dataset = self.used - self.overhead

    @property
    def dataset_percent(self) -> float:
        """The dataset as a percentage of the memory used."""
        return 100 * self.dataset / max(self.used, 1)

    @property
    def peak_percent(self) -> float:
        """The memory used as a percentage of the peak."""
        return 100 * self.used / max(self.peak, 1)

    @property
    def fragmentation(self) -> float:
        """The ratio of resident memory to the memory in use in the process."""
        return self.resident / self.allocated


def _of_deadlines(database: Database) -> int:
    return sys.getsizeof(database.expires) if database.expires else 0
