"""The list of metrics, and the points that a reading gives them.

Their number is bounded: at most STREAMS streams, GROUPS groups and QUEUES queues are named, in the order of their
names, and trimaran.left_out says how many are not. Counters are the server's own, so they survive a restart of the
console.

Names and units are OpenTelemetry's way of writing them; Prometheus's follow from these (prometheus.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from consumers.console.info import number, parts
from consumers.console.labels import label
from consumers.console.metrics.reading import Reading
from consumers.console.queues.library import Figures
from consumers.console.streams import GroupFigures, StreamFigures

__all__ = ["CATALOGUE", "GROUPS", "QUEUES", "SERVER", "STREAMS", "Metric", "Series", "series"]

STREAMS = 1000
GROUPS = 2000
QUEUES = 1000

LABEL_LIMIT = 200
"""Characters of a name in an attribute; what begins alike up to there counts as left out."""


@dataclass(frozen=True, slots=True)
class Metric:
    """unit: in UCUM, what is counted in braces, "" for truth values. attributes: the names of those that its points
    have. counter: whether it only grows while the server runs."""

    name: str
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    counter: bool = False

    def value(self, raw: float) -> int | float:
        """Return a figure as this metric's points have it: seconds are fractions, all else is counted."""
        if not math.isfinite(raw):
            raw = 0
        return float(raw) if self.unit == "s" else int(raw)


def _counter(name: str, unit: str, description: str) -> Metric:
    return Metric(name, unit, description, counter=True)


UP = Metric("trimaran.up", "", "Whether the server answers.")

SERVER = {
    "connected_clients": Metric("trimaran.connections", "{connection}", "Clients that are connected."),
    "blocked_clients": Metric("trimaran.blocked_clients", "{client}", "Clients that wait in a blocking command."),
    "used_memory": Metric("trimaran.memory.used", "By", "Memory in use."),
    "maxmemory": Metric("trimaran.memory.limit", "By", "The limit of memory, 0 without one."),
    "uptime_in_seconds": Metric("trimaran.uptime", "s", "Time since the server was started."),
    "connected_slaves": Metric("trimaran.replicas", "{replica}", "Replicas that are connected."),
    "rdb_changes_since_last_save": Metric(
        "trimaran.unsaved_changes", "{change}", "Changes since the last save to an RDB file."
    ),
    "rdb_last_save_time": Metric("trimaran.last_save_timestamp", "s", "When the last save succeeded."),
    "loading": Metric("trimaran.loading", "", "Whether the server is loading its data."),
    "total_commands_processed": _counter("trimaran.commands", "{command}", "Commands that were executed."),
    "total_connections_received": _counter(
        "trimaran.connections_received", "{connection}", "Connections that were accepted."
    ),
    "rejected_connections": _counter(
        "trimaran.connections_rejected", "{connection}", "Connections that were refused for the limit of clients."
    ),
    "keyspace_hits": _counter("trimaran.keyspace.hits", "{read}", "Reads that found their key."),
    "keyspace_misses": _counter("trimaran.keyspace.misses", "{read}", "Reads that did not."),
    "expired_keys": _counter("trimaran.expired_keys", "{key}", "Keys whose time to live was over."),
    "evicted_keys": _counter("trimaran.evicted_keys", "{key}", "Keys that were removed to save memory."),
    "total_net_input_bytes": _counter("trimaran.received", "By", "Bytes received from clients."),
    "total_net_output_bytes": _counter("trimaran.sent", "By", "Bytes sent to clients."),
    "total_error_replies": _counter("trimaran.error_replies", "{reply}", "Commands that failed."),
}
"""By INFO's fields."""

DATABASE = ("database",)
DATABASES = {
    "keys": Metric("trimaran.keys", "{key}", "Keys of a database.", DATABASE),
    "expires": Metric("trimaran.expiring_keys", "{key}", "Keys with a time to live.", DATABASE),
}
"""By the parts of INFO's fields for databases."""

ENTRIES = Metric("trimaran.stream.entries", "{entry}", "Entries of a stream.", ("stream",))
PARTITIONS = Metric(
    "trimaran.stream.partitions", "{partition}", "Partitions of a stream, whose figures are added up.", ("stream",)
)

GROUP = ("stream", "group")
GROUP_FIGURES = {
    "lag": Metric("trimaran.group.lag", "{entry}", "Entries that were not delivered to the group yet.", GROUP),
    "pending": Metric("trimaran.group.pending", "{entry}", "Entries that were delivered and not acknowledged.", GROUP),
    "consumers": Metric("trimaran.group.consumers", "{consumer}", "Consumers of the group.", GROUP),
    "oldest": Metric("trimaran.group.oldest_pending", "s", "Age of the oldest entry that is pending.", GROUP),
    "dead": Metric(
        "trimaran.group.dead_letters", "{entry}", "Entries that the group's policy has moved to the dead letters.",
        GROUP, counter=True,
    ),
}  # fmt: skip
"""By the attributes of GroupFigures."""

