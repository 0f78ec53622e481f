"""OpenTelemetry: traces from a publisher to its handlers, and metrics. For jobs see jobs/test_telemetry.py."""

import subprocess
import sys
from typing import Any

import anyio
import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, StatusCode

from consumers import telemetry
from consumers.streams import Consumer, DeadLettered, Message, Producer, Reject, Replay
from consumers.telemetry import OpenTelemetry, traced
from tests.consumers.streams.running import SOON, Client, entries_of, running, until
from tests.consumers.tracing import Telemetry, instrumented

pytestmark = pytest.mark.both_loops

BILLING: dict[str, Any] = {"stream": "orders", "group": "billing", "retry": SOON}


def id_of(span: Any) -> tuple[int, int]:
    found = span.get_span_context()
    return found.trace_id, found.span_id


def parent_of(span: Any) -> tuple[int, int]:
    return span.context.trace_id, span.parent.span_id


async def test_a_trace_goes_from_the_publisher_to_the_handler(client: Client) -> None:
    current: list[tuple[int, int]] = []

    async def handler(message: Message) -> None:
        current.append(id_of(trace.get_current_span()))
        await anyio.sleep(0)
        assert id_of(trace.get_current_span()) == current[-1]
        assert message.data == {"n": "1"}
        if message.delivery_count == 1:
            raise ValueError("no good")

    with instrumented() as recorded:
        consumer = Consumer(client, **BILLING)
        async with running(consumer, handler):
            with recorded.tracer.start_as_current_span("request") as request:
                id = await Producer(client, "orders").publish({"n": "1"})
            await until(lambda: consumer.statistics.acknowledged == 1)
    (sent,) = recorded.spans("send orders")
    assert parent_of(sent) == id_of(request) and sent.kind is SpanKind.PRODUCER
    assert sent.attributes == {
        "messaging.system": "redis", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.destination.name": "orders", "messaging.message.id": id,
    }  # fmt: skip
    failed, handled = recorded.spans("process orders")
    assert [id_of(failed), id_of(handled)] == current
    for count, span in enumerate((failed, handled), 1):
        assert parent_of(span) == id_of(sent) and span.kind is SpanKind.CONSUMER
        assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [id_of(sent)]
        assert {name: value for name, value in span.attributes.items() if name != "error.type"} == {
            "messaging.system": "redis", "messaging.operation.name": "process", "messaging.operation.type": "process",
            "messaging.destination.name": "orders", "messaging.message.id": id,
            "messaging.consumer.group.name": "billing", "messaging.redis.delivery_count": count,
        }  # fmt: skip
    assert failed.status.status_code is StatusCode.ERROR and failed.status.description == "no good"
    assert failed.attributes["error.type"] == "ValueError"
    assert [event.name for event in failed.events] == ["exception"]
    assert handled.status.status_code is StatusCode.UNSET and not handled.events
    assert not trace.get_current_span().get_span_context().is_valid


async def test_what_is_measured(client: Client) -> None:
    async def handler(message: Message) -> None:
        if message.data["n"] == "1":
            raise Reject("never")
        if message.data["n"] == "2" and message.delivery_count == 1:
            raise ValueError("once")

    with instrumented() as recorded:
        consumer = Consumer(client, **BILLING)
        producer = Producer(client, "orders")
        async with running(consumer, handler):
            await producer.publish({"n": 0})
            await producer.publish_many([{"n": 1}, {"n": 2}])
            with pytest.raises(ValueError):
                await producer.publish({})
            await until(lambda: consumer.statistics.acknowledged == 2 and consumer.statistics.dead == 1)
            await until(lambda: "messaging.redis.depth" in recorded.points())
    common = {("messaging.system", "redis"), ("messaging.destination.name", "orders")}
    points = recorded.points()
    assert all(common <= point for metric in points.values() for point in metric)
    sent, failed = {*common, ("messaging.operation.name", "send")}, ("error.type", "ValueError")
    assert points["messaging.client.sent.messages"] == {frozenset(sent): 3, frozenset({*sent, failed}): 1}
    assert points["messaging.client.operation.duration"] == {frozenset(sent): 2, frozenset({*sent, failed}): 1}
    mine = {*common, ("messaging.operation.name", "process"), ("messaging.consumer.group.name", "billing")}
    assert points["messaging.client.consumed.messages"] == {frozenset(mine): 4}
    assert points["messaging.redis.wait.duration"] == {frozenset(mine): 4}
    assert points["messaging.process.duration"] == {
        frozenset(mine): 2, frozenset({*mine, failed}): 1, frozenset({*mine, ("error.type", "Reject")}): 1,
    }  # fmt: skip
    assert points["messaging.process.retries"] == {frozenset(mine): 1}
    assert points["messaging.process.dead"] == {frozenset(mine): 1}
    group = ("messaging.consumer.group.name", "billing")
    depths = points["messaging.redis.depth"]
    assert frozenset({*common, group, ("messaging.redis.state", "pending")}) in depths
    (batch,) = [span for span in recorded.spans("send orders") if "messaging.batch.message_count" in span.attributes]
    assert batch.attributes["messaging.batch.message_count"] == 2 and "messaging.message.id" not in batch.attributes


