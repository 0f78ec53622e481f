"""/metrics: figures in Prometheus's text format, from the same readings that pages show.

Their number is bounded: at most STREAMS streams, GROUPS groups and QUEUES queues are named, in the order of their
names, and trimaran_left_out says how many are not. Counters are the server's own, so they survive a restart of the
console.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from consumers.console.info import number, parts
from consumers.console.labels import label
from consumers.console.queues.library import Figures
from consumers.console.server import About
from consumers.console.streams import GroupFigures, StreamFigures

__all__ = ["exposition"]

STREAMS = 1000
GROUPS = 2000
QUEUES = 1000

LABEL_LIMIT = 200
"""Characters of a name in a label; what begins alike up to there counts as left out."""

GAUGES = (
    ("connections", "connected_clients", "Clients that are connected."),
    ("blocked_clients", "blocked_clients", "Clients that wait in a blocking command."),
    ("memory_used_bytes", "used_memory", "Memory in use."),
    ("memory_limit_bytes", "maxmemory", "The limit of memory, 0 without one."),
    ("uptime_seconds", "uptime_in_seconds", "Time since the server was started."),
    ("replicas", "connected_slaves", "Replicas that are connected."),
    ("unsaved_changes", "rdb_changes_since_last_save", "Changes since the last save to an RDB file."),
    ("last_save_timestamp_seconds", "rdb_last_save_time", "When the last save succeeded."),
    ("loading", "loading", "Whether the server is loading its data."),
)
COUNTERS = (
    ("commands", "total_commands_processed", "Commands that were executed."),
    ("connections_received", "total_connections_received", "Connections that were accepted."),
    ("connections_rejected", "rejected_connections", "Connections that were refused for the limit of clients."),
    ("keyspace_hits", "keyspace_hits", "Reads that found their key."),
    ("keyspace_misses", "keyspace_misses", "Reads that did not."),
    ("expired_keys", "expired_keys", "Keys whose time to live was over."),
    ("evicted_keys", "evicted_keys", "Keys that were removed to save memory."),
    ("received_bytes", "total_net_input_bytes", "Bytes received from clients."),
    ("sent_bytes", "total_net_output_bytes", "Bytes sent to clients."),
    ("error_replies", "total_error_replies", "Commands that failed."),
)
GROUP_GAUGES = (
    ("group_lag", "Entries that were not delivered to the group yet."),
    ("group_pending", "Entries that were delivered and not acknowledged."),
    ("group_consumers", "Consumers of the group."),
    ("group_oldest_pending_seconds", "Age of the oldest entry that is pending."),
)
QUEUE_GAUGES = (
    ("queue_waiting", "waiting", "Jobs that wait."),
    ("queue_running", "running", "Jobs in hand of workers."),
    ("queue_delayed", "delayed", "Jobs that wait for a time, a place or other jobs."),
    ("queue_dead", "dead", "Jobs that failed for good and are kept."),
    ("queue_workers", "workers", "Workers that are alive."),
    ("queue_oldest_seconds", "oldest", "How long the oldest waiting job has waited."),
    ("queue_paused", "paused", "Whether the queue is paused."),
)


class _Families(Collector):
    """Metrics that were collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(
    about: About | None,
    found: Mapping[str, str],
    streams: Sequence[StreamFigures] | None,
    queues: Sequence[Figures] | None,
) -> bytes:
    """Return the page. about: the server, None if it can't be reached. found: INFO's fields.

    streams, queues: None if they could not be read.
    """
    families: list[Metric] = [GaugeMetricFamily("trimaran_up", "Whether the server answers.", value=about is not None)]
    left_out = GaugeMetricFamily("trimaran_left_out", "Things beyond the limits of this page.", labels=["kind"])
    if about is not None:
        server = InfoMetricFamily("trimaran_server", "What kind of server it is.")
        server.add_metric([], {"kind": about.kind, "version": about.version, "mode": about.mode})
        families += [server, *_of_server(found)]
    if streams is not None:
        families += _of_streams(streams, left_out)
    if queues is not None:
        families += _of_queues(queues, left_out)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([*families, left_out]))
    return generate_latest(registry)


