"""When periodic jobs run. The scheduler's clock is the test's, so that days pass in no time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import coredis
import pytest

from consumers.connection import open_link
from consumers.jobs.names import Keys
from consumers.jobs.payloads import encode
from consumers.jobs.periodic import Periodic, Scheduler
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
    with pytest.raises(ValueError, match="is no cron expression that ever comes"):
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
