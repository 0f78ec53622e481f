"""Figures that INFO derives from the keyspace, the allocators and the system, rather than from counters."""

from __future__ import annotations

import hashlib
import platform
import re
import resource
import sys
from itertools import islice
from typing import Final

from broker.broker import Broker
from broker.commands.keys.object import encoding_of
from broker.commands.server.memory_model import modelled_size
from broker.config import Config
from broker.keyspace.database import Database, Value
from broker.native import build
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.positions import sample_keys
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.version import VERSION

FEW: Final = 10_000
"""Up to so many keys, figures about all keys of a database are exact. Beyond, they are estimated from a sample, because
INFO must not take longer the more keys there are."""

SAMPLED: Final = 2000
"""The number of keys in such a sample."""

ACTIVE_MS: Final = 512
"""A client is active if it has sent something within so many milliseconds (as in Redis)."""

_TTL_SAMPLES: Final = 20
"""Keys with a deadline that are sampled to estimate the average time to live."""

_NAMES: Final = {
    bytes: "strings_sizes",
    bytearray: "strings_sizes",
    List: "lists_items",
    Set: "sets_items",
    SortedSet: "zsets_items",
    Hash: "hashes_items",
}
_ORDER: Final = (
    "strings_sizes", "lists_items", "sets_items", "zsets_items", "hashes_items", "lists_sizes", "sets_sizes",
    "zsets_sizes", "hashes_sizes",
)  # fmt: skip


def build_id() -> str:
    """Returns 16 digits that differ between builds."""
    return hashlib.sha1(f"{VERSION} {build()} {sys.version}".encode(), usedforsecurity=False).hexdigest()[:16]


def compiler_version() -> str:
    """Returns the version of the GCC that built the interpreter, 0.0.0 if it was another compiler."""
    found = re.match(r"GCC (\d+\.\d+\.\d+)", platform.python_compiler())
    return found[1] if found else "0.0.0"


def thread_usage() -> resource.struct_rusage:
    """Returns the processor time of this thread, or of the process where the system doesn't know."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF))


def active_clients(broker: Broker) -> int:
    """Returns how many clients have sent something just now."""
    since = broker.clock.now - ACTIVE_MS
    return sum(session.last_active > since and session.reads > 0 for session in broker.sessions.values())


def stale_percentage(broker: Broker) -> float:
    """Estimates the percentage of keys that have expired, of those that have a deadline, and are still there.

    Expired keys are removed before each tick, so there are none unless too many expire at once.
    """
    now = broker.clock.now
    if not broker.keyspace.overdue:
        return 0.0
    sampled = [deadline < now for database in broker.keyspace.databases for deadline in _some_deadlines(database, FEW)]
    return 100 * sum(sampled) / max(1, len(sampled))


def average_ttl(database: Database, now: int) -> int:
    """Estimates the average time to live, in milliseconds, from a sample of the keys that have one."""
    deadlines = _some_deadlines(database, _TTL_SAMPLES)
    return max(0, sum(deadlines) // len(deadlines) - now) if deadlines else 0


def _some_deadlines(database: Database, count: int) -> list[int]:
    return list(islice(database.expires.values(), count))


def hashes_with_deadlines(database: Database) -> int:
    """Returns how many hashes have fields with a deadline; an estimate if there are many."""
    keys = database.field_deadlines
    sampled = [_has_deadlines(database.data.get(key)) for key in islice(keys, FEW)]
    return sum(sampled) * len(keys) // max(1, len(sampled))


def _has_deadlines(value: Value) -> bool:
    return type(value) is Hash and bool(value.deadlines)


def key_sizes(database: Database, config: Config) -> dict[str, str]:
    """Returns, for each type, how many keys have what size: `1=3,16=1,2K=4` counts them by powers of two.

    A string's size is its bytes, another value's the number of its elements and, with `key-memory-histograms`, what
    MEMORY USAGE says as well; streams aren't counted, as in Redis.
    """
    data = database.data
    keys = data if len(data) <= FEW else sample_keys(data, SAMPLED)
    counts: dict[tuple[str, int], int] = {}
    examined = 0
    for key in keys:
        examined += 1
        value = data[key]
        name = _NAMES.get(type(value))
        if name is None:
            continue
        sizes = [(name, len(value))]
        if config.key_memory_histograms and name.endswith("_items"):
            memory = modelled_size(key, value, encoding_of(value, len(key), config))
            sizes.append((name.replace("_items", "_sizes"), memory))
        for what, size in sizes:
            place = what, size.bit_length()
            counts[place] = counts.get(place, 0) + 1
    scale = len(data) / max(1, examined)
    histograms = {}
    for name in _ORDER:
        parts = [
            f"{_power(bits)}={round(count * scale)}" for (other, bits), count in sorted(counts.items()) if other == name
        ]
        if parts:
            histograms[name] = ",".join(parts)
    return histograms


def _power(bits: int) -> str:
    """Returns the smallest number of so many bits, in Redis's units of 1,024."""
    number = 1 << bits - 1 if bits else 0
    for unit in ("", "K", "M", "G", "T"):
        if number < 1024:
            return f"{number}{unit}"
        number >>= 10
    return f"{number}P"
