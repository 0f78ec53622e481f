"""OpenTelemetry: the programs push metrics to a collector, by options, directives and the environment."""

import sys
from pathlib import Path

import pytest
import redis

from tests.clients.processes import logs_of, until, worker
from tests.consumers.console.metrics.collector import collector
from tests.oracle.servers import free_port


def test_a_console_pushes_while_it_runs_and_at_its_end(tmp_path: Path) -> None:
    with collector() as there:
        words = ["ui", "--port", "0", "--url", "redis://127.0.0.1:1", "--otlp", there.url, "--otlp-interval", "3600"]
        with worker("console", [sys.executable, "-m", "broker", *words], tmp_path) as console:
            until(lambda: there.pushed, "a push", lambda: logs_of(tmp_path))
        assert console.returncode == 0
    assert [one.value("trimaran.up") for one in there.pushed] == [0, 0]


def test_a_console_pushes_where_the_environment_says(tmp_path: Path) -> None:
    with collector() as there:
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": there.url, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret",
            "OTEL_METRIC_EXPORT_INTERVAL": "50", "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7",
        }  # fmt: skip
        words = ["ui", "--port", "0", "--url", "redis://127.0.0.1:1"]
        with worker("console", [sys.executable, "-m", "broker", *words], tmp_path, **environment):
            until(lambda: len(there.pushed) > 1, "a push", lambda: logs_of(tmp_path))
    assert there.pushed[0].headers["api-key"] == "secret"
    assert there.pushed[0].resource["service.instance.id"] == "pod-7"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_brokers_own_console_pushes_where_a_password_is_needed(tmp_path: Path) -> None:
    secret, port = "s3cr3t&more", free_port()
    with collector() as there:
        words = [
            "serve", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path),
            "--http-port", str(free_port()), "--requirepass", secret, "--otlp-password", secret,
            "--otlp-endpoint", there.url, "--otlp-interval", "1",
        ]  # fmt: skip
        with worker("broker", [sys.executable, "-m", "broker", *words], tmp_path) as process:
            until(lambda: there.pushed, "a push", lambda: logs_of(tmp_path))
            with redis.Redis(port=port, password=secret) as client:
                client.xadd("orders", {"total": "12"})
            pushed = until(
                lambda: there.pushed[-1].value("trimaran.stream.entries", stream="orders") == 1 and there.pushed[-1],
                "the stream is pushed", lambda: logs_of(tmp_path),
            )  # fmt: skip
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            assert not any(secret in Path(f"/proc/{child}/cmdline").read_text() for child in children)
        assert process.returncode == 0
    [commands] = pushed.points("trimaran.commands")
    assert commands.as_int > 0 and pushed.resource["trimaran.server.kind"] == "Trimaran"
    assert there.pushed[-1].value("trimaran.up") == 0, "the console outlives the broker by one push"
