"""The places where telemetry takes part: nothing while it is off, once when it is on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest
import trio
from coredis.exceptions import ConnectionError

from consumers import tracing
from consumers.middleware import Middleware
from consumers.streams import Consumer, Producer
from tests.consumers.streams.running import Client, entries_of, running, until


class Instruments:
    def __init__(self) -> None:
        self.noted: list[tuple[tracing.Counts, str]] = []
        self.own = Middleware()

    def sending(
        self, name: str, destination: str, count: int, operation: str = "send"
    ) -> AbstractContextManager[tracing.Sending]:
        return nullcontext(tracing.Sending({"traceparent": name}))

    def hooks(self, group: str) -> Middleware:
        return self.own

    def depths(self, counts: tracing.Counts, group: str) -> None:
        self.noted.append((counts, group))


@pytest.fixture
def instruments() -> Iterator[Instruments]:
    made = Instruments()
    tracing.activate(made)
    yield made
    tracing.activate(None)


async def test_nothing_is_added_while_it_is_off(client: Client) -> None:
    assert tracing.active() is None and tracing.hooks_of([], "g") == ()
    with tracing.sending("s", "s", 1) as sending:
        assert sending is tracing.OFF and not sending.headers
    await Producer(client, "orders").publish({"n": 1})
    await Producer(client, "orders").publish_many([{"n": 2}])
    assert [set(fields) for _, fields in await entries_of(client, "orders")] == [{b"n"}] * 2


async def test_headers_are_added_unless_the_value_has_them(client: Client, instruments: Instruments) -> None:
    producer = Producer(client, "orders")
    await producer.publish({"n": 1})
    await producer.publish_many([{"n": 2}, {"n": 3, "traceparent": "own"}])
    fields = [fields.get(b"traceparent") for _, fields in await entries_of(client, "orders")]
    assert fields == [b"orders", b"orders", b"own"]


def test_hooks_come_first_and_once(instruments: Instruments) -> None:
    class Another(Middleware):
        pass

    another = Another()
    assert tracing.hooks_of([another], "g") == (instruments.own, another)
    own = Middleware()
    assert tracing.hooks_of([own], "g") == (own,)


async def test_depths_are_reported_until_it_is_switched_off(
    instruments: Instruments, autojump_clock: trio.testing.MockClock
) -> None:
    asked = 0

    async def query() -> tracing.Counts:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ConnectionError("away")
        if asked == 4:
            tracing.activate(None)
        return {"s": {"waiting": asked}}

    with trio.move_on_after(5 * tracing.DEPTH_SECONDS):
        await tracing.report_depths(query, "g")
    assert instruments.noted == [({"s": {"waiting": 1}}, "g"), ({"s": {"waiting": 3}}, "g")]


async def test_a_consumer_says_how_much_waits(client: Client, instruments: Instruments) -> None:
    begun, goes_on = trio.Event(), trio.Event()

    async def handler(message: object) -> None:
        begun.set()
        await goes_on.wait()

    await Producer(client, "orders").publish_many({"n": n} for n in range(5))
    consumer = Consumer(client, streams=["orders", "more"], group="billing", prefetch=1)
    async with running(consumer, handler):
        await begun.wait()
        await until(lambda: instruments.noted)
        counts, group = instruments.noted[0]
        assert (
            group == "billing" and set(counts) == {"orders", "more"} and counts["more"] == {"pending": 0, "waiting": 0}
        )
        assert sum(counts["orders"].values()) == 5
        goes_on.set()
