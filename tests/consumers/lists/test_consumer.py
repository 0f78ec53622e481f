"""The consumer of plain lists against each server: taking, retrying, giving back, crashes, cuts."""

import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import coredis
import pytest

from consumers.errors import ConsumerError, Reject, Retry
from consumers.lists import ListConsumer
from consumers.lists.keys import digest
from consumers.lists.recovery import Recovery
from consumers.retry import Backoff
from tests.consumers.forked import ForkedProcess, forked
from tests.consumers.jobs.working import until
from tests.consumers.lists.program import consume
from tests.consumers.loops import run

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
SOON = Backoff(initial=0.05, factor=1, max=0.05, jitter=False)
ROUNDS = int(os.environ.get("TRIMARAN_KILL_ROUNDS", "3"))


@asynccontextmanager
async def running(
    consumer: ListConsumer, handler: Callable[[bytes], Awaitable[object]], grace: float = 5
) -> AsyncIterator[None]:
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await tasks.start(consumer.run, handler)
            yield
            await consumer.drain(grace)


async def left(client: Client) -> set[bytes]:
    return {key async for key in client.scan_iter()}


async def test_each_element_is_handled_and_gone(client: Client) -> None:
    await client.rpush("box", [str(n) for n in range(200)])
    got: list[bytes] = []

    async def handle(element: bytes) -> None:
        got.append(element)

    consumer = ListConsumer(client, "box")
    async with running(consumer, handle):
        await until(lambda: consumer.statistics.done == 200)
        assert got == [str(n).encode() for n in range(200)]
        await client.rpush("box", ["more", "\udcff".encode("utf-8", "surrogateescape"), ""])
        await until(lambda: consumer.statistics.done == 203)
        assert got[-3:] == [b"more", b"\xff", b""] and consumer.in_hand == 0
    assert await left(client) == set()


@pytest.mark.parametrize("take", ["left", "right"])
async def test_either_end_is_read_and_what_is_given_back_comes_first(client: Client, take: Any) -> None:
    push = client.rpush if take == "left" else client.lpush
    await push("box", [str(n) for n in range(5)])
    got: list[bytes] = []

    async def handle(element: bytes) -> None:
        got.append(element)
        await anyio.sleep_forever()

    consumer = ListConsumer(client, "box", take=take, concurrency=2, prefetch=4)
    async with running(consumer, handle, grace=0.1):
        await until(lambda: len(got) == 2)
    assert consumer.statistics.given_back == 4
    found = await client.lrange("box", 0, -1)
    assert (found if take == "left" else found[::-1]) == [b"0", b"1", b"2", b"3", b"4"]
    assert await left(client) == {b"box"}


async def test_what_fails_is_tried_again_and_then_dead(client: Client) -> None:
    await client.rpush("box", ["good", "bad", "spoilt", "late"])
    attempts: list[bytes] = []

    async def handle(element: bytes) -> None:
        attempts.append(element)
        if element == b"bad":
            raise ValueError("no")
        if element == b"spoilt":
            raise Reject("spoilt")
        if element == b"late" and attempts.count(b"late") == 1:
            raise Retry(delay=0.1)

    consumer = ListConsumer(client, "box", retries=2, backoff=SOON)
    async with running(consumer, handle):
        await until(lambda: consumer.statistics.dead == 2 and consumer.statistics.done == 2)
    assert Counter(attempts) == {b"good": 1, b"bad": 3, b"spoilt": 1, b"late": 2}
    assert await client.lrange("{box}:dead", 0, -1) == [b"spoilt", b"bad"]
    assert await left(client) == {b"{box}:dead"}


async def test_an_element_whose_handler_exits_is_dead_and_the_consumer_goes_on(client: Client) -> None:
    await client.rpush("box", ["exit", "good"])

    async def handle(element: bytes) -> None:
        if element == b"exit":
            sys.exit(3)

    consumer = ListConsumer(client, "box", retries=1, backoff=SOON)
    async with running(consumer, handle):
        await until(lambda: consumer.statistics.dead == 1 and consumer.statistics.done == 1)
    assert await client.lrange("{box}:dead", 0, -1) == [b"exit"]


async def test_dead_elements_are_dropped_where_nobody_wants_them(client: Client) -> None:
    await client.rpush("{box}:in", ["bad"])

    async def handle(element: bytes) -> None:
        raise Reject("no")

    consumer = ListConsumer(client, "{box}:in", dead_letter="")
    async with running(consumer, handle):
        await until(lambda: consumer.statistics.dead == 1)
    assert await left(client) == set()


