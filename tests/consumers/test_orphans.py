"""What dead consumers leave behind: who takes it, under which name and count, and what becomes of their names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from consumers import orphans
from consumers.connection import open_link
from consumers.groups import DUE, Entry, Group, Start
from consumers.orphans import Orphans, leave
from consumers.owners import DELAYED, Phase, owner_of
from tests.consumers.streams.running import Client

ACK_WAIT = 0.2


@asynccontextmanager
async def member(client: Client, name: str = "a") -> AsyncIterator[Group]:
    async with open_link(client, "s") as link:
        group = Group(link, ["s"], "g", name, ACK_WAIT)
        await group.ensure(Start.BEGINNING)
        yield group


async def crash(client: Client, owner: str, deliveries: int = 1, idle: int = 1000) -> str:
    """An entry that was left behind under this name."""
    id = (await client.xadd("s", {"f": "v"})).decode()
    await client.xreadgroup("g", "x", {"s": ">"})
    await client.xclaim("s", "g", owner, 0, [id], idle=idle, retrycount=deliveries, justid=True)
    return id


async def rows(client: Client) -> dict[str, tuple[str, int]]:
    found: Any = await client.xpending("s", "g", start="-", end="+", count=100)
    return {row.identifier.decode(): (row.consumer.decode(), row.delivered) for row in found}


async def create(client: Client, name: str) -> None:
    async with open_link(client, "s") as link:
        assert await link.execute([(b"XGROUP", b"CREATECONSUMER", "s", "g", name)]) in ([0], [1])


def told(entry: Entry) -> tuple[Phase, int, int, bool]:
    return entry.phase, entry.deliveries, entry.doubtful, entry.guilty


@pytest.mark.parametrize(
    ("left", "patience", "expected", "kept"),
    [
        ("x", 2, (Phase.AGAIN, 2, 1, False), ("a (again)", 2)),
        ("x", 1, (Phase.HELD, 2, 1, False), ("a (held)", 1)),
        ("x (again)", 2, (Phase.HELD, 2, 2, False), ("a (held)", 1)),
        ("(again)", 2, (Phase.AGAIN, 2, 1, False), ("a (again)", 2)),
        ("x (held)", 2, (Phase.HELD, 2, 2, False), ("a (held)", 1)),
        ("(held)", 2, (Phase.HELD, 2, 2, False), ("a (held)", 1)),
        ("x (alone)", 2, (Phase.HELD, 2, 0, True), ("a (held)", 1)),
    ],
)
async def test_what_is_known_of_an_orphan(
    client: Client, left: str, patience: int, expected: tuple[Phase, int, int, bool], kept: tuple[str, int]
) -> None:
    async with member(client) as group:
        id = await crash(client, left)
        await anyio.sleep(ACK_WAIT + 0.05)
        (entry,) = await Orphans(group, patience=patience, begun=True).find(10)
        assert entry.id.decode() == id and told(entry) == expected
        assert await rows(client) == {id: kept}


async def test_what_is_acknowledged_before_it_is_handled_was_not_begun(client: Client) -> None:
    async with member(client) as group:
        id = await crash(client, "x (again)", deliveries=3)
        await anyio.sleep(ACK_WAIT + 0.05)
        (entry,) = await Orphans(group, patience=2, begun=False).find(10)
        assert told(entry) == (Phase.CLEAN, 3, 0, False) and await rows(client) == {id: ("a", 3)}


async def test_suspects_are_taken_alone_and_no_more_than_there_is_room_for(client: Client) -> None:
    async with member(client) as group:
        for owner in ("x", "x (again)", "y (again)", "x"):
            await crash(client, owner)
        await anyio.sleep(ACK_WAIT + 0.05)
        found = Orphans(group, patience=2, begun=True)
        assert [entry.phase for entry in await found.find(1)] == [Phase.HELD]
        assert [entry.phase for entry in await found.find(9)] == [Phase.HELD]
        assert [entry.phase for entry in await found.find(9)] == [Phase.AGAIN, Phase.AGAIN]
        assert await found.find(9) == []


async def test_nothing_is_taken_from_the_living_nor_what_is_to_come_later(client: Client) -> None:
    async with member(client) as group:
        await crash(client, "x", idle=0)
        await crash(client, "b")
        await crash(client, DELAYED, idle=DUE - 10_000_000)
        await crash(client, "a (held)")
        await anyio.sleep(ACK_WAIT + 0.05)
        await client.xadd("s", {"f": "new"})
        await client.xreadgroup("g", "b", {"s": ">"})
        before = await rows(client)
        taken = await Orphans(group, patience=2, begun=True).find(10)
        # "b" speaks, though it has left its entry alone for longer: that is for itself to give back
        assert [before[entry.id.decode()][0] for entry in taken] == ["x"]


async def test_two_that_find_the_same_orphans_do_not_both_get_them(client: Client) -> None:
    async with member(client, "a") as one, member(client, "b") as other:
        ids = [await crash(client, "x") for _ in range(20)]
        await anyio.sleep(ACK_WAIT + 0.05)
        got: list[str] = []

        async def find(group: Group) -> None:
            got.extend(entry.id.decode() for entry in await Orphans(group, patience=2, begun=True).find(20))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(find, one)
            tasks.start_soon(find, other)
        assert sorted(got) == sorted(ids)


async def test_what_an_earlier_release_gave_back_comes_again(client: Client) -> None:
    async with member(client) as group:
        due = await crash(client, DELAYED, deliveries=3)
        later = await crash(client, DELAYED, idle=DUE - 10_000_000)
        await anyio.sleep(0.01)
        await Orphans(group, patience=2, begun=True).find(10)
        entries = await group.read(10, 0.01, True, True)
        assert [(entry.id.decode(), entry.deliveries) for entry in entries] == [(due, 4)]
        assert (await rows(client))[later] == (DELAYED, 1)


async def test_names_of_the_dead_are_forgotten_but_never_with_what_is_pending(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "FORGET_SECONDS", 0.01)
    async with member(client) as group:
        await crash(client, "holder", idle=0)
        for name in ("gone", "gone (again)"):
            await create(client, name)
        await anyio.sleep(10 * ACK_WAIT + 0.1)
        await client.xclaim("s", "g", "holder", 0, [next(iter(await rows(client)))], justid=True)
        await create(client, "young")
        await Orphans(group, patience=2, begun=True).find(10)
        left = {about[b"name"] for about in await client.xinfo_consumers("s", "g")}
        assert left == {b"holder", b"young"}
        assert [owner for owner, _ in (await rows(client)).values()] == ["holder"]


async def test_a_consumer_that_leaves_takes_its_names_along_but_not_what_is_pending(client: Client) -> None:
    async with member(client) as group:
        await crash(client, "a (again)")
        for phase in Phase:
            await create(client, owner_of("a", phase))
        await create(client, "b")
        await leave(group, wholly=False)
        assert {about[b"name"] for about in await client.xinfo_consumers("s", "g")} >= {b"a", b"b", b"a (again)"}
        await leave(group, wholly=True)
        names = {about[b"name"] for about in await client.xinfo_consumers("s", "g")} - {b"x"}
        assert names == {b"b", b"a (again)"} and len(await rows(client)) == 1
