"""A collector of OpenTelemetry, in a thread of the test's program: OTLP over HTTP, decoded."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

__all__ = ["Collector", "Pushed", "collector"]


class Pushed:
    """One push. headers: in lower case. resource: its attributes. metrics: by name, as protobuf has them."""

    def __init__(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        self.path = path
        self.headers = {name.lower(): value for name, value in headers.items()}
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        [about] = ExportMetricsServiceRequest.FromString(body).resource_metrics
        self.resource = _attributes(about.resource)
        [scope] = about.scope_metrics
        self.metrics: dict[str, Any] = {metric.name: metric for metric in scope.metrics}
        assert len(self.metrics) == len(scope.metrics)

    def points(self, name: str) -> list[Any]:
        """The points of a metric, none if there is no such metric."""
        metric = self.metrics.get(name)
        return [] if metric is None else list(getattr(metric, metric.WhichOneof("data")).data_points)

    def value(self, name: str, **attributes: str) -> float | None:
        """The value of the point with these attributes; None if there is none."""
        found = [
            getattr(point, point.WhichOneof("value")) for point in self.points(name) if _attributes(point) == attributes
        ]
        assert len(found) < 2
        return found[0] if found else None


def _attributes(message: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in message.attributes}


class Collector:
    """pushed: in order. status: of its answers. answering: cleared, nobody gets an answer until it is set again."""

    def __init__(self, port: int) -> None:
        self.pushed: list[Pushed] = []
        self.status = 200
        self.answering = threading.Event()
        self.answering.set()
        self.asked = 0
        """Requests that have begun."""
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.asked += 1
                collector.answering.wait()
                if collector.status == 200:
                    collector.pushed.append(Pushed(self.path, dict(self.headers), body))
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


@contextmanager
def collector(port: int = 0) -> Iterator[Collector]:
    """A collector during the block."""
    one = Collector(port)
    thread = threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield one
    finally:
        one.answering.set()
        one.server.shutdown()
        one.server.server_close()
        thread.join()
