"""Wrong types are one clear error, at the call that passes them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import coredis
import pytest

from consumers import given
from consumers.fanout import follow, subscribe
from consumers.jobs import Backoff, Queue, Worker
from consumers.lists import ListConsumer
from consumers.streams import Consumer, Producer, Replay, Retry

CLIENT: Any = coredis.Redis("127.0.0.1", 1)
QUEUE = Queue("q")


def consumer(**settings: Any) -> Callable[[], object]:
    return lambda: Consumer(CLIENT, **{"stream": "s", "group": "g", **settings})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (consumer(stream=["a", "b"]), "stream is str, not list: ['a', 'b']"),
        (consumer(stream=None, streams="orders"), "streams are several names, not str: 'orders'"),
        (consumer(stream=None, streams=["a", 1]), "each of streams is str, not int: 1"),
        (consumer(group=7), "group is str, not int: 7"),
        (consumer(consumer=b"a"), "consumer is str, not bytes: b'a'"),
        (consumer(prefetch="8"), "prefetch is int, not str: '8'"),
        (consumer(concurrency=2.5), "concurrency is int, not float: 2.5"),
        (consumer(max_deliver=True), "max_deliver is int, not bool: True"),
        (consumer(ack_wait="30s"), "ack_wait is float or int or timedelta, not str: '30s'"),
        (consumer(dead_letter=["d"]), "dead_letter is str, not list: ['d']"),
        (consumer(retry=3), "retry is Backoff, not int: 3"),
        (consumer(start=5), "start is Start or str or datetime, not int: 5"),
        (consumer(order_by=5), "order_by is a function, not int: 5"),
        (lambda: Consumer("redis://x", stream="s", group="g"), "client is an entered coredis.Redis or"),  # type: ignore[arg-type]
        (lambda: Producer(CLIENT, ["a"]), "stream is str, not list"),  # type: ignore[arg-type]
        (lambda: Producer(CLIENT, "a", maxlen="5"), "maxlen is int, not str"),  # type: ignore[arg-type]
        (lambda: Replay(CLIENT, b"a"), "stream is str, not bytes"),  # type: ignore[arg-type]
        (lambda: ListConsumer(CLIENT, ["a"]), "name is str, not list"),  # type: ignore[arg-type]
        (lambda: Queue(5), "name is str, not int"),  # type: ignore[arg-type]
        (lambda: Queue("q", priorities="high"), "priorities are several names"),
        (lambda: Queue("q", keep_result="1h"), "keep_result is float or int or timedelta"),  # type: ignore[arg-type]
        (lambda: Worker("q"), "queue is Queue, not str"),  # type: ignore[arg-type]
        (lambda: Worker(QUEUE, concurrency="5"), "concurrency is int, not str"),  # type: ignore[arg-type]
        (lambda: Worker(QUEUE, lease=None), "lease is float or int or timedelta, not NoneType"),  # type: ignore[arg-type]
        (lambda: Backoff(initial="1"), "initial is float or int or timedelta"),  # type: ignore[arg-type]
        (lambda: QUEUE.job(retries="3")(print), "retries is int, not str"),  # type: ignore[arg-type]
        (lambda: QUEUE.job(timeout="3")(print), "timeout is float or int or timedelta"),  # type: ignore[arg-type]
    ],
)
def test_constructors(make: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Queue("\udcff"), "name is no valid Unicode text: "),
        (consumer(group="\ud800"), "group is no valid Unicode text: "),
        (consumer(stream=None, streams=["a", "\ud800"]), "each of streams is no valid Unicode text: "),
    ],
)
def test_names_that_could_not_be_sent(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


async def test_blocks() -> None:
    with pytest.raises(TypeError, match="the name of a channel is str or bytes, not list"):
        async with subscribe(CLIENT, ["news"]):  # type: ignore[arg-type]
            pass
    with pytest.raises(TypeError, match="stream is str or bytes, not list"):
        async with follow(CLIENT, ["orders"], "billing"):  # type: ignore[arg-type]
            pass
    with pytest.raises(TypeError, match="handler is a function, not NoneType"):
        await Consumer(CLIENT, stream="s", group="g").run(None)  # type: ignore[arg-type]


def test_priorities_do_not_collide_with_a_queues_own_keys() -> None:
    for priorities in (["now", "later"], ["bodies"], ["a", "a"], ["limits", "b"]):
        with pytest.raises(ValueError, match="priorities are names, each once, none of them"):
            Queue("q", priorities=priorities)


def test_durations_are_seconds_or_timedeltas() -> None:
    assert given.duration("x", timedelta(minutes=2)) == 120.0
    assert given.duration("x", 3) == 3.0
    assert Backoff(initial=timedelta(seconds=2), max=timedelta(hours=1)) == Backoff(2.0, 2.0, 3600.0)
    assert Retry("later", delay=timedelta(seconds=90)).delay == 90.0
    assert Consumer(CLIENT, stream="s", group="g", ack_wait=timedelta(minutes=1)).options.ack_wait == 60.0
    with pytest.raises(ValueError, match="x is not a number"):
        given.duration("x", float("nan"))
