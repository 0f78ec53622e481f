"""Where metrics are pushed and how often: from options, and from OpenTelemetry's environment variables.

The variables are those of its SDK, in its units. An endpoint in the environment is enough for metrics to be pushed,
unless it is meant for another protocol or OpenTelemetry is switched off there. Headers, certificates, compression and
time-outs are read by the exporter itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["Settings", "names_endpoint", "settings"]

BASE, SIGNAL = "OTEL_EXPORTER_OTLP_{}", "OTEL_EXPORTER_OTLP_METRICS_{}"
INTERVAL, TIMEOUT = "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"
PATH = "/v1/metrics"
INTERVAL_MS, TIMEOUT_MS = 60_000.0, 30_000.0
PROTOCOL = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Settings:
    """endpoint: the URL for metrics. interval: seconds from one push to the next. timeout: seconds of one push."""

    endpoint: str
    interval: float
    timeout: float

    def redacted(self, text: str) -> str:
        """A text without the endpoint's query, which may hold a key."""
        query = urlsplit(self.endpoint).query
        return text.replace(query, "...") if query else text


def names_endpoint(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a collector, be it for this kind of program or not."""
    return any(environment.get(one.format("ENDPOINT"), "").strip() for one in (SIGNAL, BASE))


def settings(url: str | None, interval: float | None, environment: Mapping[str, str]) -> Settings | None:
    """Return the settings; None if nothing is to be pushed.

    url, interval: what the options say, which the environment does not override. Raises ValueError, in one line.
    """
    endpoint = _of_base("--otlp", url) if url is not None else _endpoint_in(environment)
    if endpoint is None:
        if interval is not None and not names_endpoint(environment):
            raise ValueError("--otlp-interval: there is no --otlp")
        return None
    temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
    if environment.get(temporality, "").strip().lower() == "delta":
        raise ValueError(f"{temporality}: counters of a server are pushed as cumulative sums only")
    every = _seconds(INTERVAL, INTERVAL_MS, environment) if interval is None else interval
    return Settings(endpoint, every, _seconds(TIMEOUT, TIMEOUT_MS, environment))


def _endpoint_in(environment: Mapping[str, str]) -> str | None:
    """Return the endpoint for metrics that the environment names."""
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if off or environment.get("OTEL_METRICS_EXPORTER", "").strip() == "none":
        return None
    own, base = SIGNAL.format("ENDPOINT"), BASE.format("ENDPOINT")
    if not names_endpoint(environment):
        return None
    for name in (SIGNAL.format("PROTOCOL"), BASE.format("PROTOCOL")):
        if protocol := environment.get(name, "").strip():
            if protocol != PROTOCOL:
                raise ValueError(f"{name}: {protocol} is not supported, only {PROTOCOL}")
            break
    if url := environment.get(own, "").strip():
        return _checked(own, url)
    return _of_base(base, environment[base].strip())


def _of_base(source: str, url: str) -> str:
    """Return the URL for metrics below a collector's, as OpenTelemetry composes it."""
    before, mark, query = _checked(source, url).partition("?")
    return url if before.endswith(PATH) else f"{before.removesuffix('/')}{PATH}{mark}{query}"


def _checked(source: str, url: str) -> str:
    """Return a URL. Raises ValueError if it can't be one of a collector. source: what names it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{source}: not a URL as http://collector:4318 is")
    if parts.username is not None:
        raise ValueError(f"{source}: credentials belong in OTEL_EXPORTER_OTLP_HEADERS, not in the URL")
    return url


def _seconds(name: str, default: float, environment: Mapping[str, str]) -> float:
    """Return the seconds of a variable in milliseconds."""
    text = environment.get(name, "").strip()
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise ValueError(f"{name}: {text!r} is not a number of milliseconds above zero")
    return number / 1000
