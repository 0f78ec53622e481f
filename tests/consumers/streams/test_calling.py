"""Calls: a publisher waits for the answer of a consumer, by XCALL or without it, with the same results."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import coredis
import pytest
from coredis.exceptions import ConnectionError, WrongTypeError

from consumers.codecs import JsonCodec, MsgpackCodec
from consumers.streams import (
    AckPolicy,
    Consumer,
    DeadLettered,
    Message,
    NoResponders,
    Producer,
    Reject,
    calling,
    dead_letters,
    redrive,
)
from tests.consumers.network import network, trouble
from tests.consumers.servers import KINDS
from tests.consumers.streams.running import SOON, Client, dead, entries_of, pending, running, until

ALL = [*KINDS, "broker-extended"]
pytestmark = [pytest.mark.both_loops, pytest.mark.parametrize("server_kind", ALL, indirect=True)]

ADDERS: Any = {"stream": "sums", "group": "adders", "block": 1}


async def add(message: Message) -> None:
    total = sum(int(value) for value in message.data.values())
    assert await message.reply(total)


@asynccontextmanager
async def answering(client: Client, handler: Any = add, **options: Any) -> AsyncIterator[Producer[Any]]:
    """A producer of a stream, while a consumer with this handler reads it."""
    codec = {"codec": options["codec"]} if "codec" in options else {}
    async with (
        running(Consumer(client, **{**ADDERS, **options}), handler),
        Producer(client, "sums", **codec) as producer,
    ):
        yield producer


async def reply_keys(client: Client) -> list[bytes]:
    return list(await client.keys("*:reply:*"))


async def test_a_call_returns_the_answer(client: Client) -> None:
    async with answering(client) as sums:
        assert await sums.call({"add": 3, "to": 4}) == "7"
        assert await sums.call({"add": 5, "to": 6}, timeout=30) == "11"
    assert await pending(client, "sums", "adders") == 0
    assert len(await entries_of(client, "sums")) == 2
    assert await reply_keys(client) == []


class Fields:
    """A codec that knows nothing about answers."""

    def encode(self, value: list[int]) -> Mapping[str, bytes | str]:
        return {"first": str(value[0]), "second": bytes([value[1]])}

    def decode(self, fields: Mapping[str, bytes]) -> list[int]:
        assert set(fields) == {"first", "second"}
        return [int(fields["first"]), fields["second"][0]]


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (JsonCodec(), {"text": "\u00fc", "list": [1, None]}),
        (MsgpackCodec(), [datetime(2026, 1, 2, tzinfo=UTC), b"\xff"]),
        (Fields(), [12, 200]),
    ],
    ids=["json", "msgpack", "fields"],
)
async def test_answers_are_encoded_as_values_are(client: Client, codec: Any, value: Any) -> None:
    async def echo(message: Message[Any]) -> None:
        await message.reply(message.data)

    async with answering(client, echo, codec=codec) as sums:
        assert await sums.call(value) == value


async def test_an_answer_that_can_not_be_encoded_is_a_failure_of_the_handler(client: Client) -> None:
    async def handler(message: Message) -> None:
        await message.reply({} if message.delivery_count == 1 else "second")

    async with answering(client, handler, retry=SOON) as sums:
        assert await sums.call({"n": 1}) == "second"


async def test_a_handler_that_does_not_answer(client: Client) -> None:
    async def handler(message: Message) -> None: ...

    async with answering(client, handler) as sums:
        assert await sums.call({"n": 1}) is None
    async with answering(client, add, ack_policy=AckPolicy.ON_RECEIVE, max_deliver=1) as sums:
        # there it is acknowledged before the handler begins, whose answer would come too late
        assert await sums.call({"n": 1}) is None


async def test_what_is_settled_can_not_be_answered(client: Client) -> None:
    raised: list[str] = []

    async def handler(message: Message) -> None:
        if "first" in message.data:
            await message.ack()
        else:
            await message.reply("x")
        try:
            await message.reply("y")
        except RuntimeError as error:
            raised.append(str(error))

    async with answering(client, handler) as sums:
        assert await sums.call({"first": 1}) is None
        assert await sums.call({"second": 1}) == "x"
        await until(lambda: len(raised) == 2)
    assert "is settled already" in raised[0]


async def test_commands_are_executed_with_the_answer(client: Client) -> None:
    told: list[bool] = []

    async def handler(message: Message) -> None:
        told.append(await message.reply("done", (b"INCR", "effects"), (b"GET", "none")))

    async with answering(client, handler) as sums:
        assert await sums.call({"n": 1}) == "done"
        await sums.publish({"n": 2})
        await until(lambda: len(told) == 2)
    # nobody waits for what was only published
    assert told == [True, False]
    assert await client.get("effects") == b"2"


async def test_nobody_listens(client: Client) -> None:
    async with Producer(client, "sums") as sums:
        with pytest.raises(NoResponders, match="no group reads sums"):
            await sums.call({"n": 1})
        assert await client.exists(["sums"]) == 0
        await sums.publish({"n": 1})
        with pytest.raises(NoResponders):
            await sums.call({"n": 2})
        assert await client.xlen("sums") == 1
        await client.set("text", "x")
    async with Producer(client, "text") as text:
        with pytest.raises(WrongTypeError):
            await text.call({"n": 1})
    assert sorted(await client.keys("*")) == [b"sums", b"text"]


@pytest.mark.parametrize("dead_letter", ["sums.dead", None])
async def test_an_entry_that_is_given_up(client: Client, dead_letter: str | None) -> None:
    answers: list[bool] = []

    async def handler(message: Message) -> None:
        if "again" in message.data:
            raise ValueError("no number")
        if not message.data.get("fixed") and "redriven-id" not in message.data:
            raise Reject("never \u00fc")
        answers.append(await message.reply("late"))

    async with answering(client, handler, retry=SOON, max_deliver=2, dead_letter=dead_letter) as sums:
        with pytest.raises(DeadLettered, match="given up: never \u00fc") as raised:
            await sums.call({"n": 1})
        assert raised.value.reason == "never \u00fc"
        with pytest.raises(DeadLettered, match="failed 2 times: ValueError: no number"):
            await sums.call({"again": 1})
        if dead_letter is None:
            return
        assert [b"reply-token" in fields for fields in await dead(client, dead_letter)] == [False, False]
        assert await redrive(client, dead_letter, where=lambda letter: letter.reason.startswith("never")) == 1
        await until(lambda: answers)
    assert answers == [False]
    assert len([letter async for letter in dead_letters(client, "sums.dead")]) == 1


async def test_a_late_answer(client: Client, server_kind: str) -> None:
    begun, timed_out, answers = anyio.Event(), anyio.Event(), []

    async def handler(message: Message) -> None:
        begun.set()
        await timed_out.wait()
        answers.append(await message.reply("late"))

    async with answering(client, handler, prefetch=1) as sums:
        with pytest.raises(TimeoutError, match=r"no answer from sums within 1 s: .* it may still handle it"):
            await sums.call({"n": 1}, timeout=1)
        assert begun.is_set()
        with pytest.raises(TimeoutError):
            # nobody reads this one in time
            await sums.call({"n": 2}, timeout=0.05)
        assert await client.xlen("sums") == (1 if server_kind == "broker-extended" else 2)
        assert await reply_keys(client) == []
        timed_out.set()
        assert await sums.call({"n": 3}) == "late"
    assert answers[0] is False and answers[-1] is True
    assert await pending(client, "sums", "adders") == 0


async def connections(client: Client) -> int:
    return len(await client.client_list())


async def test_a_cancelled_call_leaves_a_clean_producer(client: Client, server_kind: str) -> None:
    reached, goes_on, answers = anyio.Event(), anyio.Event(), []

    async def handler(message: Message) -> None:
        if message.data["n"] == "1":
            reached.set()
            await goes_on.wait()
        answers.append(await message.reply(message.data["n"]))

    async with answering(client, handler) as sums:
        assert await sums.call({"n": 0}) == "0"
        with_one = await connections(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sums.call, {"n": 1})
            await reached.wait()
            assert await connections(client) == with_one
            tasks.cancel_scope.cancel()
        # one connection was closed, and where the caller had to take back a key another one was opened
        opened = 0 if server_kind == "broker-extended" else 1
        with anyio.fail_after(60):
            while await connections(client) != with_one - 1 + opened or await reply_keys(client):
                await anyio.sleep(0.005)
        assert await sums.call({"n": 2}) == "2"
        goes_on.set()
        await until(lambda: len(answers) == 3)
        assert answers == [True, True, False]
        assert await sums.call({"n": 3}) == "3"
        assert await connections(client) == with_one


async def test_the_number_of_connections_is_limited(client: Client) -> None:
    most = 0

    async def handler(message: Message) -> None:
        nonlocal most
        most = max(most, await connections(client))
        await message.reply(message.data["n"])

    got: dict[int, str] = {}

    async with answering(client, handler) as first, Producer(client, "sums", calls=3) as sums:
        assert await first.call({"n": 0}) == "0"
        before = await connections(client)

        async def call(n: int) -> None:
            got[n] = await sums.call({"n": n})

        async with anyio.create_task_group() as tasks:
            for n in range(30):
                tasks.start_soon(call, n)
    assert got == {n: str(n) for n in range(30)}
    assert most <= before + 3


async def test_a_call_waits_for_its_turn_no_longer_than_for_its_answer(client: Client) -> None:
    begun, goes_on = anyio.Event(), anyio.Event()

    async def handler(message: Message) -> None:
        begun.set()
        await goes_on.wait()
        await message.reply("x")

    async with (
        answering(client, handler),
        Producer(client, "sums", calls=1) as sums,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(sums.call, {"n": 1})
        await begun.wait()
        with pytest.raises(TimeoutError, match="1 calls were waiting all the time, so nothing was sent"):
            await sums.call({"n": 2}, timeout=0.05)
        assert await client.xlen("sums") == 1
        goes_on.set()


async def test_several_groups(client: Client) -> None:
    """Acknowledgements count once no group has the entry any more; the first answer counts."""
    watched, goes_on = [], anyio.Event()

    async def watch(message: Message) -> None:
        watched.append(message.id)

    async def handler(message: Message) -> None:
        await goes_on.wait()
        if "answer" in message.data:
            await message.reply("x")
        elif "die" in message.data:
            raise Reject("never")

    async with running(Consumer(client, **{**ADDERS, "group": "watchers"}), watch), answering(client, handler) as sums:
        results: dict[str, Any] = {}

        async def call(name: str) -> None:
            try:
                results[name] = await sums.call({name: 1})
            except DeadLettered as error:
                results[name] = error.reason

        async with anyio.create_task_group() as tasks:
            for name in ("answer", "none", "die"):
                tasks.start_soon(call, name)
            await until(lambda: len(watched) == 3)
            while await pending(client, "sums", "watchers"):
                await anyio.sleep(0.005)
            assert results == {}
            goes_on.set()
    assert results == {"answer": "x", "none": None, "die": "never"}


async def test_a_lost_connection(client: Client, server_url: str) -> None:
    begun, goes_on = anyio.Event(), anyio.Event()

    async def handler(message: Message) -> None:
        begun.set()
        await goes_on.wait()
        await message.reply("x")

    async with (
        running(Consumer(client, **ADDERS), handler),
        network(server_url) as between,
        coredis.Redis.from_url(between.url) as far,
        Producer(far, "sums") as sums,
    ):
        with pytest.raises(ConnectionError, match="a call on sums was in progress, and it is unknown whether"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cut_once, begun, between)
                try:
                    await sums.call({"n": 1})
                except ConnectionError as error:
                    lost = error
            raise lost
        goes_on.set()
        assert await sums.call({"n": 2}) == "x"


async def _cut_once(begun: anyio.Event, between: Any) -> None:
    await begun.wait()
    await between.cut()


async def test_a_server_that_falls_silent(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "ANSWER_SECONDS", 0.2)

    async def handler(message: Message) -> None:
        between.swallow_replies = "silent" in message.data
        await message.reply("x")

    async with (
        network(server_url) as between,
        running(Consumer(client, **ADDERS), handler),
        coredis.Redis.from_url(between.url) as far,
        Producer(far, "sums") as sums,
    ):
        with pytest.raises(TimeoutError, match="a call on sums was in progress"):
            await sums.call({"silent": 1}, timeout=0.2)
        between.swallow_replies = False
        assert await sums.call({"n": 3}) == "x"


async def test_a_failed_attempt_does_not_end_a_call(client: Client) -> None:
    async def handler(message: Message) -> None:
        if message.delivery_count == 1:
            raise ValueError("once")
        await message.reply(message.delivery_count)

    async with answering(client, handler, retry=SOON) as sums:
        assert await sums.call({"n": 1}) == "2"


@pytest.mark.parametrize("exact", [True, False])
async def test_a_call_trims(client: Client, exact: bool) -> None:
    async with answering(client) as _, Producer(client, "sums", maxlen=5, exact=exact) as sums:
        for n in range(12):
            assert await sums.call({"n": n}) == str(n)
        assert await client.xlen("sums") == 5 if exact else 12


async def test_what_a_call_needs(client: Client) -> None:
    sums = Producer(client, "sums")
    with pytest.raises(RuntimeError, match="async with producer"):
        await sums.call({"n": 1})
    async with sums:
        for timeout in (0, -1, float("inf")):
            with pytest.raises(ValueError):
                await sums.call({"n": 1}, timeout=timeout)
        with pytest.raises(TypeError):
            await sums.call({"n": 1}, timeout="1")  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="open already"):
            async with sums:
                pass
    with pytest.raises(ValueError):
        Producer(client, "sums", calls=0)
    with pytest.raises(KeyError):
        async with sums:
            raise KeyError


async def test_closing_the_producer_ends_its_calls(client: Client) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def handler(message: Message) -> None:
        begun.set()
        await ended.wait()

    async with running(Consumer(client, **ADDERS), handler), anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(ConnectionError):
                await sums.call({"n": 1})
            ended.set()

        async with Producer(client, "sums") as sums:
            tasks.start_soon(call)
            await begun.wait()


@pytest.mark.spread
async def test_no_caller_gets_anothers_answer(client: Client, server_url: str) -> None:
    """However its network fails and whatever is cancelled: the right answer, or an error."""
    chance = random.Random(0)

    async def handler(message: Message) -> None:
        await anyio.sleep(chance.uniform(0, 0.01))
        await message.reply(message.data["n"])

    async with (
        running(Consumer(client, **ADDERS), handler),
        network(server_url) as between,
        coredis.Redis.from_url(between.url) as far,
        Producer(far, "sums", calls=4) as sums,
        anyio.create_task_group() as tasks,
    ):

        async def call(number: int) -> None:
            while not calm.is_set():
                number += 1000
                with anyio.move_on_after(chance.uniform(0.002, 0.1)):
                    try:
                        assert await sums.call({"n": number}, timeout=1) == str(number)
                    except (ConnectionError, TimeoutError, OSError):
                        await anyio.sleep(0.01)
            assert await sums.call({"n": -number}) == str(-number)

        calm = anyio.Event()
        for number in range(6):
            tasks.start_soon(call, number)
        await trouble(between, "replies lost")
        calm.set()


async def test_an_answer_is_repeated_until_the_server_has_it(client: Client, server_url: str) -> None:
    async def handler(message: Message) -> None:
        between.refuse = True
        await between.cut()
        tasks.start_soon(mend)
        await message.reply("x")

    async def mend() -> None:
        await anyio.sleep(0.1)
        between.refuse = False

    async with (
        network(server_url) as between,
        coredis.Redis.from_url(between.url) as far,
        running(Consumer(far, **ADDERS), handler) as tasks,
        Producer(client, "sums") as sums,
    ):
        assert await sums.call({"n": 1}) == "x"
