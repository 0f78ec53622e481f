"""When periodic jobs run. The scheduler's clock is the test's, so that days pass in no time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import anyio
import coredis
import pytest
from trio.testing import MockClock

from broker.testing.pytest_plugin import InProcessBroker
from consumers.connection import Link, open_link
from consumers.jobs import Queue, Worker, current_job
from consumers.jobs.entries import JobEntry
from consumers.jobs.later import postpone
from consumers.jobs.names import Keys
from consumers.jobs.payloads import encode
from consumers.jobs.periodic import ABANDONED_SECONDS, Periodic, Scheduler
from consumers.transactions import Transactions

Client = coredis.Redis[bytes]
KEYS = Keys("q", ["normal"])


def periodic(expression: str, zone: str = "UTC") -> Periodic:
    return Periodic("tidy", "tidy", expression, ZoneInfo(zone), encode({}), KEYS.streams["normal"])


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("*/5 * * * *", "UTC", "2026-01-01T00:00:00+00:00", "2026-01-01T00:05:00+00:00"),
        ("*/5 * * * *", "UTC", "2026-01-01T00:04:59.999+00:00", "2026-01-01T00:05:00+00:00"),
        ("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00+00:00", "2026-07-01T01:00:00+00:00"),
        ("0 3 * * *", "Europe/Berlin", "2026-01-01T00:00:00+00:00", "2026-01-01T02:00:00+00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+00:00", "2026-03-29T01:00:00+00:00"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("*/10 * * * * *", "UTC", "2026-01-01T00:00:01+00:00", "2026-01-01T00:00:10+00:00"),
        ("0 9 * * MON-FRI", "UTC", "2026-01-02T10:00:00+00:00", "2026-01-05T09:00:00+00:00"),
    ],
)
def test_the_next_time(expression: str, zone: str, after: str, expected: str) -> None:
    assert periodic(expression, zone).after(moment(after)) == moment(expected)


@pytest.mark.parametrize("expression", ["", "* * * *", "60 * * * *", "x * * * *", "0 0 31 2 *", "@daily"])
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a cron expression that ever occurs"):
        periodic(expression)


async def test_each_time_is_scheduled_once_whoever_does_it(client: Client) -> None:
    now = moment("2026-01-01T00:00:30+00:00")
    told: list[None] = []
    async with open_link(client, "x") as link:
        job = periodic("0 * * * *")
        schedulers = [
            Scheduler(KEYS, Transactions(link), [job], lambda: now, lambda: told.append(None)) for _ in range(3)
        ]
        for hour in range(1, 4):
            for scheduler in schedulers:
                due = moment(f"2026-01-01T0{hour}:00:00+00:00")
                assert await scheduler.schedule(job) == due
            now = due
        # one whose clock is behind
        now -= 7200
        await schedulers[0].schedule(job)
    waiting = await client.zrange(KEYS.later, 0, -1, withscores=True)
    assert [(one.member.decode(), one.score) for one in waiting] == [
        (f"tidy@{due:.0f}", due) for due in (moment(f"2026-01-01T0{hour}:00:00+00:00") for hour in range(1, 4))
    ]
    assert datetime.fromtimestamp(waiting[0].score, UTC).hour == 1


async def test_a_day_of_times_passes_and_none_is_missed(client: Client) -> None:
    now = moment("2026-03-29T00:00:00+01:00")
    end = now + 23 * 3600
    job = periodic("*/30 * * * *", "Europe/Berlin")
    async with open_link(client, "x") as link:
        scheduler = Scheduler(KEYS, Transactions(link), [job], lambda: now, lambda: None)
        while now < end:
            now = await scheduler.schedule(job)
    # the day on which the clocks go forward has 23 hours
    assert await client.zcard(KEYS.later) == 46


# What stands under the same name before: another schedule, or none any more.


class Workers:
    """Schedulers of several programs, each of its own version, with a clock that the test sets."""

    def __init__(self, link: Link, now: str) -> None:
        self._link = link
        self.now = moment(now)

    def start(self, *jobs: Periodic, behind: float = 0.0) -> Scheduler:
        clock = lambda: self.now - behind  # noqa: E731
        return Scheduler(KEYS, Transactions(self._link), list(jobs), clock, lambda: None)


@pytest.fixture
async def workers(client: Client) -> AsyncIterator[Workers]:
    async with open_link(client, "x") as link:
        yield Workers(link, "2026-01-01T00:00:30+00:00")


async def waiting(client: Client) -> list[str]:
    """When the occurrences that wait are due, as times of the day, with the dates of those in later months."""
    found = await client.zrange(KEYS.later, 0, -1, withscores=True)
    assert await client.hlen(KEYS.bodies) == len(found)
    return [
        datetime.fromtimestamp(one.score, UTC).isoformat(" ").removeprefix("2026-01-01 ").removesuffix("+00:00")
        for one in found
    ]


async def test_a_changed_schedule_is_in_force_at_once(client: Client, workers: Workers) -> None:
    yearly, hourly = periodic("0 0 1 1 *"), periodic("0 * * * *")
    await workers.start(yearly).schedule(yearly)
    assert await waiting(client) == ["2027-01-01 00:00:00"]
    workers.now += 1
    newer = workers.start(hourly)
    assert await newer.schedule(hourly) == moment("2026-01-01T01:00:00+00:00")
    assert await waiting(client) == ["01:00:00"]
    workers.now += 1
    berlin = periodic("30 2 * * *", "Europe/Berlin")
    await workers.start(berlin).schedule(berlin)
    assert await waiting(client) == ["01:30:00"]


async def test_the_newer_of_two_versions_schedules_while_both_run(client: Client, workers: Workers) -> None:
    old, new = periodic("*/10 * * * *"), periodic("*/15 * * * *")
    older = workers.start(old)
    await older.schedule(old)
    workers.now += 1
    newer = workers.start(new)
    for minute in range(90):
        workers.now = moment("2026-01-01T00:00:31+00:00") + 60 * minute
        for scheduler, job in ((older, old), (newer, new), (older, old)):
            await scheduler.schedule(job)
    quarters = [f"0{hour}:{minute:02}:00" for hour in range(2) for minute in (0, 15, 30, 45)]
    assert await waiting(client) == quarters[1:7]
    # the new version is taken back: its workers are gone, those of the old one have been running all the time
    workers.now += ABANDONED_SECONDS + 1
    await older.schedule(old)
    assert (await waiting(client))[5:] == ["01:30:00", "01:40:00"]


async def test_a_version_that_is_started_again_is_in_force_again(client: Client, workers: Workers) -> None:
    old, new = periodic("*/10 * * * *"), periodic("*/15 * * * *")
    await workers.start(old).schedule(old)
    workers.now += 1
    newer = workers.start(new)
    await newer.schedule(new)
    workers.now += 1
    await workers.start(old).schedule(old)
    await newer.schedule(new)
    assert await waiting(client) == ["00:10:00"]


async def test_no_time_comes_twice_when_a_schedule_is_replaced(client: Client, workers: Workers) -> None:
    old, new = periodic("*/10 * * * *"), periodic("*/5 * * * *")
    await workers.start(old).schedule(old)
    workers.now = moment("2026-01-01T00:10:00+00:00")
    await client.zrem(KEYS.later, [f"tidy@{workers.now:.0f}"])
    # it has run at 00:10; the newer worker's clock has not got there
    newer = workers.start(new, behind=2.0)
    await newer.schedule(new)
    assert [one.decode() for one in await client.zrange(KEYS.later, 0, -1)] == [f"tidy@{workers.now + 300:.0f}"]


async def test_what_was_due_runs_though_the_schedule_has_changed_since(client: Client, workers: Workers) -> None:
    old, new = periodic("*/10 * * * *"), periodic("*/15 * * * *")
    await workers.start(old).schedule(old)
    workers.now = moment("2026-01-01T03:07:00+00:00")
    await workers.start(new).schedule(new)
    assert await waiting(client) == ["00:10:00", "03:15:00"]


async def test_a_schedule_that_nobody_has_any_more_is_forgotten(client: Client, workers: Workers) -> None:
    job = periodic("0 0 1 1 *")
    await workers.start(job).schedule(job)
    without = workers.start()
    assert not without.is_abandoned("tidy")
    await without.sweep()
    assert not without.is_abandoned("tidy")
    assert await waiting(client) == ["2027-01-01 00:00:00"]
    workers.now += ABANDONED_SECONDS + 1
    assert without.is_abandoned("tidy")
    await without.sweep()
    assert without.is_abandoned("tidy")
    assert await waiting(client) == []
    assert await client.exists([KEYS.periodic, KEYS.schedules]) == 0


DAMAGED = [b"", b"\xff", b'{"seen": "x"}', b"nan", b"-inf", b"1e300"]


@pytest.mark.parametrize("damaged", DAMAGED)
async def test_what_is_damaged_of_a_schedule_is_replaced(client: Client, workers: Workers, damaged: bytes) -> None:
    hourly = periodic("0 * * * *")
    await workers.start(hourly).schedule(hourly)
    for key in (KEYS.periodic, KEYS.schedules):
        await client.hset(key, {"tidy": damaged})
        workers.now += 1
        assert await workers.start(hourly).schedule(hourly) == moment("2026-01-01T01:00:00+00:00")
        assert await waiting(client) == ["01:00:00"]


@pytest.mark.parametrize("damaged", DAMAGED)
async def test_what_is_damaged_of_another_schedule_is_forgotten_in_time(
    client: Client, workers: Workers, damaged: bytes
) -> None:
    mine = periodic("0 * * * *")
    scheduler = workers.start(mine)
    await scheduler.schedule(mine)
    for name in ("other", b"\xff\x00"):
        await client.hset(KEYS.periodic, {name: damaged})
        await client.hset(KEYS.schedules, {name: damaged})
    await scheduler.sweep()
    assert not scheduler.is_abandoned("other")
    workers.now += ABANDONED_SECONDS + 1
    await scheduler.schedule(mine)
    await scheduler.sweep()
    assert scheduler.is_abandoned("other")
    assert list(await client.hgetall(KEYS.periodic)) == list(await client.hgetall(KEYS.schedules)) == [b"tidy"]
    assert await waiting(client) == ["01:00:00"]


async def test_what_an_earlier_version_had_scheduled_is_taken_over(client: Client, workers: Workers) -> None:
    due = moment("2027-01-01T00:00:00+00:00")
    await client.hset(KEYS.periodic, {"tidy": f"{due:.6f}"})
    async with open_link(client, "x") as link:
        await link.transaction(
            postpone(KEYS, KEYS.streams["normal"], JobEntry(f"tidy@{due:.0f}", "tidy", b"\x80"), due)
        )
    await workers.start().sweep()
    hourly = periodic("0 * * * *")
    await workers.start(hourly).schedule(hourly)
    assert await waiting(client) == ["01:00:00"]


@pytest.mark.parametrize("still_a_job", [False, True])
async def test_an_occurrence_without_a_schedule_is_dropped(
    broker: InProcessBroker, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, still_a_job: bool
) -> None:
    ran: list[str] = []

    async def tidy() -> None:
        ran.append(current_job().id)

    before, after = Queue("q"), Queue("q")
    before.job(cron="* * * * *")(tidy)
    if still_a_job:
        after.job()(tidy)
    async with broker.client() as client:
        async with before.open(client), Worker(before).open():
            await anyio.sleep(90)
        async with before.open(client):
            assert 1 <= len(ran) <= 2
        ran.clear()
        async with after.open(client), Worker(after).open():
            # the one that waits becomes due before anybody knows that no worker has it any more
            await anyio.sleep(1000)
            assert [job async for job in after.dead_jobs()] == []
        assert ran == []
        assert await client.zcard(before.keys.later) == 0
        assert sum([await client.xlen(stream) for stream in before.keys.in_order]) == 0
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


async def test_an_occurrence_waits_for_a_worker_that_has_its_schedule(
    broker: InProcessBroker, autojump_clock: MockClock
) -> None:
    ran: list[str] = []

    async def tidy() -> None:
        ran.append(current_job().id)

    older, newer = Queue("q"), Queue("q")
    newer.job(cron="* * * * *")(tidy)
    async with broker.client() as client, older.open(client), newer.open(client):
        async with Worker(older).open(), Worker(newer).open():
            # Each goes to either worker by chance: that the older one has met none of ten is one run in a thousand.
            await anyio.sleep(10 * 60 + 30)
        assert [job async for job in newer.dead_jobs()] == []
    assert len(ran) >= 9
    assert len(set(ran)) == len(ran)
