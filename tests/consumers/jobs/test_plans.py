"""Schedules that are made, changed, paused and removed at run time; their jitter, and what becomes of missed times."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import anyio
import coredis
import pytest
import trio.testing

from consumers.jobs import Debounce, JobState, Queue, Schedule, Worker, current_job
from consumers.jobs.names import Keys
from consumers.jobs.plans import Plan, zone_name
from tests.consumers.jobs.working import SOON, keys, on_test_clock, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]

EACH_SECOND, EACH_MINUTE, EACH_HOUR = "* * * * * *", "* * * * *", "0 * * * *"


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def schedules(queue: Queue) -> list[Schedule]:
    return [one async for one in queue.schedules()]


def test_a_plan_tells_its_times() -> None:
    plan = Plan(
        job="work", arguments=b"", stream="s", expression="30 4 * * *", zone="Europe/Vienna", jitter=0, missed="once"
    )
    morning = datetime(2026, 7, 1, 0, 0, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(plan.periodic("name").after(morning), UTC).hour == 2
    with pytest.raises(ValueError, match="the time zone 'Moon/Base' is unknown here"):
        Plan(
            job="", arguments=b"", stream="", expression=EACH_HOUR, zone="Moon/Base", jitter=0, missed="once"
        ).periodic("")
    assert zone_name(UTC) == zone_name(ZoneInfo("UTC")) == "UTC"
    with pytest.raises(ValueError, match="or a ZoneInfo with a name"):
        zone_name(timezone(timedelta(hours=1)))


async def test_a_damaged_schedule_holds_up_no_other_and_is_replaced(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    await client.hset(queue.keys.plans, {"broken": b"\xc1"})
    assert await queue.schedule("whole", work.call(1), EACH_HOUR)
    assert [one.name for one in await schedules(queue)] == ["whole"]
    async with Worker(queue).open():
        assert await queue.schedule("broken", work.call(2), EACH_HOUR)
    assert [one.name for one in await schedules(queue)] == ["broken", "whole"]


@pytest.mark.parametrize("damaged", [b"", b" ", b"\xff", b"soon x", b"nan x", b"1e300 x", b"-1 x"])
async def test_a_damaged_time_is_determined_again(client: Client, queue: Queue, damaged: bytes) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    await client.hset(queue.keys.plans, {b"\xff": b"\xc1"})
    await queue.schedule("mine", work.call(1), EACH_HOUR)
    await client.hset(queue.keys.planned, {"mine": damaged})
    await client.hset(queue.keys.periodic, {"old": damaged, b"\xff": damaged})
    await client.hset(queue.keys.schedules, {"old": damaged})
    assert {one.name: one.due for one in await schedules(queue)} == {"mine": None, "old": None, "\udcff": None}
    async with Worker(queue).open():
        with anyio.fail_after(20):
            while {one.name: one.due for one in await schedules(queue)}["mine"] is None:
                await anyio.sleep(0.01)
    assert await queue.schedule("mine", work.call(2), EACH_HOUR)


async def test_mistakes_are_told_at_once(queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    @queue.job(debounce=Debounce(5))
    async def thin() -> None: ...

    with pytest.raises(ValueError, match="is not a cron expression"):
        await queue.schedule("x", work.call(1), "61 * * * *")
    with pytest.raises(ValueError, match="jitter is 0 to"):
        await queue.schedule("x", work.call(1), EACH_HOUR, jitter=-1)
    with pytest.raises(ValueError, match='missed is "skip", "once" or "all"'):
        await queue.schedule("x", work.call(1), EACH_HOUR, missed="none")  # type: ignore[arg-type]
    for call in (work.call(1, delay=5), work.call(1, unique=True), work.call(1, job_id="a"), work.call(1, expires=5)):
        with pytest.raises(TypeError, match="a scheduled call"):
            await queue.schedule("x", call, EACH_HOUR)
    with pytest.raises(TypeError, match="a scheduled call"):
        await queue.schedule("x", thin.call(), EACH_HOUR)
    with pytest.raises(TypeError, match="missing a required argument"):
        await queue.schedule("x", work.call(), EACH_HOUR)
    with pytest.raises(ValueError, match="belongs to another queue"):
        await Queue("other").schedule("x", work.call(1), EACH_HOUR)
    assert await schedules(queue) == []


@pytest.mark.spread
async def test_a_schedule_runs_under_workers_that_know_nothing_of_it(client: Client, queue: Queue) -> None:
    ran: list[tuple[str, int]] = []

    @queue.job()
    async def work(n: int) -> None:
        ran.append((current_job().id, n))

    async with Worker(queue).open(), Worker(queue).open():
        assert await queue.schedule("mine", work.call(7, priority="high"), EACH_SECOND)
        assert not await queue.schedule("mine", work.call(7, priority="high"), EACH_SECOND)
        await until(lambda: len(ran) == 3)
        (one,) = await schedules(queue)
        assert (one.name, one.job, one.expression, one.timezone, one.declared) == (
            "mine",
            "work",
            EACH_SECOND,
            "UTC",
            False,
        )
        assert one.due is not None and abs(one.due - queue.clock()) < 60
        assert await queue.unschedule("mine")
        assert not await queue.unschedule("mine")
        done = len(ran)
        await anyio.sleep(1.5)
    assert len(ran) <= done + 1
    assert len({id for id, _ in ran}) == len(ran) and {n for _, n in ran} == {7}
    assert not {key for key in await keys(client, queue) if key not in ("workers",)}


async def test_a_change_takes_effect_without_a_worker(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    await queue.schedule("mine", work.call(1), EACH_HOUR)
    (first,) = [info async for info in queue.jobs("delayed")]
    assert await queue.schedule("mine", work.call(2), "30 * * * *", timezone=ZoneInfo("Asia/Kolkata"))
    (second,) = [info async for info in queue.jobs("delayed")]
    assert second.id != first.id and second.arguments == {"n": 2}
    assert await queue.handle(first.id).status() is JobState.UNKNOWN
    assert (await schedules(queue))[0].timezone == "Asia/Kolkata"
    # like the occurrences of declared ones, it is no job of a user's to be purged
    assert await queue.purge("delayed") == 0
    assert await queue.pause_schedule("mine") and not await queue.pause_schedule("mine")
    assert [info async for info in queue.jobs("delayed")] == []
    assert [(one.paused, one.due) for one in await schedules(queue)] == [(True, None)]
    assert await queue.resume_schedule("mine") and not await queue.resume_schedule("mine")
    assert len([info async for info in queue.jobs("delayed")]) == 1
    assert not await queue.pause_schedule("none") and not await queue.resume_schedule("none")
    await queue.unschedule("mine")
    assert not await keys(client, queue)


@pytest.mark.spread
async def test_an_occurrence_in_the_stream_is_dropped_with_its_schedule(client: Client, queue: Queue) -> None:
    ran: list[int] = []

    @queue.job(retries=5, backoff=SOON)
    async def work(n: int) -> None:
        ran.append(n)
        if n == 1:
            await queue.unschedule("fails")
            raise ValueError("no further attempt")

    await queue.schedule("fails", work.call(1), EACH_SECOND)
    await queue.schedule("changed", work.call(2), EACH_SECOND)
    await queue.schedule("kept", work.call(3), EACH_SECOND)
    async with Worker(queue).open():
        await until(lambda: 1 in ran and 2 in ran and 3 in ran)
        await queue.pause()
        await anyio.sleep(1.2)
        # an occurrence of each waits in the stream now
        await queue.schedule("changed", work.call(4), EACH_HOUR)
        ran.clear()
        await queue.resume()
        await until(lambda: 3 in ran)
        await anyio.sleep(0.2)
    assert set(ran) == {3}


async def test_missed_times(autojump_clock: trio.testing.MockClock) -> None:
    queue, ran = Queue("q"), dict[str, int]()

    @queue.job()
    async def work(which: str) -> None:
        ran[which] = ran.get(which, 0) + 1

    @queue.job(cron=EACH_MINUTE, missed="all")
    async def declared() -> None:
        ran["declared"] = ran.get("declared", 0) + 1

    async with on_test_clock(queue):
        for policy in ("skip", "once", "all"):
            await queue.schedule(policy, work.call(policy), EACH_MINUTE, missed=policy)  # type: ignore[arg-type]
        async with Worker(queue).open():
            await anyio.sleep(90)
        ran.clear()
        # at 11 minutes, none runs
        await anyio.sleep(11 * 60 - 90 + 20)
        assert not ran
        async with Worker(queue).open():
            await anyio.sleep(5)
            now = dict(ran)
    assert now.get("skip", 0) <= 1
    assert 1 <= now["once"] <= 2
    assert 8 <= now["all"] <= 11 and 8 <= now["declared"] <= 11


async def test_jitter_spreads_and_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    queue, at = Queue("q"), list[float]()

    @queue.job()
    async def work() -> None:
        at.append(queue.clock() % 60)

    async with on_test_clock(queue), Worker(queue).open():
        await queue.schedule("spread", work.call(), EACH_MINUTE, jitter=30)
        await anyio.sleep(10 * 60 + 35)
    assert 9 <= len(at) <= 11
    assert max(at) < 36 and max(at) - min(at) > 5


def test_the_keys_of_plans_are_no_priorities() -> None:
    keys = Keys("q", ["normal"])
    assert (keys.plans, keys.planned) == ("jobs:{q}:plans", "jobs:{q}:planned")
    with pytest.raises(ValueError):
        Queue("q", priorities=["plans"])