QUEUE = ("library", "queue")
QUEUE_FIGURES = {
    "waiting": Metric("trimaran.queue.waiting", "{job}", "Jobs that wait.", QUEUE),
    "running": Metric("trimaran.queue.running", "{job}", "Jobs in hand of workers.", QUEUE),
    "delayed": Metric("trimaran.queue.delayed", "{job}", "Jobs that wait for a time, a place or other jobs.", QUEUE),
    "dead": Metric("trimaran.queue.dead", "{job}", "Jobs that failed for good and are kept.", QUEUE),
    "workers": Metric("trimaran.queue.workers", "{worker}", "Workers that are alive.", QUEUE),
    "oldest": Metric("trimaran.queue.oldest", "s", "How long the oldest waiting job has waited.", QUEUE),
    "paused": Metric("trimaran.queue.paused", "", "Whether the queue is paused.", QUEUE),
}
"""By the attributes of Figures."""

LEFT_OUT = Metric("trimaran.left_out", "{name}", "Things beyond the limits of this list.", ("kind",))

CATALOGUE = (
    UP, *SERVER.values(), *DATABASES.values(), ENTRIES, PARTITIONS, *GROUP_FIGURES.values(),
    *QUEUE_FIGURES.values(), LEFT_OUT,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's points at one moment: the values of its attributes, and its own."""

    metric: Metric
    points: list[tuple[tuple[str, ...], int | float]] = field(default_factory=list)

    def add(self, attributes: tuple[str, ...], raw: float | None) -> None:
        """Add a point, unless nobody knows its value."""
        if raw is not None:
            self.points.append((attributes, self.metric.value(raw)))


def series(reading: Reading) -> list[Series]:
    """Return what a reading says about all metrics of which it says something."""
    up, left_out = Series(UP), Series(LEFT_OUT)
    up.add((), reading.up)
    found = [up, *_of_server(reading.found)]
    if reading.streams is not None:
        found += _of_streams(reading.streams, left_out)
    if reading.queues is not None:
        found += _of_queues(reading.queues, left_out)
    return [one for one in (*found, left_out) if one.points]


def _of_server(found: Mapping[str, str]) -> Iterator[Series]:
    for name, metric in SERVER.items():
        if name in found:
            one = Series(metric)
            one.add((), number(found, name))
            yield one
    databases = {
        name[2:]: parts(value) for name, value in found.items() if name.startswith("db") and name[2:].isdecimal()
    }
    for part, metric in DATABASES.items():
        one = Series(metric)
        for database, counts in databases.items():
            one.add((database,), number(counts, part))
        yield one


def _of_streams(streams: Sequence[StreamFigures], left_out: Series) -> list[Series]:
    entries, partitions, groups = Series(ENTRIES), Series(PARTITIONS), _series_by_field(GROUP_FIGURES)
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for stream in streams:
        name = label(stream.name, LABEL_LIMIT)
        if name in names or len(names) >= STREAMS:
            continue
        names.add(name)
        entries.add((name,), stream.entries)
        partitions.add((name,), stream.partitions)
        for group in stream.groups:
            attributes = name, label(group.name, LABEL_LIMIT)
            if attributes not in seen and len(seen) < GROUPS:
                seen.add(attributes)
                _add(groups, attributes, _group_values(group))
    left_out.add(("streams",), len(streams) - len(names))
    left_out.add(("groups",), sum(len(one.groups) + one.left_out for one in streams) - len(seen))
    return [entries, partitions, *groups.values()]


def _group_values(group: GroupFigures) -> dict[str, float | None]:
    values = {name: getattr(group, name) for name in GROUP_FIGURES}
    # an age of nothing is 0: a figure that comes and goes can't be alerted on
    return values if group.pending else {**values, "oldest": 0.0}


def _of_queues(queues: Sequence[Figures], left_out: Series) -> Iterable[Series]:
    found = _series_by_field(QUEUE_FIGURES)
    seen: set[tuple[str, str]] = set()
    for queue in sorted(queues, key=lambda one: (one.library, one.name)):
        attributes = queue.library, label(queue.name, LABEL_LIMIT)
        if attributes not in seen and len(seen) < QUEUES:
            seen.add(attributes)
            _add(found, attributes, {name: getattr(queue, name) for name in QUEUE_FIGURES})
    left_out.add(("queues",), len(queues) - len(seen))
    return found.values()


def _series_by_field(metrics: Mapping[str, Metric]) -> dict[str, Series]:
    return {name: Series(metric) for name, metric in metrics.items()}


def _add(found: Mapping[str, Series], attributes: tuple[str, ...], values: Mapping[str, float | None]) -> None:
    for name, value in values.items():
        found[name].add(attributes, value)
