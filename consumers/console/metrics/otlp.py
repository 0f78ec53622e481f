"""The metrics as OpenTelemetry has them, and their export by its exporter.

The data is built here instead of by the SDK's meters: these begin their sums when they are created, while a server's
counters began with the server; and what the metrics are about, the resource, may only be known later.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from consumers.addresses import PORT
from consumers.console.info import number
from consumers.console.metrics.catalogue import SERVER, Series, series
from consumers.console.metrics.reading import Reading
from consumers.console.server import About

__all__ = ["Exporter", "Start", "instance_of", "metrics_data", "resource_of"]

SCOPE = InstrumentationScope("trimaran.console")
COUNTERS = tuple(name for name, metric in SERVER.items() if metric.counter)


class Start:
    """When the server's counters began, in seconds since 1970: one time for all readings until they begin again."""

    def __init__(self) -> None:
        self._run = ""
        self._at = 0.0
        self._before: tuple[float, dict[str, float]] = 0.0, {}

    def of(self, reading: Reading) -> float:
        """Return the time for this reading; readings are to be passed in order."""
        run, counts = reading.found.get("run_id", ""), {name: number(reading.found, name) for name in COUNTERS}
        if run != self._run:
            # by this host's clock, which the points have, too
            self._run, self._at = run, reading.time - number(reading.found, "uptime_in_seconds")
        elif any(counts[name] < before for name, before in self._before[1].items()):
            # CONFIG RESETSTAT
            self._at = self._before[0]
        self._before = reading.time, counts
        return self._at


def metrics_data(reading: Reading, resource: Resource, start: float) -> MetricsData:
    """Return a reading in OpenTelemetry's form. start: when the server's counters began, in seconds since 1970."""
    metrics = [_metric(one, reading.time, start) for one in series(reading)]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(SCOPE, metrics, "")], "")])


def _metric(one: Series, time: float, start: float) -> Metric:
    metric = one.metric
    # nobody knows when a group was created
    start_ns = int(start * 1e9) if metric.counter and not metric.attributes else 0
    points = [
        NumberDataPoint(dict(zip(metric.attributes, attributes, strict=True)), start_ns, int(time * 1e9), value)
        for attributes, value in one.points
    ]
    data = Sum(points, AggregationTemporality.CUMULATIVE, True) if metric.counter else Gauge(points)
    return Metric(metric.name, metric.description, metric.unit, data)


def resource_of(about: About | None, instance: str) -> Resource:
    """Return what the metrics are about. What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes first."""
    ours = {"service.name": "trimaran", "service.instance.id": instance}
    if about is not None:
        ours |= {
            "service.version": about.version, "trimaran.server.kind": about.kind, "trimaran.server.mode": about.mode,
        }  # fmt: skip
    given: Mapping[str, Any] = OTELResourceDetector().detect().attributes
    resource: Resource = Resource.create({name: value for name, value in ours.items() if name not in given})
    return resource


def instance_of(place: str) -> str:
    """Return what tells the server from others: its address, with this host's name for this host.

    place: its URL without a password.
    """
    scheme, _, rest = place.partition("://")
    rest = rest.partition("?")[0].rpartition("@")[2]
    if scheme == "unix":
        return f"{socket.gethostname()}:{rest}"
    if "+" in scheme:
        return rest
    parts = urlsplit(f"//{rest}")
    host = parts.hostname or "localhost"
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        here = False
    host = socket.gethostname() if here else f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port or PORT}"


class _Session(requests.Session):
    """Remembers why the last request has failed, which the exporter only logs."""

    failure = ""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        try:
            response = super().send(request, **kwargs)
        except requests.RequestException as error:
            self.failure = _reason(error)
            raise
        # the exporter does not follow redirections, and considers them a success
        self.failure = "" if response.status_code < 300 else f"{response.status_code} {response.reason}"
        return response


def _reason(error: BaseException) -> str:
    """Return the text of the operating system's error, if there is one: what has wrapped it only repeats the URL."""
    cause: BaseException | None = error
    while cause is not None and (not isinstance(cause, OSError) or isinstance(cause, requests.RequestException)):
        cause = cause.__cause__ or cause.__context__
    found = cause or error
    text = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
    return " ".join(text.split()) or type(found).__name__


class Exporter:
    """Sends metrics to an endpoint, on the thread that calls it; one at a time."""

    def __init__(self, endpoint: str) -> None:
        self._session = _Session()
        self._exporter = OTLPMetricExporter(endpoint=endpoint, session=self._session)

    def export(self, data: MetricsData) -> str:
        """Send metrics, again and again for a while if need be. Returns why that has failed, or ""."""
        self._session.failure = ""
        try:
            done = self._exporter.export(data) is MetricExportResult.SUCCESS
        except requests.RequestException:
            # older exporters only handle some
            done = False
        return self._session.failure or ("" if done else "the metrics could not be encoded")

    def close(self) -> None:
        """End an export that goes on in another thread, as soon as it waits to try again."""
        self._exporter.shutdown()
