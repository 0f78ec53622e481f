"""Durable fan-out against each server: every service reads everything, from where it stopped."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import coredis
import pytest
import trio
import trio.testing
from anyio.lowlevel import checkpoint

from broker import open_broker
from broker.process.clock import TrioClock
from broker.testing import in_process
from consumers.fanout import Backoff, Entry, Follower, Gap, Reason, Start, follow
from tests.consumers.network import Network, network

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
QUICK = Backoff(initial=0.01, factor=2, max=0.1)


@pytest.fixture(autouse=True)
async def time_limit() -> AsyncIterator[None]:
    with anyio.fail_after(60):
        yield


@pytest.fixture
async def way(server_url: str) -> AsyncIterator[Network]:
    async with network(server_url) as opened:
        yield opened


@pytest.fixture
async def distant(way: Network) -> AsyncIterator[Client]:
    """A client whose connections go through the proxy."""
    async with coredis.Redis.from_url(way.url, connect_timeout=0.5) as connected:
        yield connected


async def add(client: Client, *numbers: int, **options: Any) -> None:
    for number in numbers:
        await client.xadd("events", {"n": str(number)}, **options)


async def numbers(entries: AsyncIterator[Entry], count: int) -> list[int]:
    return [int((await anext(entries)).fields["n"]) for _ in range(count)]


async def handled(client: Client, service: str, count: int, **options: Any) -> list[int]:
    """What a service reads that handles so many entries and stops in order."""
    async with follow(client, "events", service, **options) as entries:
        found = await numbers(entries, count)
        await entries.save()
        return found


async def state(client: Client, service: str) -> dict[bytes, Any]:
    groups = await client.xinfo_groups("events")
    return next(dict(group) for group in groups if group[b"name"] == service.encode())


async def test_every_service_gets_every_entry(client: Client) -> None:
    async with follow(client, "events", "a") as first, follow(client, "events", "b") as second:
        await add(client, *range(5))
        assert await numbers(first, 5) == await numbers(second, 5) == [0, 1, 2, 3, 4]


async def test_an_entry_has_its_stream_id_and_fields(client: Client) -> None:
    async with follow(client, "events", "a") as entries:
        identifier = await client.xadd("events", {b"name": b"x", b"\xff": b"\x00"})
        entry = await anext(entries)
    assert identifier is not None
    assert entry == Entry("events", identifier.decode(), {"name": b"x", "\udcff": b"\x00"})


async def test_a_service_goes_on_where_it_stopped(client: Client) -> None:
    assert await handled(client, "a", 0) == []
    await add(client, *range(6))
    assert await handled(client, "a", 2) == [0, 1]
    assert await handled(client, "a", 3) == [2, 3, 4]
    await add(client, 6)
    assert await handled(client, "a", 2) == [5, 6]


async def test_the_entry_at_which_the_loop_is_left_comes_again(client: Client) -> None:
    await add(client, *range(4))
    async with follow(client, "events", "a", start="0") as entries:
        async for entry in entries:
            if entry.fields["n"] == b"2":
                break
    with pytest.raises(RuntimeError, match="failed"):
        async with follow(client, "events", "a") as entries:
            async for entry in entries:
                if entry.fields["n"] == b"3":
                    raise RuntimeError("failed")
    assert await handled(client, "a", 1) == [3]


async def test_a_cancelled_service_has_saved_what_it_had_handled(client: Client) -> None:
    await add(client, *range(4))
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            async with follow(client, "events", "a", start="0") as entries:
                async for entry in entries:
                    if entry.fields["n"] == b"3":
                        tasks.cancel_scope.cancel()
                        await anyio.sleep_forever()

        tasks.start_soon(serve)
    assert await handled(client, "a", 1) == [3]


async def test_a_service_may_stop_waiting_and_go_on(client: Client) -> None:
    async with follow(client, "events", "a", start=Start.BEGINNING) as entries:
        for number in range(3):
            with anyio.move_on_after(0.03) as scope:
                await anext(entries)
            assert scope.cancelled_caught
            await add(client, number)
            started = anyio.current_time()
            assert await numbers(entries, 1) == [number]
            assert anyio.current_time() - started < 3, "the read that was given up holds nothing up"


async def test_being_cancelled_at_the_turn_saves_at_once(client: Client) -> None:
    await add(client, 0, 1)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            async with follow(client, "events", "a", start=Start.BEGINNING) as entries:
                async for entry in entries:
                    if entry.fields["n"] == b"1":
                        tasks.cancel_scope.cancel()

        tasks.start_soon(serve)
        started = anyio.current_time()
    assert anyio.current_time() - started < 1.5
    await add(client, 2)
    assert await handled(client, "a", 1) == [2]


async def test_cancelling_anywhere_loses_nothing(client: Client) -> None:
    """Cancelled after each number of scheduler steps; the next run of the service goes on without a hole."""
    await add(client, *range(200))
    got: list[int] = []

    async def serve() -> None:
        async with follow(client, "events", "a", start=Start.BEGINNING, batch=3) as entries:
            async for entry in entries:
                await checkpoint()
                got.append(int(entry.fields["n"]))

    for steps in range(0, 120, 3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            for _ in range(steps):
                await checkpoint()
            tasks.cancel_scope.cancel()
    async with follow(client, "events", "a") as entries:
        while not got or got[-1] < 199:
            got += await numbers(entries, 1)
    assert list(dict.fromkeys(got)) == list(range(200))


async def test_after_a_crash_comes_what_was_handled_since_the_last_save(
    client: Client, way: Network, distant: Client
) -> None:
    await add(client, *range(10))
    async with follow(distant, "events", "a", start="0", batch=4) as entries:
        assert await numbers(entries, 7) == list(range(7))
        await way.cut()  # and so what comes at the end of the block does not reach the server
    assert await handled(client, "a", 2) == [4, 5]


async def test_a_slow_service_saves_within_a_batch(autojump_clock: trio.testing.MockClock) -> None:
    async with open_broker(clock=TrioClock()) as server, in_process.client(server) as client:
        await add(client, *range(10))
        async with follow(client, "events", "a", start="0") as entries:
            for number in range(4):
                assert await numbers(entries, 1) == [number]
                await anyio.sleep(0.6)
            assert (await state(client, "a"))[b"entries-read"] == 2


@pytest.mark.parametrize(
    ("start", "expected"),
    [(Start.END, []), (Start.BEGINNING, [0, 1, 2]), ("first", [1, 2]), (timedelta(hours=-1), [0, 1, 2])],
)
async def test_where_a_new_service_begins(client: Client, start: Start | str | timedelta, expected: list[int]) -> None:
    await add(client, 0)
    if start == "first":
        ((identifier, *_),) = await client.xrange("events")
        start = identifier.decode()  # type: ignore[union-attr]
    await add(client, 1, 2)
    begin = datetime.now(UTC) + start if isinstance(start, timedelta) else start
    async with follow(client, "events", "a", start=begin) as entries:
        await add(client, 3)
        assert await numbers(entries, len(expected) + 1) == [*expected, 3]
        assert entries.reconnects == 0
    assert await handled(client, "a", 1, start="0") == [3], "only a service that is new begins there"


@pytest.mark.parametrize("start", Start)
async def test_the_server_knows_how_far_behind_each_service_is(client: Client, start: Start) -> None:
    await add(client, *range(5))
    async with follow(client, "events", "a", start=start) as entries:
        await add(client, *range(5, 10))
        await numbers(entries, 3)
        await entries.save()
        assert (await state(client, "a"))[b"lag"] == (2 if start is Start.END else 7)
    await add(client, 10)
    await handled(client, "a", 1)
    assert (await state(client, "a"))[b"lag"] == (2 if start is Start.END else 7)
    assert (await state(client, "a"))[b"pending"] == 0


async def test_a_lost_connection_loses_and_repeats_nothing(client: Client, way: Network, distant: Client) -> None:
    got: list[int] = []

    async def serve() -> None:
        async with follow(distant, "events", "a", start="0", batch=7, reconnect=QUICK) as entries:
            async for entry in entries:
                got.append(int(entry.fields["n"]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        for first in range(0, 100, 10):
            await add(client, *range(first, first + 10))
            await anyio.sleep(0.01)
            await way.cut()
        while len(got) < 100:
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert got == list(range(100))


async def test_a_server_that_says_nothing_any_more_counts_as_lost(
    client: Client, way: Network, distant: Client
) -> None:
    async with follow(distant, "events", "a", start="0", reconnect=QUICK, heartbeat=0.1) as entries:
        await add(client, 0)
        assert await numbers(entries, 1) == [0]
        way.swallow_replies = True

        async def heal() -> None:
            await anyio.sleep(0.5)
            way.swallow_replies = False
            await add(client, 1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heal)
            assert await numbers(entries, 1) == [1]
        assert entries.reconnects >= 1


async def test_waiting_longer_than_a_heartbeat_is_no_loss(client: Client) -> None:
    async with follow(client, "events", "a", heartbeat=0.3) as entries:

        async def later() -> None:
            await anyio.sleep(0.7)
            await add(client, 0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later)
            assert await numbers(entries, 1) == [0]
        assert entries.reconnects == 0


async def events(entries: Follower, count: int) -> list[int | Gap]:
    found: list[int | Gap] = []
    stream = entries.events()
    for _ in range(count):
        item = await anext(stream)
        found.append(item if isinstance(item, Gap) else int(item.fields["n"]))
    return found


async def trim(client: Client, length: int) -> None:
    await client.xtrim("events", coredis.PureToken.MAXLEN, length)


async def test_what_was_trimmed_away_meanwhile_is_told(client: Client) -> None:
    await add(client, *range(10))
    await handled(client, "a", 3, start="0")
    await trim(client, 4)
    async with follow(client, "events", "a") as entries:
        assert await events(entries, 5) == [Gap(Reason.TRIMMED, 3), 6, 7, 8, 9]
        await entries.save()
    assert (await state(client, "a"))[b"lag"] == 0


async def test_what_is_trimmed_away_while_the_service_is_slow_is_told(client: Client) -> None:
    await add(client, *range(10))
    async with follow(client, "events", "a", start="0", batch=2) as entries:
        assert await events(entries, 1) == [0]
        await trim(client, 5)
        assert await events(entries, 4) == [1, Gap(Reason.TRIMMED, 3), 5, 6]
        await trim(client, 0)
        await add(client, 10)
        assert await events(entries, 2) == [Gap(Reason.TRIMMED, 3), 10]


async def test_what_was_trimmed_after_it_was_read_is_no_gap(client: Client) -> None:
    await add(client, *range(10))
    await handled(client, "a", 6, start="0")
    await trim(client, 4)
    async with follow(client, "events", "a") as entries:
        assert await events(entries, 4) == [6, 7, 8, 9]
    await trim(client, 0)
    await handled(client, "new", 0, start="0")
    await add(client, 10)
    async with follow(client, "events", "new") as entries:
        assert await events(entries, 1) == [10]


async def test_a_stream_that_is_deleted_is_a_gap_and_goes_on(client: Client) -> None:
    await add(client, *range(3))
    async with follow(client, "events", "a", start="0", reconnect=QUICK) as entries:
        assert await events(entries, 2) == [0, 1]
        await client.delete(["events"])
        await add(client, 7)
        assert await events(entries, 3) == [2, Gap(Reason.TRIMMED), 7]
        await entries.save()
        assert (await state(client, "a"))[b"pending"] == 0


async def test_a_key_of_another_type_is_an_error_at_once(client: Client) -> None:
    await client.set("events", "x")
    with pytest.raises(coredis.exceptions.WrongTypeError):
        async with follow(client, "events", "a"):
            pass


async def test_an_error_that_no_reconnecting_mends_reaches_the_owner(client: Client) -> None:
    async with follow(client, "events", "a", heartbeat=0.1) as entries:
        await client.set("events", "x")
        with pytest.raises(coredis.exceptions.WrongTypeError):
            await anext(entries)


async def test_the_first_connection_has_to_succeed(way: Network, distant: Client) -> None:
    way.refuse = True
    with pytest.raises(coredis.exceptions.ConnectionError):
        async with follow(distant, "events", "a"):
            pass


async def test_an_idle_service_under_a_clock_that_jumps(autojump_clock: trio.testing.MockClock) -> None:
    async with open_broker(clock=TrioClock()) as server, in_process.client(server) as client:

        async def later() -> None:
            await anyio.sleep(3600)
            await add(client, 0)

        async with follow(client, "events", "a") as entries, anyio.create_task_group() as tasks:
            tasks.start_soon(later)
            assert await numbers(entries, 1) == [0]
            assert entries.reconnects == 0