async def test_what_a_dead_consumer_held_is_recovered_in_order(client: Client) -> None:
    await client.rpush("box", ["3"])
    await client.rpush("{box}:processing:x", [str(n) for n in range(3)])
    await client.sadd("{box}:consumers", ["x"])
    got: list[bytes] = []

    async def handle(element: bytes) -> None:
        got.append(element)
        await anyio.sleep(0.01)

    consumer = ListConsumer(client, "box", concurrency=1, alive=0.3)
    async with running(consumer, handle):
        await until(lambda: consumer.statistics.done == 4)
    assert sorted(got) == [b"0", b"1", b"2", b"3"] and consumer.statistics.recovered == 3
    assert [one for one in got if one != b"3"] == [b"0", b"1", b"2"]
    assert await left(client) == set()


async def test_a_living_consumer_keeps_what_it_holds(client: Client) -> None:
    await client.rpush("box", ["slow"])
    got: list[bytes] = []

    async def handle(element: bytes) -> None:
        got.append(element)
        await anyio.sleep(0.7)

    async def never(element: bytes) -> None:
        raise AssertionError

    first, second = ListConsumer(client, "box", alive=0.3), ListConsumer(client, "box", alive=0.3)
    async with running(first, handle):
        await until(lambda: got)
        async with running(second, never):
            await until(lambda: first.statistics.done == 1)
    assert got == [b"slow"] and second.statistics.recovered == 0


async def test_an_element_that_kills_its_consumers_is_dead(client: Client) -> None:
    crashed: list[bytes] = []

    async def handle(element: bytes) -> None:
        # as a crash would, it takes the element along
        kind = "alone" if len(crashed) == 2 else "processing"
        await client.rename(f"{{box}}:{kind}:y", f"{{box}}:{kind}:x{len(crashed)}")
        crashed.append(element)
        await anyio.sleep_forever()

    await client.rpush("box", ["killer"])
    for crashes in range(3):
        async with running(ListConsumer(client, "box", alive=0.1, recoveries=2, consumer="y"), handle, grace=0):
            await until(partial(longer_than, crashed, crashes))
        assert list(await client.hvals("{box}:recovered")) == ([str(crashes).encode()] if crashes else [])
        await client.delete(["box"])
        await client.sadd("{box}:consumers", [f"x{crashes}"])
    async with running(ListConsumer(client, "box", alive=0.1, recoveries=2), handle):
        while not await client.exists(["{box}:dead"]):
            await anyio.sleep(0.01)
    assert await client.lrange("{box}:dead", 0, -1) == [b"killer"]
    assert len(crashed) == 3 and await left(client) == {b"{box}:dead"}


def longer_than(some: list[bytes], length: int) -> bool:
    return len(some) > length


async def test_a_consumer_that_starts_again_under_its_name_begins_with_what_it_had(client: Client) -> None:
    await client.rpush("{box}:processing:me", ["mine"])
    await client.set("{box}:alive:me", "", ex=100)
    got: list[bytes] = []

    async def handle(element: bytes) -> None:
        got.append(element)

    consumer = ListConsumer(client, "box", consumer="me")
    async with running(consumer, handle):
        await until(lambda: got == [b"mine"])
    assert await left(client) == set()


