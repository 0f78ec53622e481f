"""What the tests of telemetry share: everything is traced and measured, in memory, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers import telemetry

__all__ = ["Telemetry", "instrumented"]


class Telemetry:
    """What was recorded."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider(metric_readers=[self._reader])
        self.tracer = self.tracers.get_tracer("test")

    def spans(self, name: str) -> list[Any]:
        """Those with this name that have ended, the first to end first."""
        found: list[ReadableSpan] = [span for span in self._exporter.get_finished_spans() if span.name == name]
        return found

    def points(self) -> dict[str, dict[frozenset[tuple[str, Any]], float]]:
        """By metric and attributes: the count of a histogram, or the value."""
        measured: Any = self._reader.get_metrics_data()
        return {
            metric.name: {
                frozenset(point.attributes.items()): getattr(point, "count", None) or point.value
                for point in metric.data.data_points
            }
            for metric in measured.resource_metrics[0].scope_metrics[0].metrics
        }

    def total(self, metric: str, **attributes: Any) -> float:
        """The sum of the points whose attributes end like these."""
        return sum(
            value
            for found, points in self.points().items()
            if found.endswith(metric)
            for point, value in points.items()
            if all(
                any(name.endswith(short) and one == wanted for name, one in point)
                for short, wanted in attributes.items()
            )
        )


@contextmanager
def instrumented(**options: Any) -> Iterator[Telemetry]:
    """Everything that is sent, and consumers that are created, in the block."""
    recorded = Telemetry()
    telemetry.instrument(tracer_provider=recorded.tracers, meter_provider=recorded.meters, **options)
    try:
        yield recorded
    finally:
        telemetry.uninstrument()
