"""A server's figures in short, of INFO: of Redis, Valkey and Trimaran alike; a cluster's primaries are added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coredis.exceptions import RedisError

from consumers.connecting import Client
from consumers.console.asking import ask_node, nodes
from consumers.console.info import fields, number, parts
from consumers.console.server import about_in

__all__ = ["Overview", "overview"]

SECTIONS = (
    b"server", b"clients", b"memory", b"stats", b"replication", b"persistence", b"keyspace", b"commandstats",
)  # fmt: skip
BUSIEST = 5


@dataclass(frozen=True, slots=True)
class Overview:
    """commands: per second, as the server measures it. received, sent: bytes per second. memory: bytes; limit 0: none.

    hits: the share of reads that found their key since the start, in percent; None without any. stored: how the data
    is kept in files, in words. busiest: commands and their shares of the time that all commands took, in
    percent.
    """

    kind: str
    version: str
    uptime: float
    clients: int
    blocked: int
    commands: float
    received: float
    sent: float
    memory: float
    memory_limit: float
    keys: int
    evicted: int
    hits: float | None
    stored: str
    replication: str
    busiest: list[tuple[str, float]]


async def overview(client: Client) -> Overview:
    """Ask the server. Raises RedisError."""
    found: list[dict[str, str]] = []
    for node in nodes(client):
        (reply,) = await ask_node(client, node, [(b"INFO", *SECTIONS)])
        if isinstance(reply, RedisError):
            raise reply
        found.append(fields(reply))
    return read(found)


def read(found: Sequence[Mapping[str, str]]) -> Overview:
    """Return the figures in the fields of one server, or of each of a cluster's."""
    first = found[0]

    def total(name: str) -> float:
        return sum(number(one, name) for one in found)

    about = about_in(first)
    hits, misses = total("keyspace_hits"), total("keyspace_misses")
    return Overview(
        kind=about.kind if len(found) == 1 else f"{len(found)} nodes of {about.kind}",
        version=about.version,
        uptime=number(first, "uptime_in_seconds"),
        clients=int(total("connected_clients")),
        blocked=int(total("blocked_clients")),
        commands=total("instantaneous_ops_per_sec"),
        received=total("instantaneous_input_kbps") * 1024,
        sent=total("instantaneous_output_kbps") * 1024,
        memory=total("used_memory"),
        memory_limit=total("maxmemory"),
        keys=int(sum(number(parts(one[name]), "keys") for one in found for name in one if _is_database(name))),
        evicted=int(total("evicted_keys")),
        hits=100 * hits / (hits + misses) if hits + misses else None,
        stored=_stored(first),
        replication=_replication(first),
        busiest=_busiest(found),
    )


def _is_database(name: str) -> bool:
    return name.startswith("db") and name[2:].isdecimal()


def _stored(first: Mapping[str, str]) -> str:
    """How well the data is kept: the append-only file, or what has changed since the last save."""
    if first.get("loading") == "1":
        return "loading"
    if number(first, "aof_enabled"):
        good = first.get("aof_last_write_status", "ok") == "ok"
        return "append-only file" if good else "append-only file: THE LAST WRITE FAILED"
    if first.get("rdb_last_bgsave_status", "ok") != "ok":
        return "THE LAST SAVE FAILED"
    changes = int(number(first, "rdb_changes_since_last_save"))
    return f"{changes:,} changes since the last save"


def _replication(first: Mapping[str, str]) -> str:
    if first.get("role") == "slave":
        link = first.get("master_link_status", "down")
        return f"replica of {first.get('master_host')}:{first.get('master_port')}, link {link}"
    return f"master, {int(number(first, 'connected_slaves'))} replicas"


def _busiest(found: Sequence[Mapping[str, str]]) -> list[tuple[str, float]]:
    spent: dict[str, float] = {}
    for one in found:
        for name, value in one.items():
            if name.startswith("cmdstat_"):
                command = name.removeprefix("cmdstat_")
                spent[command] = spent.get(command, 0.0) + number(parts(value), "usec")
    total = sum(spent.values())
    if not total:
        return []
    order = sorted(spent, key=lambda name: -spent[name])[:BUSIEST]
    return [(name, 100 * spent[name] / total) for name in order if spent[name]]
