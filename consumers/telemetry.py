"""OpenTelemetry: traces that go from where something is published to where it is handled, and metrics.

    from consumers import telemetry
    telemetry.instrument()

Once, before consumers and workers are created, in programs that publish or enqueue as well as in those that handle.
Needs the package opentelemetry-api; without an SDK that is set up, contexts are passed on and nothing is recorded.
Names and attributes follow OpenTelemetry's semantic conventions for messaging; what these lack is called
messaging.redis.*.

An entry carries the context of its sending in the fields traceparent and tracestate (W3C Trace Context), a job through
retries, delays, redrives and all jobs of a workflow. A handler's span is current while the handler runs, in the threads
of jobs too.

The attributes of metrics are names from the program (streams, groups, queues, jobs, classes of exceptions), never IDs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from consumers import tracing
from consumers.errors import cut_short
from consumers.headers import TRACEPARENT, TRACESTATE
from consumers.middleware import Handled, Middleware

__all__ = ["OpenTelemetry", "extract", "instrument", "traced", "uninstrument"]

SCOPE = "trimaran.consumers"
SYSTEM = {"messaging.system": "redis"}
DESTINATION, ERROR = "messaging.destination.name", "error.type"

_W3C = TraceContextTextMapPropagator()

OLDEST_ID = 10**12
"""Milliseconds since 1970: smaller numbers in IDs are not times."""


def instrument(*, tracer_provider: Any = None, meter_provider: Any = None, links: bool = False) -> None:
    """Have everything in this program traced and measured from now on, also after an earlier call.

    tracer_provider, meter_provider: used instead of the global ones. links: handlers begin traces of their own, which
    are only linked with the publisher's, instead of being part of it.
    """
    tracing.activate(_Instruments(tracer_provider, meter_provider, links))


def uninstrument() -> None:
    """Stop that, for what is sent from now on, and consumers and workers that are created from now on."""
    tracing.activate(None)


def traced(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields plus those that carry the current context, whatever the global propagator makes of it.

    For programs that don't call instrument().
    """
    carried: dict[str, Any] = {}
    propagate.inject(carried)
    return {**fields, **carried}


def extract(fields: Mapping[str, bytes]) -> context.Context:
    """Return the context that an entry's fields carry, for spans of your own: of messages that are pulled, or entries
    that are followed or replayed."""
    names = {TRACEPARENT, TRACESTATE, *propagate.get_global_textmap().fields}
    carrier = {name: fields[name].decode("utf-8", "replace") for name in names if name in fields}
    return propagate.extract(carrier, _W3C.extract(carrier))


class _Metrics:
    """The instruments of one meter."""

    def __init__(self, meter_provider: Any) -> None:
        meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        self.sent = meter.create_counter(
            "messaging.client.sent.messages", unit="{message}", description="Entries that were sent."
        )
        self.operation = meter.create_histogram(
            "messaging.client.operation.duration", unit="s", description="How long sending took."
        )
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages", unit="{message}", description="Entries given to handlers."
        )
        self.process = meter.create_histogram(
            "messaging.process.duration", unit="s", description="How long handlers took."
        )
        self.waited = meter.create_histogram(
            "messaging.redis.wait.duration", unit="s", description="How long entries waited in their stream."
        )
        self.retries = meter.create_counter("messaging.process.retries", description="Entries to deliver again.")
        self.dead = meter.create_counter("messaging.process.dead", description="Entries that were given up.")
        self.depth = meter.create_gauge(
            "messaging.redis.depth", unit="{message}", description="Entries in each state, as one client sees them."
        )


class _Sending(tracing.Sending):
    def __init__(self, span: trace.Span, headers: Mapping[str, str], count: int) -> None:
        super().__init__(headers)
        self.count = count
        self._span = span

    def sent(self, ids: Sequence[str]) -> None:
        self.count = self.count or len(ids)
        if len(ids) == 1:
            self._span.set_attribute("messaging.message.id", ids[0])
        if self.count != 1:
            self._span.set_attribute("messaging.batch.message_count", self.count)


