"""OpenTelemetry's form of the metrics, and what an export says about its failure."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, MetricsData, Sum

from consumers.console.metrics.catalogue import CATALOGUE
from consumers.console.metrics.otlp import Exporter, Start, instance_of, metrics_data, resource_of
from consumers.console.metrics.reading import Reading
from tests.consumers.console.metrics.collector import collector
from tests.consumers.console.metrics.readings import ABOUT, READING


def data_of(reading: Reading = READING) -> MetricsData:
    return metrics_data(reading, resource_of(reading.about, "here:1"), 990.0)


def test_counters_are_sums_since_the_servers_start_and_all_else_are_gauges() -> None:
    [about] = data_of().resource_metrics
    [scope] = about.scope_metrics
    metrics: dict[str, Any] = {metric.name: metric for metric in scope.metrics}
    assert set(metrics) <= {metric.name for metric in CATALOGUE}
    commands = metrics["trimaran.commands"].data
    assert isinstance(commands, Sum) and commands.is_monotonic
    assert commands.aggregation_temporality is AggregationTemporality.CUMULATIVE
    [point] = commands.data_points
    assert (point.start_time_unix_nano, point.time_unix_nano, point.value) == (990 * 10**9, 1000 * 10**9, 10**12)
    memory = metrics["trimaran.memory.used"]
    assert isinstance(memory.data, Gauge) and (memory.unit, memory.description) == ("By", "Memory in use.")
    [dead] = metrics["trimaran.group.dead_letters"].data.data_points
    assert dead.attributes == {"stream": "orders", "group": 'a"\\\\n\\xff'}
    assert (dead.start_time_unix_nano, dead.value) == (0, 4), "nobody knows when the group was created"


def test_counters_begin_once_until_they_begin_again() -> None:
    def at(time: float, run: str, uptime: int, commands: int) -> Reading:
        found = {"run_id": run, "uptime_in_seconds": str(uptime), "total_commands_processed": str(commands)}
        return replace(READING, time=time, found=found)

    start = Start()
    assert start.of(at(1000.0, "a", 10, 5)) == 990.0
    assert start.of(at(1060.9, "a", 70, 9)) == 990.0, "uptimes are whole seconds: their start would vary"
    # CONFIG RESETSTAT, since the reading before
    assert start.of(at(1120.0, "a", 130, 1)) == 1060.9
    assert start.of(at(1180.0, "a", 190, 1)) == 1060.9
    # a restart
    assert start.of(at(1240.0, "b", 5, 2)) == 1235.0


def test_the_resource_is_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    found = resource_of(ABOUT, "here:1").attributes
    assert (found["service.name"], found["service.instance.id"]) == ("trimaran", "here:1")
    assert (found["service.version"], found["trimaran.server.kind"]) == ("1.0", "Trimaran")
    assert "service.version" not in resource_of(None, "here:1").attributes
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-7,deployment.environment.name=test")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders-broker")
    found = resource_of(ABOUT, "here:1").attributes
    assert (found["service.name"], found["service.instance.id"]) == ("orders-broker", "pod-7")
    assert (found["service.version"], found["deployment.environment.name"]) == ("1.0", "test")


@pytest.mark.parametrize(
    ("place", "instance"),
    [
        ("redis://queue.example", "queue.example:6379"),
        ("rediss://***@10.0.0.7:7000/3?x=y", "10.0.0.7:7000"),
        ("redis://[2001:db8::1]:7", "[2001:db8::1]:7"),
        ("redis://127.0.0.1:7", "{host}:7"),
        ("redis://***@[::1]:7", "{host}:7"),
        ("redis://localhost", "{host}:6379"),
        ("unix://***@/run/t.sock", "{host}:/run/t.sock"),
        ("redis+sentinel://***@a:1,b:2/name/0", "a:1,b:2/name/0"),
    ],
)
def test_the_instance_is_the_servers_address(place: str, instance: str) -> None:
    assert instance_of(place) == instance.format(host=socket.gethostname())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The exporter tries once."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.3")
    yield


def test_an_export_arrives_with_the_environments_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with collector() as there:
        exporter = Exporter(f"{there.url}/own/path")
        assert exporter.export(data_of()) == ""
        exporter.close()
    [pushed] = there.pushed
    assert (pushed.path, pushed.headers["api-key"]) == ("/own/path", "secret")
    assert pushed.value("trimaran.queue.waiting", library="rq", queue="default") == 3


@pytest.mark.parametrize(
    ("status", "text"), [(503, "503 Service Unavailable"), (401, "401 Unauthorized"), (302, "302 Found")]
)
def test_an_answer_that_is_no_success_is_named(status: int, text: str, impatient: None) -> None:
    with collector() as there:
        exporter = Exporter(there.url)
        there.status = status
        assert exporter.export(data_of()) == text
        there.status = 200
        assert exporter.export(data_of()) == ""
        exporter.close()


def test_a_collector_that_is_away_is_named(impatient: None) -> None:
    with collector() as there:
        pass
    exporter = Exporter(there.url)
    assert exporter.export(data_of()) == "Connection refused"
    exporter.close()


def test_a_collector_that_does_not_answer_is_named(impatient: None) -> None:
    with collector() as there:
        there.answering.clear()
        exporter = Exporter(there.url)
        assert "timed out" in exporter.export(data_of())
        exporter.close()
