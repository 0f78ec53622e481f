"""MEMORY: what keys and the broker take."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Final

from broker import process_memory
from broker.arguments import integer
from broker.help import declare_help
from broker.memory_usage import size_of
from broker.process_memory import human
from broker.registry import READONLY, RO, command, container, key
from protocol.errors import SYNTAX, CommandError
from protocol.replies import OK, bulk
from protocol.replies import integer as integer_reply

if TYPE_CHECKING:
    from broker.core import Broker
    from broker.session import Session

NO_STATISTICS: Final = b"Stats not supported for the current allocator"

DEFAULT_SAMPLES: Final = 5
# A key's place in a database's dictionary: hash, key and value references, and the free room of the table.
_ENTRY: Final = 3 * 8 + 16
# Less than this says nothing about anything: the interpreter itself takes about as much.
_EMPTY_BELOW: Final = 5 * 1024 * 1024

_SHARDS: Final = ("nondeterministic_output", "request_policy:all_shards", "response_policy:special")

container("MEMORY", group="server", since="4.0.0", summary="Memory in use.")

declare_help("MEMORY", group="server", since="4.0.0", usage={"USAGE": "<key> [SAMPLES <count>]"})


@command("MEMORY|USAGE", arity=-3, flags=READONLY, keys=(key(RO, at=2),), group="server", since="4.0.0",
         syntax="key [SAMPLES count]", summary="Estimates the bytes that a key and its value take.",
         complexity="O(N) where N is the number of samples.")  # fmt: skip
def memory_usage(session: Session, args: list[bytes]) -> bytes:
    samples = DEFAULT_SAMPLES
    at = 3
    while at < len(args):
        if args[at].upper() != b"SAMPLES" or at + 1 == len(args):
            raise CommandError(SYNTAX)
        samples = integer(args[at + 1])
        if samples < 0:
            raise CommandError(SYNTAX)
        # 0 asks for all elements.
        samples = samples or sys.maxsize // 4
        at += 2
    value = session.db.get(args[2])
    if value is None:
        return session.resp.null
    return integer_reply(_ENTRY + sys.getsizeof(args[2]) + size_of(value, min(samples, sys.maxsize // 4)))


@command("MEMORY|STATS", arity=2, flags=0, group="server", since="4.0.0",
         summary="Tells what memory is used for.", complexity="O(1)", tips=_SHARDS)  # fmt: skip
def memory_stats(session: Session, args: list[bytes]) -> bytes:
    broker = session.broker
    resp = session.resp
    used, peak = process_memory.resident(), process_memory.peak_resident()
    databases = [database for database in broker.keyspace.databases if database.data]
    keys = sum(len(database.data) for database in databases)
    main = {database.index: sys.getsizeof(database.data) for database in databases}
    expires = {database.index: sys.getsizeof(database.expires) for database in databases}
    overhead = sum(main.values()) + sum(expires.values()) + _client_buffers(broker)
    dataset = max(0, used - overhead)
    counts: list[tuple[bytes, bytes]] = [
        (b"peak.allocated", integer_reply(max(peak, used))),
        (b"total.allocated", integer_reply(used)),
        (b"replication.backlog", integer_reply(0)),
        (b"clients.slaves", integer_reply(0)),
        (b"clients.normal", integer_reply(_client_buffers(broker))),
        (b"cluster.links", integer_reply(0)),
    ]
    for index in main:
        tables = [
            (bulk(b"overhead.hashtable.main"), integer_reply(main[index])),
            (bulk(b"overhead.hashtable.expires"), integer_reply(expires[index])),
        ]
        counts.append((b"db.%d" % index, resp.map(tables)))
    counts += [
        (b"overhead.total", integer_reply(overhead)),
        (b"keys.count", integer_reply(keys)),
        (b"keys.bytes-per-key", integer_reply(dataset // keys if keys else 0)),
        (b"dataset.bytes", integer_reply(dataset)),
        (b"dataset.percentage", resp.double(100 * dataset / used if used else 0.0)),
        (b"peak.percentage", resp.double(100 * used / max(peak, used, 1))),
    ]
    return resp.map((bulk(name), value) for name, value in counts)


def _client_buffers(broker: Broker) -> int:
    return sum(sum(session.transport.sizes()) for session in broker.sessions.values())


@command("MEMORY|DOCTOR", arity=2, flags=0, group="server", since="4.0.0",
         summary="Reports on problems with memory.", complexity="O(1)", tips=_SHARDS)  # fmt: skip
def memory_doctor(session: Session, args: list[bytes]) -> bytes:
    return session.resp.verbatim(("\n".join(_findings(session.broker)) + "\n").encode())


def _findings(broker: Broker) -> list[str]:
    used, peak, machine = process_memory.resident(), process_memory.peak_resident(), process_memory.of_machine()
    limit = broker.config.maxmemory
    found = []
    if peak > used * 1.5 and peak > _EMPTY_BELOW:
        found.append(
            f"* The process had {human(peak)} at its peak and has {human(used)} now. Python gives memory of small"
            " objects back to the system late; MEMORY PURGE asks for what is free."
        )
    if machine and used > machine * 0.8:
        found.append(f"* {human(used)} of the machine's {human(machine)} are in use by this process alone.")
    if limit and used > limit * 0.9:
        found.append(f"* {human(used)} of the {human(limit)} that maxmemory allows are in use.")
    if not limit:
        found.append("* maxmemory is not set: nothing but the system limits the memory that keys take.")
    buffers = _client_buffers(broker)
    if buffers > used / 10:
        found.append(f"* Clients' buffers take {human(buffers)}: some send or read too slowly (see CLIENT LIST).")
    return found or ["Nothing to report."]


@command("MEMORY|PURGE", arity=2, flags=0, group="server", since="4.0.0",
         summary="Gives free memory back to the system.",
         complexity="Depends on how much memory is allocated, could be slow",
         tips=("request_policy:all_shards", "response_policy:all_succeeded"))  # fmt: skip
def memory_purge(session: Session, args: list[bytes]) -> bytes:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return OK


@command("MEMORY|MALLOC-STATS", arity=2, flags=0, group="server", since="4.0.0",
         summary="Gives the allocator's own statistics.",
         complexity="Depends on how much memory is allocated, could be slow", tips=_SHARDS)  # fmt: skip
def memory_malloc_stats(session: Session, args: list[bytes]) -> bytes:
    return bulk(NO_STATISTICS)
