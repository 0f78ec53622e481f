"""Consumers that read a stream one after the other: the next one begins with what the last one left, in order."""

from typing import Any

import anyio
import pytest

from consumers.connection import open_link
from consumers.groups import Group, Start
from consumers.options import Succession
from consumers.orphans import Orphans
from consumers.owners import DELAYED, Phase
from consumers.succession import Inheritance
from tests.consumers.streams.running import Client

pytestmark = pytest.mark.both_loops


async def _left_behind(client: Client, group: Group) -> None:
    """Entries 1 to 9: delayed, three phases of a dead consumer, and those of an even older one."""
    for n in range(1, 10):
        await client.xadd("s", {"n": str(n)}, identifier=f"{n}-0")
    await group.ensure(Start.BEGINNING)
    await client.xreadgroup("g", "old", streams={"s": ">"})
    for n, owner in enumerate(
        (DELAYED, "old (alone)", "old (held)", "old (again)", "older (again)", "old (again)", "old", "older", "old"), 1
    ):
        await client.xclaim("s", "g", owner, 0, [f"{n}-0"], retrycount=1, justid=True)


@pytest.mark.parametrize("room", [2, 100])
async def test_everything_that_was_left_comes_in_order_with_what_killed_its_consumer_last(
    client: Client, room: int
) -> None:
    async with open_link(client, "s") as link:
        group = Group(link, ["s"], "g", "new", 30)
        await _left_behind(client, group)
        inheritance = Inheritance(group, Orphans(group, patience=2, begun=True), Succession.AFTER_CRASH)
        taken: list[Any] = []
        with anyio.fail_after(60):
            while not inheritance.taken:
                entries = await inheritance.take(room)
                assert len(entries) <= room
                taken += entries
        assert [entry.id for entry in taken] == [b"%d-0" % n for n in (3, 4, 5, 6, 7, 8, 9, 2)]
        assert [entry.phase for entry in taken] == [Phase.HELD] * 4 + [Phase.AGAIN] * 3 + [Phase.HELD]
        assert [entry.guilty for entry in taken] == [False] * 7 + [True]


async def test_after_a_handover_nothing_is_suspected_or_counted(client: Client) -> None:
    async with open_link(client, "s") as link:
        group = Group(link, ["s"], "g", "new", 30)
        await _left_behind(client, group)
        inheritance = Inheritance(group, Orphans(group, patience=2, begun=True), Succession.AFTER_HANDOVER)
        taken = {entry.id: entry for entry in await inheritance.take(100)}
        assert [taken[b"%d-0" % n].phase for n in (3, 4, 7)] == [Phase.HELD, Phase.AGAIN, Phase.CLEAN]
        assert {taken[b"%d-0" % n].deliveries for n in (4, 5, 6, 7, 8, 9)} == {1}
