"""Where metrics are pushed: options, and OpenTelemetry's variables."""

import pytest

from consumers.console.metrics.settings import Settings, settings

BASE, SIGNAL = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
ENDPOINT = "http://c:4318/v1/metrics"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://c:4318", ENDPOINT),
        ("http://c:4318/", ENDPOINT),
        (ENDPOINT, ENDPOINT),
        ("https://[::1]/otlp", "https://[::1]/otlp/v1/metrics"),
        ("http://c/otlp?key=1", "http://c/otlp/v1/metrics?key=1"),
    ],
)
def test_an_endpoint_for_metrics_is_below_the_collectors(url: str, endpoint: str) -> None:
    assert settings(url, None, {}) == settings(None, None, {BASE: url}) == Settings(endpoint, 60.0, 30.0)


def test_the_environment_is_enough() -> None:
    assert settings(None, None, {}) is None
    assert settings(None, None, {BASE: "", SIGNAL: " "}) is None
    assert settings(None, None, {BASE: "http://b", SIGNAL: "http://c/own"}) == Settings("http://c/own", 60.0, 30.0)
    protocol = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf"}
    assert settings(None, None, {BASE: "http://b", **protocol}) is not None


def test_options_come_before_the_environment() -> None:
    environment = {BASE: "http://b", "OTEL_METRIC_EXPORT_INTERVAL": "2500", "OTEL_METRIC_EXPORT_TIMEOUT": "500"}
    assert settings("http://c:4318", None, environment) == Settings(ENDPOINT, 2.5, 0.5)
    assert settings("http://c:4318", 7, environment) == Settings(ENDPOINT, 7, 0.5)
    assert settings("http://c:4318", None, {"OTEL_SDK_DISABLED": "true"}) is not None


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_METRICS_EXPORTER", "none")])
def test_the_environment_can_switch_it_off(name: str, value: str) -> None:
    assert settings(None, None, {BASE: "http://b", name: value}) is None
    # also where an interval is given
    assert settings(None, 5, {BASE: "http://b", name: value}) is None


def test_the_query_of_an_endpoint_is_not_shown() -> None:
    found = settings("http://c/?token=secret", None, {})
    assert (
        found is not None and found.redacted(f"can't reach {found.endpoint}") == "can't reach http://c/v1/metrics?..."
    )
    plain = Settings(ENDPOINT, 1, 1)
    assert plain.redacted(ENDPOINT) == ENDPOINT


@pytest.mark.parametrize(
    ("url", "interval", "environment", "text"),
    [
        ("collector:4318", None, {}, "--otlp: not a URL as http://collector:4318 is"),
        ("http://", None, {}, "--otlp: not a URL"),
        ("http://c:x", None, {}, "--otlp: not a URL"),
        ("http://u:secret@c", None, {}, "--otlp: credentials belong in OTEL_EXPORTER_OTLP_HEADERS, not in the URL"),
        (None, 5, {}, "--otlp-interval: there is no --otlp"),
        (None, 5, {BASE: " "}, "--otlp-interval: there is no --otlp"),
        (None, None, {BASE: "c:4317"}, f"{BASE}: not a URL"),
        (None, None, {SIGNAL: "c:4317"}, f"{SIGNAL}: not a URL"),
        (None, None, {BASE: "http://b", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
         "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not supported, only http/protobuf"),
        (None, None, {BASE: "http://b", "OTEL_METRIC_EXPORT_INTERVAL": "1m"},
         "OTEL_METRIC_EXPORT_INTERVAL: '1m' is not a number of milliseconds above zero"),
        ("http://b", None, {"OTEL_METRIC_EXPORT_TIMEOUT": "nan"}, "OTEL_METRIC_EXPORT_TIMEOUT: 'nan' is not"),
        ("http://b", None, {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta"},
         "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: counters of a server are pushed as cumulative sums only"),
    ],
)  # fmt: skip
def test_mistakes_are_told(url: str | None, interval: int | None, environment: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        settings(url, interval, environment)
    assert str(caught.value).startswith(text) and "secret" not in str(caught.value)
