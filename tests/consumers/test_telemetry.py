"""OpenTelemetry: a span for each attempt, a child of the publisher's, current in the handler; metrics beside them."""

from typing import Any

import anyio
import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.streams import Consumer, Message, Producer
from consumers.telemetry import OpenTelemetry, traced
from tests.consumers.streams.running import SOON, Client, running, until


async def test_each_attempt_has_a_span_below_the_publishers(client: Client) -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    hooks = OpenTelemetry(
        group="billing", tracer_provider=tracers, meter_provider=MeterProvider(metric_readers=[reader])
    )
    current: list[int] = []

    async def handler(message: Message) -> None:
        current.append(trace.get_current_span().get_span_context().span_id)
        await anyio.sleep(0)
        if message.data["n"] == "1":
            raise ValueError("no good")

    with tracers.get_tracer("test").start_as_current_span("publish") as publishing:
        await Producer(client, "orders").publish_many([traced({"n": n}) for n in range(2)])
    consumer = Consumer(
        client, stream="orders", group="billing", consumer="a", retry=SOON, max_deliver=2, middleware=[hooks],
        dead_letter="orders.dead",
    )  # fmt: skip
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1 and consumer.statistics.acknowledged == 1)
    spans: Any = [span for span in exporter.get_finished_spans() if span.name == "process orders"]
    assert sorted(span.context.span_id for span in spans) == sorted(current)
    assert {span.parent.span_id for span in spans} == {publishing.get_span_context().span_id}
    failed = [span for span in spans if span.status.status_code is trace.StatusCode.ERROR]
    assert [span.attributes["messaging.redis.delivery_count"] for span in failed] == [1, 2]
    assert spans[0].attributes["messaging.consumer.group.name"] == "billing"
    measured: Any = reader.get_metrics_data()
    points = {
        metric.name: sum(getattr(point, "count", None) or point.value for point in metric.data.data_points)
        for metric in measured.resource_metrics[0].scope_metrics[0].metrics
    }
    assert points == {
        "messaging.process.duration": 3, "messaging.process.retries": 1, "messaging.process.dead": 1,
    }  # fmt: skip
    assert not trace.get_current_span().get_span_context().is_valid
