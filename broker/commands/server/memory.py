"""MEMORY: how much memory keys and the broker use."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

from broker.broker import Broker, Client
from broker.commands.help import declare_help
from broker.commands.keys.object import encoding_of
from broker.commands.server.memory_model import DEFAULT_SAMPLES, modelled_size
from broker.process import memory as process_memory
from broker.process.memory import human
from broker.table.arguments import at_least
from broker.table.command import READONLY, RO, command, container, key
from broker.table.parsers import Parser
from protocol.errors import SYNTAX
from protocol.replies import OK, Dialect, bulk
from protocol.replies import integer as integer_reply

NO_STATISTICS: Final = b"Stats not supported for the current allocator"

# Below this the figures mean nothing: the interpreter itself takes about as much.
_EMPTY_BELOW: Final = 50 * 1024 * 1024

_SHARDS: Final = ("nondeterministic_output", "request_policy:all_shards", "response_policy:special")

container("MEMORY", group="server", since="4.0.0", summary="A container for commands about memory.")

declare_help("MEMORY", group="server", since="4.0.0", usage={"USAGE": "<key> [SAMPLES <count>]"})


_MOST: Final = sys.maxsize // 64
_USAGE_OPTIONS: Final = Parser[tuple[int]](
    "MEMORY|USAGE", values={"SAMPLES": at_least(0, SYNTAX)}, defaults={"SAMPLES": DEFAULT_SAMPLES}
)


@command("MEMORY|USAGE", arity=-3, flags=READONLY, keys=(key(RO, at=2),), group="server", since="4.0.0",
         syntax="key [SAMPLES count]", summary="Estimates the bytes a key would take in redis-server.",
         complexity="O(N) where N is the number of samples.")  # fmt: skip
def memory_usage(session: Client, args: list[bytes]) -> bytes:
    [samples] = _USAGE_OPTIONS.parse(args, 3)
    value = session.db.data.get(args[2])  # as in Redis, whether it has expired or not
    if value is None:
        return session.resp.null
    encoding = encoding_of(value, len(args[2]), session.broker.config)
    return integer_reply(modelled_size(args[2], value, encoding, min(samples, _MOST)))


@command("MEMORY|STATS", arity=2, flags=0, group="server", since="4.0.0",
         summary="Returns details about memory usage.", complexity="O(1)", tips=_SHARDS)  # fmt: skip
def memory_stats(session: Client, args: list[bytes]) -> bytes:
    resp = session.resp
    memory = session.broker.memory()
    fields: list[tuple[bytes, int | float | bytes]] = [
        (b"peak.allocated", memory.peak),
        (b"total.allocated", memory.used),
        (b"startup.allocated", 0),
        (b"replication.backlog", session.broker.replicas.memory()[0]),
        (b"replica.fullsync.buffer", 0),
        (b"clients.slaves", memory.replicas),
        (b"clients.normal", memory.clients),
        (b"clients.normal.shared", 0),
        (b"clients.normal.unshared", 0),
        (b"cluster.links", 0),
        (b"aof.buffer", memory.journal),
        (b"lua.caches", memory.scripts),
        (b"functions.caches", memory.functions),
        (b"script.VMs", memory.lua_of_scripts + memory.lua_of_functions),
        (b"hash.templates", 0),
    ]
    for index, (main, expires) in memory.tables.items():
        tables = [
            (bulk(b"overhead.hashtable.main"), integer_reply(main)),
            (bulk(b"overhead.hashtable.expires"), integer_reply(expires)),
        ]
        fields.append((b"db.%d" % index, resp.map(tables)))
    fields += [
        (b"overhead.db.hashtable.lut", memory.tables_total),
        (b"overhead.db.hashtable.rehashing", 0),
        (b"overhead.total", memory.overhead),
        (b"db.dict.rehashing.count", 0),
        (b"keys.count", memory.keys),
        (b"keys.bytes-per-key", memory.used // memory.keys if memory.keys else 0),
        (b"dataset.bytes", memory.dataset),
        (b"dataset.percentage", memory.dataset_percent),
        (b"peak.percentage", memory.peak_percent),
        (b"allocator.allocated", memory.allocated),
        (b"allocator.active", memory.active),
        (b"allocator.resident", memory.resident),
        (b"allocator.muzzy", 0),
        (b"allocator-fragmentation.ratio", memory.active / memory.allocated),
        (b"allocator-fragmentation.bytes", memory.active - memory.allocated),
        (b"allocator-rss.ratio", memory.resident / memory.active),
        (b"allocator-rss.bytes", memory.resident - memory.active),
        (b"rss-overhead.ratio", 1.0),
        (b"rss-overhead.bytes", 0),
        (b"fragmentation", memory.fragmentation),
        (b"fragmentation.bytes", memory.resident - memory.allocated),
    ]
    return resp.map((bulk(name), _encoded(value, resp)) for name, value in fields)


def _encoded(value: float | bytes, resp: Dialect) -> bytes:
    if isinstance(value, bytes):
        return value
    return integer_reply(value) if isinstance(value, int) else resp.double(value)


@command("MEMORY|DOCTOR", arity=2, flags=0, group="server", since="4.0.0",
         summary="Reports on problems with memory.", complexity="O(1)", tips=_SHARDS)  # fmt: skip
def memory_doctor(session: Client, args: list[bytes]) -> bytes:
    return session.resp.verbatim(("\n".join(_findings(session.broker)) + "\n").encode())


def _findings(broker: Broker) -> list[str]:
    memory = broker.memory()
    used, peak, resident, allocated = memory.used, memory.peak, memory.resident, memory.allocated
    machine, limit = process_memory.of_machine(), broker.config.maxmemory
    found = []
    if peak > used * 1.5 and peak > _EMPTY_BELOW:
        found.append(f"* {human(used)} are in use; at the peak it was {human(peak)}.")
    if resident > allocated * 1.4 and resident > _EMPTY_BELOW:
        found.append(
            f"* The process holds {human(resident)}, of which only {human(allocated)} are in use: the rest is too"
            " scattered to be returned to the system. MEMORY PURGE returns what it can."
        )
    if machine and resident > machine * 0.8:
        found.append(f"* This process alone holds {human(resident)} of the machine's {human(machine)}.")
    if limit and used > limit * 0.9:
        found.append(f"* {human(used)} of the {human(limit)} that maxmemory allows are in use.")
    if not limit:
        found.append("* maxmemory is not set: only the system limits how much memory keys take.")
    if memory.clients > max(used, _EMPTY_BELOW) / 10:
        found.append(f"* Clients take {human(memory.clients)}: some of them send or read too slowly (see CLIENT LIST).")
    return found or ["Nothing to report."]


@command("MEMORY|PURGE", arity=2, flags=0, group="server", since="4.0.0",
         summary="Returns free memory to the system.",
         complexity="Depends on how much memory is allocated, could be slow",
         tips=("request_policy:all_shards", "response_policy:all_succeeded"))  # fmt: skip
def memory_purge(session: Client, args: list[bytes]) -> bytes:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return OK


@command("MEMORY|MALLOC-STATS", arity=2, flags=0, group="server", since="4.0.0",
         summary="Returns the allocator's statistics.",
         complexity="Depends on how much memory is allocated, could be slow", tips=_SHARDS)  # fmt: skip
def memory_malloc_stats(session: Client, args: list[bytes]) -> bytes:
    return bulk(NO_STATISTICS)
