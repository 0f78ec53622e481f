"""A group's operations on the server: who has an entry, since when, and how often it was delivered."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from coredis.exceptions import AuthorizationError, WrongTypeError

from consumers import groups
from consumers.addresses import client_from_url, with_credentials
from consumers.connection import open_link
from consumers.console.asking import ask
from consumers.groups import Entry, Group, Start, after_start, is_missing
from consumers.owners import DELAYED, Phase
from tests.consumers.streams.running import Client

ACK_WAIT = 0.5


@pytest.fixture
async def group(client: Client) -> AsyncIterator[Group]:
    """The consumer "a" of a group on the stream "s", where five entries wait."""
    async with open_link(client, "s") as link:
        group = Group(link, ["s"], "g", "a", ACK_WAIT)
        await group.ensure(Start.BEGINNING)
        for n in range(5):
            await client.xadd("s", {"n": str(n)}, identifier=f"{n + 1}-0")
        yield group


async def _rows(client: Client) -> list[tuple[str, str, int]]:
    rows: Any = await client.xpending("s", "g", start="-", end="+", count=100)
    return [(row.identifier.decode(), row.consumer.decode(), row.delivered) for row in rows]


async def _read(group: Group, room: int = 10, sweep: bool = True) -> list[tuple[str, int]]:
    return [(entry.id.decode(), entry.deliveries) for entry in await group.read(room, 0.05, True, sweep)]


def test_where_a_group_begins() -> None:
    assert after_start(Start.BEGINNING) == "0" and after_start(Start.END) == "$" and after_start("5-1") == "5-1"
    assert after_start(datetime.fromtimestamp(2, UTC)) == "1999-18446744073709551615"
    assert after_start(datetime.fromtimestamp(0, UTC)) == "0"


async def test_ensure_leaves_a_group_that_exists(group: Group, client: Client) -> None:
    await _read(group, 2)
    await group.ensure(Start.BEGINNING)
    assert await _read(group) == [("3-0", 1), ("4-0", 1), ("5-0", 1)]


async def test_ensure_raises_what_is_refused(client: Client) -> None:
    await client.set("text", "x")
    async with open_link(client, "text") as link:
        with pytest.raises(WrongTypeError):
            await Group(link, ["text"], "g", "a", 1).ensure(Start.BEGINNING)


@pytest.mark.parametrize("server_kind", ["redis-older"], indirect=True)
async def test_with_room_for_fewer_than_there_are_streams_all_of_them_are_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "WAIT_SECONDS", 60.0)
    streams = ["{s}:1", "{s}:2", "{s}:3"]
    async with open_link(client, streams[0]) as link:
        group = Group(link, streams, "g", "a", ACK_WAIT)
        await group.ensure(Start.BEGINNING)
        for stream in reversed(streams):
            found: list[Entry] = []

            async def read(found: list[Entry] = found) -> None:
                while not found:
                    found += await group.read(1, 60.0, True, False)

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    while not (await client.info("clients"))["blocked_clients"]:
                        await anyio.sleep(0.005)
                    await client.xadd(stream, {"n": "1"})
            assert [entry.stream for entry in found] == [stream]


@pytest.mark.parametrize("server_kind", ["redis-older"], indirect=True)
async def test_waiting_for_all_streams_without_the_right_to_ends(client: Client, server_url: str) -> None:
    streams = ["{s}:1", "{s}:2"]
    await ask(client, [(b"ACL", b"SETUSER", b"reader", b"on", b">secret", b"~*", b"+@all", b"-xinfo")])
    try:
        url = with_credentials(server_url, "reader", "secret")
        async with client_from_url(url) as other, open_link(other, streams[0]) as link:
            group = Group(link, streams, "g", "a", ACK_WAIT)
            await group.ensure(Start.BEGINNING)
            with pytest.raises(AuthorizationError, match="xinfo"):
                await group.read(1, 60.0, True, False)
    finally:
        await ask(client, [(b"ACL", b"DELUSER", b"reader")])


async def test_no_more_than_there_is_room_for(group: Group) -> None:
    assert len(await _read(group, 2)) == 2 and len(await _read(group, 2)) == 2 and len(await _read(group, 2)) == 1
    assert await _read(group, 2) == []


async def test_entries_that_are_due_come_first_and_are_counted(group: Group, client: Client) -> None:
    await client.xreadgroup("g", "other", {"s": ">"}, count=3)
    await group.link.execute([group.nack("s", f"{n}-0", 1, 0, True) for n in (1, 2)])
    found = await _read(group)
    if len(found) == 2:  # without claiming reads, new ones come with the next read
        found += await _read(group)
    # what another consumer has in hand is not taken, however idle it is
    assert sorted(found) == [("1-0", 2), ("2-0", 2), ("4-0", 1), ("5-0", 1)]
    assert await _rows(client) == sorted([*((id, "a", count) for id, count in found), ("3-0", "other", 1)])


async def test_a_lease_is_extended_without_being_counted(group: Group, client: Client) -> None:
    await _read(group)
    for _ in range(4):
        await anyio.sleep(ACK_WAIT / 2)
        (reply,) = await group.link.execute([group.extend("s", ["1-0", "2-0", "9-9"])])
        assert reply == [b"1-0", b"2-0"]
    assert [row for row in await _rows(client) if row[0] in ("1-0", "2-0")] == [("1-0", "a", 1), ("2-0", "a", 1)]


async def test_a_doubtful_lease_is_extended_only_if_it_was_idle(group: Group, client: Client) -> None:
    await _read(group)
    await anyio.sleep(0.1)
    await client.xclaim("s", "g", "other", 0, ["2-0"])
    (reply,) = await group.link.execute([group.extend("s", ["1-0", "2-0"], 90)])
    assert reply == [b"1-0"] and ("2-0", "other", 2) in await _rows(client)


async def test_what_is_given_back_for_now_can_be_taken_at_once(group: Group, client: Client) -> None:
    await _read(group)
    await group.link.execute([group.nack("s", "1-0", 1, 0, True), group.nack("s", "2-0", 1, 0, False)])
    rows = await _rows(client)
    assert {row[0]: row[2] for row in rows if row[1] != "a"} == {"1-0": 1, "2-0": 0}
    assert sorted(await _read(group)) == [("1-0", 2), ("2-0", 1)]


async def test_what_is_given_back_for_later_is_taken_when_due(group: Group, client: Client) -> None:
    await _read(group)
    await group.link.execute([group.nack("s", "3-0", 1, ACK_WAIT / 2, True)])
    await group.link.execute([group.extend("s", ["1-0", "2-0", "4-0", "5-0"])])
    assert ("3-0", DELAYED, 1) in await _rows(client)
    assert await _read(group, sweep=True) == []
    await anyio.sleep(ACK_WAIT / 2)
    assert await _read(group) == [("3-0", 2)]


async def test_take_delivers_pending_entries_with_the_counts_that_are_said(group: Group, client: Client) -> None:
    await _read(group)
    await client.xdel("s", ["2-0"])
    found = await group.take("s", {b"2-0": 2, b"3-0": 2, b"4-0": 7}, phase=Phase.AGAIN)
    assert [(entry.id, entry.deliveries, entry.phase) for entry in found] == [
        (b"3-0", 2, Phase.AGAIN), (b"4-0", 7, Phase.AGAIN),
    ]  # fmt: skip
    assert await group.pending("s", Phase.AGAIN) == {b"3-0": 2, b"4-0": 7}
    assert await group.occupied() == [("s", Phase.CLEAN), ("s", Phase.AGAIN)]
    assert await group.take("s", {}) == []


async def test_a_suspect_is_begun_once_and_by_whoever_holds_it(group: Group, client: Client) -> None:
    await _read(group)
    (held,) = await group.take("s", {b"1-0": 1}, phase=Phase.HELD)
    for _ in range(2):  # the second time as after a reply that was lost
        assert await group.begin_alone("s", "1-0", held.deliveries + 1)
        assert ("1-0", "a (alone)", 2) in await _rows(client)
    assert not await group.begin_alone("s", "2-0", 2)
    await group.link.execute([group.shelve("s", "1-0", 2, Phase.ALONE)])
    assert ("1-0", "(held)", 1) in await _rows(client)


async def test_owned_says_what_is_still_ones_own(group: Group, client: Client) -> None:
    await _read(group)
    await client.xclaim("s", "g", "other", 0, ["2-0"])
    await client.xack("s", "g", ["3-0"])
    replies = await group.link.execute(group.owned("s", ["1-0", "2-0", "3-0"]))
    assert [bool(reply) for reply in replies] == [True, False, False]


async def test_a_group_that_is_gone_is_told_from_other_errors(group: Group, client: Client) -> None:
    await client.xgroup_destroy("s", "g")
    with pytest.raises(Exception) as caught:
        await _read(group)
    assert is_missing(caught.value)
    assert not is_missing(WrongTypeError("x"))
