"""The metrics as Prometheus's text.

Names follow from those of the list as OpenTelemetry defines it for Prometheus: underscores for dots, the unit's name
and `_total` behind.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from consumers.console.metrics.catalogue import Metric, series
from consumers.console.metrics.reading import Reading

__all__ = ["exposition", "prometheus_name"]

UNITS = {"By": "_bytes", "s": "_seconds"}


class _Families(Collector):
    """Metrics that were collected already."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Family]:
        return self._families


def prometheus_name(metric: Metric) -> str:
    """Return the name of a metric's samples."""
    return f"{metric.name.replace('.', '_')}{UNITS.get(metric.unit, '')}{'_total' if metric.counter else ''}"


def exposition(reading: Reading) -> bytes:
    """Return the page of /metrics."""
    families: list[Family] = []
    for one in series(reading):
        kind = CounterMetricFamily if one.metric.counter else GaugeMetricFamily
        family = kind(prometheus_name(one.metric), one.metric.description, labels=one.metric.attributes)
        for attributes, value in one.points:
            family.add_metric(attributes, value)
        families.append(family)
    if reading.about is not None:
        about = InfoMetricFamily("trimaran_server", "What kind of server it is.")
        about.add_metric([], {"kind": reading.about.kind, "version": reading.about.version, "mode": reading.about.mode})
        families.append(about)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry)