async def test_links_instead_of_one_trace(client: Client) -> None:
    async def handler(message: Message) -> None: ...

    with instrumented(links=True) as recorded:
        consumer = Consumer(client, **BILLING)
        async with running(consumer, handler):
            await Producer(client, "orders").publish_many([{"n": 1}, {"n": 2}])
            await until(lambda: consumer.statistics.acknowledged == 2)
    (sent,) = recorded.spans("send orders")
    spans = recorded.spans("process orders")
    assert [span.parent for span in spans] == [None, None]
    assert len({span.context.trace_id for span in (sent, *spans)}) == 3
    assert [[(link.context.trace_id, link.context.span_id) for link in span.links] for span in spans] == [
        [id_of(sent)], [id_of(sent)],
    ]  # fmt: skip


async def test_a_call_is_one_trace(client: Client) -> None:
    async def handler(message: Message) -> None:
        if "die" in message.data:
            raise Reject("never")
        await message.reply("x")

    with instrumented() as recorded:
        async with running(Consumer(client, **BILLING), handler), Producer(client, "orders") as orders:
            assert await orders.call({"n": 1}) == "x"
            with pytest.raises(DeadLettered):
                await orders.call({"die": 1})
    answered, died = recorded.spans("call orders")
    handled, rejected = recorded.spans("process orders")
    assert parent_of(handled) == id_of(answered) and parent_of(rejected) == id_of(died)
    assert died.attributes["error.type"] == "DeadLettered" and died.status.status_code is StatusCode.ERROR


async def test_a_handler_that_is_cancelled_has_not_failed(client: Client) -> None:
    begun = anyio.Event()

    async def handler(message: Message) -> None:
        begun.set()
        await anyio.sleep_forever()

    with instrumented() as recorded:
        async with anyio.create_task_group() as tasks:
            await tasks.start(Consumer(client, **BILLING).run, handler)
            await Producer(client, "orders").publish({"n": 1})
            await begun.wait()
            tasks.cancel_scope.cancel()
    (span,) = recorded.spans("process orders")
    assert span.status.status_code is StatusCode.UNSET and not span.events
    assert span.attributes["error.type"] in ("Cancelled", "CancelledError")


async def test_contexts_of_messages_that_are_pulled_and_replayed(client: Client) -> None:
    with instrumented() as recorded:
        await Producer(client, "orders").publish({"n": 1})
    (sent,) = recorded.spans("send orders")
    async with Consumer(client, **BILLING).open() as messages:
        message = await anext(messages)
        assert id_of(trace.get_current_span(telemetry.extract(message.fields))) == id_of(sent)
        await message.ack()
    async with Replay(client, "orders").open() as entries:
        async for entry in entries:
            assert id_of(trace.get_current_span(telemetry.extract(entry.fields))) == id_of(sent)


async def test_hooks_by_hand(client: Client) -> None:
    """As before there was instrument(): the publisher adds the context, and a consumer is given hooks."""
    recorded = Telemetry()
    hooks = OpenTelemetry(group="billing", tracer_provider=recorded.tracers, meter_provider=recorded.meters)
    carried: list[object] = []

    async def handler(message: Message) -> None:
        carried.append(baggage.get_baggage("customer"))

    token = context.attach(baggage.set_baggage("customer", "ann"))
    with recorded.tracer.start_as_current_span("request") as request:
        await Producer(client, "orders").publish(traced({"n": 1}))
    context.detach(token)
    with instrumented() as other:
        consumer = Consumer(client, middleware=[hooks], **BILLING)
        async with running(consumer, handler):
            await until(lambda: consumer.statistics.acknowledged == 1)
    (span,) = recorded.spans("process orders")
    assert parent_of(span) == id_of(request) and carried == ["ann"]
    assert not other.spans("process orders")


async def test_nothing_is_carried_without_a_trace(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while it is off, nor without an SDK that is set up."""
    for switch in (telemetry.uninstrument, telemetry.instrument):
        switch()
        await Producer(client, "orders").publish({"n": 1})
    telemetry.uninstrument()
    assert [set(fields) for _, fields in await entries_of(client, "orders")] == [{b"n"}] * 2


@pytest.mark.trio_only("a process of its own")
def test_the_api_is_imported_only_by_those_who_use_it() -> None:
    program = (
        "import sys, consumers.jobs, consumers.streams; sys.exit(any('opentelemetry' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
