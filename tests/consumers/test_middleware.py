"""Hooks around handlers: which are called, in which order, and that their failures change nothing."""

from typing import Any

import anyio

from consumers.middleware import Handled, Middleware, Middlewares
from consumers.streams import Consumer, Message, Producer, Reject
from tests.consumers.streams.running import SOON, Client, running, until


class Recorder(Middleware):
    """Notes every call."""

    def __init__(self, calls: list[tuple[Any, ...]], name: str = "") -> None:
        self._calls = calls
        self._name = name

    def start(self, message: Handled) -> None:
        self._calls.append((self._name, "start", message.delivery_count))

    def success(self, message: Handled, seconds: float) -> None:
        assert seconds >= 0
        self._calls.append((self._name, "success"))

    def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
        self._calls.append((self._name, "failure", type(error).__name__))

    def retry(self, message: Handled, delay: float) -> None:
        self._calls.append((self._name, "retry", delay))

    def dead(self, message: Handled, reason: str) -> None:
        self._calls.append((self._name, "dead", reason))


class Broken(Middleware):
    """Fails in every hook that a handled entry meets."""

    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self._error = error

    def start(self, message: Handled) -> None:
        raise self._error("broken hook")

    success = failure = retry = dead = start  # type: ignore[assignment]


async def test_the_life_of_an_entry_that_fails_once_and_of_one_that_is_rejected(client: Client) -> None:
    calls: list[tuple[Any, ...]] = []

    async def handler(message: Message) -> None:
        if message.data["n"] == "1":
            raise Reject("never")
        if message.delivery_count == 1:
            raise ValueError("once")

    consumer = Consumer(
        client, stream="orders", group="billing", consumer="a", retry=SOON, middleware=[Broken(), Recorder(calls)]
    )
    async with running(consumer, handler):
        await Producer(client, "orders").publish({"n": 0})
        await until(lambda: consumer.statistics.acknowledged == 1)
        await Producer(client, "orders").publish({"n": 1})
        await until(lambda: consumer.statistics.dead == 1)
    assert [call[1:] for call in calls] == [
        ("start", 1), ("failure", "ValueError"), ("retry", 0.05), ("start", 2), ("success",),
        ("start", 1), ("failure", "Reject"), ("dead", "never"),
    ]  # fmt: skip


async def test_a_cancelled_handler_is_a_failure_without_a_retry(client: Client) -> None:
    calls: list[tuple[Any, ...]] = []

    async def handler(message: Message) -> None:
        await anyio.sleep_forever()

    await Producer(client, "orders").publish({"n": 0})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a", middleware=[Recorder(calls)])
    async with anyio.create_task_group() as tasks:
        await tasks.start(consumer.run, handler)
        await until(lambda: calls)
        tasks.cancel_scope.cancel()
    assert [call[1:] for call in calls] == [("start", 1), ("failure", "Cancelled")]


def test_the_last_to_start_is_the_first_to_end() -> None:
    calls: list[tuple[Any, ...]] = []
    message: Any = type("Entry", (), {"delivery_count": 1})()
    hooks = Middlewares([Recorder(calls, "outer"), Recorder(calls, "inner")])
    hooks.start(message)
    hooks.success(message, 0.0)
    assert calls == [("outer", "start", 1), ("inner", "start", 1), ("inner", "success"), ("outer", "success")]


async def test_a_hook_that_exits_changes_nothing_either(client: Client) -> None:
    calls: list[tuple[Any, ...]] = []
    consumer = Consumer(client, stream="orders", group="billing", middleware=[Broken(SystemExit), Recorder(calls)])

    async def handler(message: Message) -> None: ...

    await Producer(client, "orders").publish({"n": 1})
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 1)
    assert calls == [("", "start", 1), ("", "success")]