def _of_server(found: Mapping[str, str]) -> Iterator[Metric]:
    for name, field, text in GAUGES:
        if field in found:
            yield GaugeMetricFamily(f"trimaran_{name}", text, value=number(found, field))
    for name, field, text in COUNTERS:
        if field in found:
            yield CounterMetricFamily(f"trimaran_{name}", text, value=number(found, field))
    keys = GaugeMetricFamily("trimaran_keys", "Keys of a database.", labels=["database"])
    expiring = GaugeMetricFamily("trimaran_expiring_keys", "Keys with a time to live.", labels=["database"])
    for field, value in found.items():
        if field.startswith("db") and field[2:].isdecimal():
            keys.add_metric([field[2:]], number(parts(value), "keys"))
            expiring.add_metric([field[2:]], number(parts(value), "expires"))
    yield keys
    yield expiring


def _of_streams(streams: Sequence[StreamFigures], left_out: GaugeMetricFamily) -> list[Metric]:
    entries = GaugeMetricFamily("trimaran_stream_entries", "Entries of a stream.", labels=["stream"])
    partitions = GaugeMetricFamily(
        "trimaran_stream_partitions", "Partitions of a stream, whose figures are added up.", labels=["stream"]
    )
    gauges = [
        GaugeMetricFamily(f"trimaran_{name}", text, labels=["stream", "group"]) for name, text in GROUP_GAUGES
    ]  # fmt: skip
    dead = CounterMetricFamily(
        "trimaran_group_dead_letters", "Entries that the group's policy has moved to the dead letters.",
        labels=["stream", "group"],
    )  # fmt: skip
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for stream in streams:
        name = label(stream.name, LABEL_LIMIT)
        if name in names or len(names) >= STREAMS:
            continue
        names.add(name)
        entries.add_metric([name], stream.entries)
        if stream.partitions is not None:
            partitions.add_metric([name], stream.partitions)
        for group in stream.groups:
            labels = (name, label(group.name, LABEL_LIMIT))
            if labels not in seen and len(seen) < GROUPS:
                seen.add(labels)
                _add_group(gauges, dead, labels, group)
    left_out.add_metric(["streams"], len(streams) - len(names))
    left_out.add_metric(["groups"], sum(len(one.groups) + one.left_out for one in streams) - len(seen))
    return [entries, partitions, *gauges, dead]


def _add_group(
    gauges: Sequence[GaugeMetricFamily], dead: CounterMetricFamily, labels: Sequence[str], group: GroupFigures
) -> None:
    values = (group.lag, group.pending, group.consumers, group.oldest if group.pending else 0.0)
    for gauge, value in zip(gauges, values, strict=True):
        if value is not None:
            gauge.add_metric(labels, value)
    if group.dead is not None:
        dead.add_metric(labels, group.dead)


def _of_queues(queues: Sequence[Figures], left_out: GaugeMetricFamily) -> list[Metric]:
    gauges = [
        (GaugeMetricFamily(f"trimaran_{name}", text, labels=["library", "queue"]), field)
        for name, field, text in QUEUE_GAUGES
    ]
    seen: set[tuple[str, str]] = set()
    for queue in sorted(queues, key=lambda one: (one.library, one.name)):
        labels = (queue.library, label(queue.name, LABEL_LIMIT))
        if labels in seen or len(seen) >= QUEUES:
            continue
        seen.add(labels)
        for gauge, field in gauges:
            if (value := getattr(queue, field)) is not None:
                gauge.add_metric(labels, float(value))
    left_out.add_metric(["queues"], len(queues) - len(seen))
    return [gauge for gauge, _ in gauges]