class _Instruments:
    """What instrument() has switched on."""

    def __init__(self, tracer_provider: Any, meter_provider: Any, links: bool) -> None:
        self._providers = tracer_provider, meter_provider
        self._links = links
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._metrics = _Metrics(meter_provider)

    @contextmanager
    def sending(self, name: str, destination: str, count: int, operation: str = "send") -> Iterator[_Sending]:
        common = {**SYSTEM, DESTINATION: destination, "messaging.operation.name": operation}
        about: dict[str, Any] = {**common, "messaging.operation.type": "send"}
        begun, failed, span_name = time.perf_counter(), dict[str, str](), f"{operation} {name}"
        try:
            with self._tracer.start_as_current_span(span_name, kind=trace.SpanKind.PRODUCER, attributes=about) as span:
                carrier: dict[str, str] = {}
                _W3C.inject(carrier)
                sending = _Sending(span, carrier, count)
                try:
                    yield sending
                    count = sending.count
                except BaseException as error:
                    failed = {ERROR: type(error).__qualname__}
                    span.set_attributes(failed)
                    raise
        finally:
            self._metrics.operation.record(time.perf_counter() - begun, common | failed)
            self._metrics.sent.add(count, common | failed)

    def hooks(self, group: str) -> Middleware:
        tracers, meters = self._providers
        return OpenTelemetry(
            group=group, tracer_provider=tracers, meter_provider=meters, links=self._links, _metrics=self._metrics
        )

    def depths(self, counts: tracing.Counts, group: str) -> None:
        for destination, states in counts.items():
            for state, number in states.items():
                attributes = {**SYSTEM, DESTINATION: destination, "messaging.redis.state": state}
                self._metrics.depth.set(number, attributes | _group(group))


def _group(group: str) -> dict[str, str]:
    return {"messaging.consumer.group.name": group} if group else {}


class OpenTelemetry(Middleware):
    """Traces and measures what handlers do. instrument() gives one to every consumer and worker.

    group: its name in spans and metrics. tracer_provider, meter_provider, links: as for instrument().
    """

    def __init__(
        self,
        *,
        group: str = "",
        tracer_provider: Any = None,
        meter_provider: Any = None,
        links: bool = False,
        _metrics: _Metrics | None = None,
    ) -> None:
        self._group = _group(group)
        self._links = links
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        self._metrics = _metrics or _Metrics(meter_provider)
        # keyed by the message, which hashes by identity: the same entry may be in hand twice after a lost lease
        self._spans: dict[Handled, tuple[trace.Span, Any]] = {}

    def _common(self, message: Handled) -> dict[str, str]:
        """The attributes of metrics."""
        label = message.label
        job = {"messaging.redis.job.name": label.job} if label.job else {}
        return {
            **SYSTEM, "messaging.operation.name": "process", DESTINATION: label.destination, **self._group, **job,
        }  # fmt: skip

    def start(self, message: Handled) -> None:
        label, common = message.label, self._common(message)
        sent = extract(message.fields)
        link = trace.get_current_span(sent).get_span_context()
        attributes: dict[str, Any] = {
            **common,
            "messaging.operation.type": "process",
            "messaging.message.id": label.id,
            "messaging.redis.delivery_count": message.delivery_count,
        }
        if label.job:
            attributes["messaging.redis.job.attempt"] = label.attempt
        span = self._tracer.start_span(
            f"process {label.job or label.destination}",
            context=context.Context() if self._links else sent,
            kind=trace.SpanKind.CONSUMER,
            attributes=attributes,
            links=[trace.Link(link)] if link.is_valid else None,
        )
        self._spans[message] = span, context.attach(trace.set_span_in_context(span, sent))
        self._metrics.consumed.add(1, common)
        added = int(message.id.partition("-")[0])
        if added >= OLDEST_ID:
            self._metrics.waited.record(max(0.0, time.time() - added / 1000), common)

    def success(self, message: Handled, seconds: float) -> None:
        self._end(message, None, seconds)

    def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
        self._end(message, error, seconds)

    def _end(self, message: Handled, error: BaseException | None, seconds: float) -> None:
        attributes = self._common(message)
        started = self._spans.pop(message, None)
        if error is not None:
            attributes[ERROR] = type(error).__qualname__
        if started is not None:
            span, token = started
            context.detach(token)
            if not message.has_begun:
                # a job that was parked, postponed or dropped
                span.set_attribute("messaging.redis.job.begun", False)
            if error is not None:
                span.set_attribute(ERROR, attributes[ERROR])
                if cut_short(error) is None:
                    span.record_exception(error)
                    span.set_status(trace.StatusCode.ERROR, str(error))
            span.end()
        if message.has_begun or error is not None:
            self._metrics.process.record(seconds, attributes)

    def retry(self, message: Handled, delay: float) -> None:
        self._metrics.retries.add(1, self._common(message))

    def dead(self, message: Handled, reason: str) -> None:
        self._metrics.dead.add(1, self._common(message))
