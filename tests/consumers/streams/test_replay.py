"""Replay: a whole stream without a group, from an ID or a time on, to an end or following."""

from datetime import UTC, datetime
from typing import Any

import anyio
import coredis
import pytest

from consumers.streams import ConsumerError, Producer, Replay, Start
from tests.consumers.network import network
from tests.consumers.streams.running import Client, until

pytestmark = pytest.mark.both_loops


async def _filled(client: Client, entries: int = 6) -> None:
    for n in range(entries):
        await client.xadd("orders", {"n": str(n)}, identifier=f"{1000 * (n + 1)}-0")


async def _read(replay: Replay[Any]) -> list[str]:
    async with replay.open() as entries:
        return [entry.data["n"] async for entry in entries]


async def test_all_of_a_stream_in_pages(client: Client) -> None:
    await _filled(client, 25)
    replay = Replay(client, "orders", batch=10)
    assert await _read(replay) == [str(n) for n in range(25)]
    assert replay.position == "25000-0"
    assert await _read(Replay(client, "nosuch")) == []


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2000-0", None, ["2", "3", "4", "5"]),
        (datetime.fromtimestamp(2, UTC), None, ["1", "2", "3", "4", "5"]),
        (Start.BEGINNING, "3000-0", ["0", "1", "2"]),
        (datetime.fromtimestamp(2, UTC), datetime.fromtimestamp(4, UTC), ["1", "2", "3"]),
        (Start.END, None, []),
    ],
)
async def test_from_here_to_there(client: Client, start: Any, end: Any, expected: list[str]) -> None:
    await _filled(client)
    assert await _read(Replay(client, "orders", start=start, end=end)) == expected


async def test_a_reader_goes_on_where_it_stopped(client: Client) -> None:
    await _filled(client)
    replay = Replay(client, "orders")
    async with replay.open() as entries:
        async for entry in entries:
            if entry.data["n"] == "2":
                break
    assert replay.position == "3000-0"
    assert await _read(replay) == ["3", "4", "5"]


async def test_following_waits_for_new_entries(client: Client) -> None:
    await _filled(client, 2)
    seen: list[str] = []

    async def follow(start: Any) -> None:
        async with Replay(client, "orders", start=start, follow=True, block=0.2).open() as entries:
            async for entry in entries:
                seen.append(entry.data["n"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, Start.BEGINNING)
        await until(lambda: seen == ["0", "1"])
        await anyio.sleep(0.3)  # a read without a result
        await Producer(client, "orders").publish({"n": "new"})
        await until(lambda: seen == ["0", "1", "new"])
        tasks.cancel_scope.cancel()
    seen.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, Start.END)
        await anyio.sleep(0.1)
        await Producer(client, "orders").publish({"n": "newer"})
        await until(lambda: seen == ["newer"])
        tasks.cancel_scope.cancel()


async def test_each_entry_comes_once_over_lost_connections(client: Client, server_url: str) -> None:
    seen: list[str] = []

    async def follow(far: Any) -> None:
        async with Replay(far, "orders", follow=True).open() as entries:
            async for entry in entries:
                seen.append(entry.data["n"])

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, far)
                for n in range(20):
                    await Producer(client, "orders").publish({"n": n})
                    if n % 4 == 1:
                        await between.cut()
                    await anyio.sleep(0.01)
                await until(lambda: len(seen) >= 20)
                tasks.cancel_scope.cancel()
    assert seen == [str(n) for n in range(20)]


async def test_a_refusal_is_raised(client: Client) -> None:
    await client.set("orders", "text")
    for follow in (False, True):
        with pytest.raises(ConsumerError):
            await _read(Replay(client, "orders", follow=follow))


def test_options_are_checked() -> None:
    anything: Any = coredis.Redis("127.0.0.1", 1)
    with pytest.raises(ValueError):
        Replay(anything, "orders", follow=True, end="5-0")
    with pytest.raises(ValueError):
        Replay(anything, "orders", batch=0)


async def test_a_reader_that_adds_to_the_stream_does_not_chase_itself(client: Client) -> None:
    await _filled(client)
    replay, seen = Replay(client, "orders", batch=2), 0
    async with replay.open() as entries:
        async for _ in entries:
            seen += 1
            if seen < 50:
                await client.xadd("orders", {"n": "more"})
    assert seen == 6
    # what was added is there for the next time
    assert await _read(replay) == ["more"] * 6
