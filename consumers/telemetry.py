"""OpenTelemetry for consumers: a span for each handled entry, and metrics. Needs the package opentelemetry-api.

    Consumer(..., middleware=[OpenTelemetry(group="billing")])
    await producer.publish(traced({"customer": "a"}))

Names and attributes follow OpenTelemetry's semantic conventions for messaging. The span of a handler is a child of the
span in which the entry was published, if the producer sent its context along (`traced`), and it is the current span
while the handler runs.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry import context, metrics, propagate, trace

from consumers.middleware import Handled, Middleware

__all__ = ["OpenTelemetry", "traced"]

SCOPE = "trimaran.consumers"


def traced(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields plus those that carry the current trace context (traceparent, ...)."""
    carried: dict[str, Any] = {}
    propagate.inject(carried)
    return {**fields, **carried}


class OpenTelemetry(Middleware):
    """Traces and measures what handlers do.

    group: its name in spans and metrics. tracer_provider, meter_provider: used instead of the global ones.
    """

    def __init__(self, *, group: str = "", tracer_provider: Any = None, meter_provider: Any = None) -> None:
        self._attributes = {"messaging.system": "redis", "messaging.operation.type": "process"}
        if group:
            self._attributes["messaging.consumer.group.name"] = group
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "messaging.process.duration", unit="s", description="How long handlers took."
        )
        self._retries = meter.create_counter("messaging.process.retries", description="Entries to deliver again.")
        self._dead = meter.create_counter("messaging.process.dead", description="Entries that were given up.")
        # keyed by the message, which hashes by identity: the same entry may be in hand twice after a lost lease
        self._spans: dict[Handled, tuple[Any, Any]] = {}

    def start(self, message: Handled) -> None:
        carried = {name: value.decode("utf-8", "replace") for name, value in message.fields.items()}
        span = self._tracer.start_span(
            f"process {message.stream}",
            context=propagate.extract(carried),
            kind=trace.SpanKind.CONSUMER,
            attributes={
                **self._attributes,
                "messaging.destination.name": message.stream,
                "messaging.message.id": message.id,
                "messaging.redis.delivery_count": message.delivery_count,
            },
        )
        self._spans[message] = span, context.attach(trace.set_span_in_context(span))

    def success(self, message: Handled, seconds: float) -> None:
        self._end(message, None, seconds)

    def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
        self._end(message, error, seconds)

    def _end(self, message: Handled, error: BaseException | None, seconds: float) -> None:
        attributes = {**self._attributes, "messaging.destination.name": message.stream}
        span, token = self._spans.pop(message, (None, None))
        if span is not None:
            context.detach(token)
            if error is not None:
                span.record_exception(error)
                span.set_status(trace.StatusCode.ERROR, str(error))
                attributes["error.type"] = type(error).__qualname__
            span.end()
        self._duration.record(seconds, attributes)

    def retry(self, message: Handled, delay: float) -> None:
        self._retries.add(1, {**self._attributes, "messaging.destination.name": message.stream})

    def dead(self, message: Handled, reason: str) -> None:
        self._dead.add(1, {**self._attributes, "messaging.destination.name": message.stream})