async def test_recovery_does_not_chase_what_another_process_of_the_same_name_adds(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.rpush("{box}:processing:me", [str(n) for n in range(250)])
    real, rounds = Recovery._move_back, 0

    async def meanwhile(recovery: Recovery, name: str, own: bool) -> int:
        nonlocal rounds
        rounds += 1
        if rounds < 20:
            await client.rpush("{box}:processing:me", ["more"] * 100)
        return await real(recovery, name, own)

    monkeypatch.setattr(Recovery, "_move_back", meanwhile)

    async def handle(element: bytes) -> None: ...

    consumer = ListConsumer(client, "box", consumer="me")
    async with running(consumer, handle):
        assert rounds == 3


async def test_a_key_of_another_type_reaches_the_owner(client: Client) -> None:
    await client.set("box", "text")

    async def handle(element: bytes) -> None: ...

    with anyio.fail_after(60), pytest.raises(ConsumerError, match="wrong kind of value"):
        await ListConsumer(client, "box").run(handle)


def test_what_makes_no_sense_is_refused() -> None:
    client: Any = coredis.Redis("127.0.0.1", 1)
    for arguments in ({"concurrency": 0}, {"prefetch": 0}, {"alive": 0.01}, {"retries": -1}, {"recoveries": -1}):
        with pytest.raises(ValueError):
            ListConsumer(client, "box", **arguments)


@pytest.mark.spread
async def test_no_element_is_lost_when_consumers_are_killed(client: Client, server_url: str) -> None:
    chance = random.Random(4)
    processes: list[ForkedProcess] = []
    total = 0
    with anyio.fail_after(60 + 3 * ROUNDS):
        async with AsyncExitStack() as stack:

            async def start() -> None:
                processes.append(await stack.enter_async_context(forked(run, consume, server_url)))

            for _ in range(3):
                await start()
            for _ in range(ROUNDS):
                await client.rpush("box", [str(n) for n in range(total, total + 300)])
                total += 300
                await anyio.sleep(chance.uniform(0.2, 1.0))
                victim = processes.pop(chance.randrange(len(processes)))
                victim.kill()
                await victim.wait()
                await start()
            while {int(n) for n in await client.lrange("done", 0, -1)} != set(range(total)):
                await anyio.sleep(0.05)
            while any([await client.llen(key) async for key in client.scan_iter(match="{box}:processing:*")]):
                await anyio.sleep(0.05)
    done = Counter(await client.lrange("done", 0, -1))
    # only what a killed consumer had in hand was handled again
    assert sum(done.values()) - total <= ROUNDS * 8
    assert await client.llen("box") == 0


@pytest.mark.spread
@pytest.mark.parametrize("round", range(int(os.environ.get("TRIMARAN_CULPRIT_ROUNDS", "1"))))
async def test_the_element_that_ends_its_consumers_is_dead_and_no_other(
    client: Client, server_url: str, round: int
) -> None:
    chance = random.Random(round)
    elements = [str(n) for n in range(31)]
    elements.insert(chance.randrange(31), "crash")
    await client.rpush("box", elements)

    async def keep_running() -> None:
        while True:
            async with forked(run, consume, server_url, 3) as process:
                await process.wait()

    with anyio.fail_after(90):
        async with anyio.create_task_group() as tasks:
            for _ in range(1 + round % 2):
                tasks.start_soon(keep_running)
            while len(set(await client.lrange("done", 0, -1))) < 31 or not await client.llen("{box}:dead"):
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    assert await client.lrange("{box}:dead", 0, -1) == [b"crash"]
    assert await client.llen("crashed") == 4
    assert max(Counter(await client.lrange("begun", 0, -1)).values()) <= 3


async def test_a_suspect_runs_alone_and_may_fail_like_any_other(client: Client) -> None:
    await client.rpush("{box}:processing:x", ["good", "bad", "worse"])
    await client.hset("{box}:recovered", {digest(value): 1 for value in (b"good", b"bad", b"worse")})
    await client.sadd("{box}:consumers", ["x"])
    await client.rpush("box", [str(n) for n in range(30)])
    at_work = 0
    suspects: list[tuple[bytes, int]] = []

    async def handle(element: bytes) -> None:
        nonlocal at_work
        at_work += 1
        await anyio.sleep(0.05)
        at_work -= 1
        if not element.isdigit():
            suspects.append((element, at_work))
        if element == b"worse" or (element == b"bad" and [one for one, _ in suspects].count(b"bad") == 1):
            raise ValueError(element)

    consumer = ListConsumer(client, "box", alive=0.2, retries=1, backoff=SOON)
    async with running(consumer, handle):
        await until(lambda: consumer.statistics.done == 32 and consumer.statistics.dead == 1)
    assert suspects[:3] == [(b"good", 0), (b"bad", 0), (b"worse", 0)] and len(suspects) == 5
    assert await left(client) == {b"{box}:dead"}


async def test_a_suspect_whose_handler_is_cancelled_stays_one(client: Client) -> None:
    await client.rpush("{box}:suspects", ["a", "b"])
    begun = anyio.Event()

    async def handle(element: bytes) -> None:
        assert await client.lrange("{box}:alone:me", 0, -1) == [b"a"]
        begun.set()
        await anyio.sleep_forever()

    consumer = ListConsumer(client, "box", alive=0.2, consumer="me")
    async with running(consumer, handle, grace=0):
        await begun.wait()
    assert await client.lrange("{box}:suspects", 0, -1) == [b"a", b"b"] and await left(client) == {b"{box}:suspects"}


@pytest.mark.spread
async def test_nothing_is_lost_or_doubled_when_the_server_is_cut_off(server_url: str, client: Client) -> None:
    await client.rpush("box", [str(n) for n in range(600)])
    got: list[bytes] = []

    async def handle(element: bytes) -> None:
        got.append(element)
        await anyio.sleep(0.002)

    consumer = ListConsumer(client, "box", concurrency=4)
    async with running(consumer, handle):
        for _ in range(8):
            await anyio.sleep(0.03)
            await client.client_kill(type_="NORMAL", skipme=True)
        await until(lambda: consumer.statistics.done >= 600, seconds=20)
    assert Counter(got) == Counter(str(n).encode() for n in range(600))
    assert await left(client) == set()
