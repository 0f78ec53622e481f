"""One stream's entries, groups and dead letters, in bounded parts."""

from typing import Any

import anyio
import coredis
import pytest

from consumers.addresses import client_from_url
from consumers.console import stream_entries as module
from consumers.console.asking import ask
from consumers.console.server import Server
from consumers.console.stream_entries import (
    Entry,
    consumers_of,
    details,
    entries,
    entry,
    field_views,
    follow,
    newest,
    pending,
    redrive_all,
    redrive_one,
)
from consumers.deadletters import dead_letter_command
from consumers.names import decoded
from tests.consumers.clusters import started_cluster, two_nodes

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
KEY = b"\xff<key>"


async def filled(client: Client, count: int) -> None:
    for number in range(1, count + 1):
        await client.xadd(KEY, {"n": str(number)}, identifier=f"{number}-1")


async def died(client: Client, key: bytes, stream: str, text: str) -> str:
    """A dead letter; returns its ID."""
    command = dead_letter_command(
        "placeholder", origin=(stream, "5-5", "group", "worker"), values=[b"text", text.encode()], reason="<b>broken",
        deliveries=3, maxlen=None,
    )  # fmt: skip
    pairs: Any = dict(zip(command[3::2], command[4::2], strict=True))
    return (await client.xadd(key, pairs) or b"").decode()


async def test_entries_come_newest_first_in_pages(client: Client) -> None:
    await filled(client, 25)
    first, after = await entries(client, KEY, None, 15)
    assert [one.id for one in first] == [f"{n}-1" for n in range(25, 10, -1)] and after == "11-1"
    second, after = await entries(client, KEY, after, 15)
    assert [one.id for one in second] == [f"{n}-1" for n in range(10, 0, -1)] and after is None
    assert second[0].fields == ((b"n", b"10"),) and second[0].time is None and second[0].letter is None
    found, after = await entries(client, KEY, None, 15, down_to="(23-1")
    assert [one.id for one in found] == ["25-1", "24-1"] and after is None
    assert await newest(client, KEY) == "25-1" and await newest(client, b"none") == "0-0"
    for wrong in ("x", "-", "+", "(1", "1-1-1", "٣"):
        with pytest.raises(ValueError, match="not an entry's ID"):
            await entries(client, KEY, wrong, 5)
        assert await entry(client, KEY, wrong) is None
    one = await entry(client, KEY, "7-1")
    assert one is not None and one.fields == ((b"n", b"7"),)
    assert await entry(client, KEY, "7-2") is None


async def test_large_entries_make_short_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES", 10)
    await filled(client, 40)
    found, after = await entries(client, KEY, None, 30)
    assert len(found) == 10 and after == "31-1"


def test_an_id_is_a_time_only_where_it_can_be_one() -> None:
    assert Entry("1700000000123-0", ()).time == 1700000000.123
    assert Entry("18446744073709551615-1", ()).time is None


def test_fields_are_decoded_and_cut() -> None:
    found = Entry("1-1", ((b"\xff", b"[1]"), (b"a", b"x" * 100), (b"b", b"")))
    first, second = field_views(found, 2, 10)
    assert first[0] == b"\xff" and first[1].kind == "json"
    assert (second[1].text, second[1].cut) == ("x" * 10, True)


async def test_the_stream_and_its_groups(client: Client) -> None:
    await filled(client, 30)
    await client.xgroup_create(KEY, b"\xfe", "0")
    await client.xreadgroup(b"\xfe", "first", {KEY: ">"}, count=12)
    await client.xreadgroup(b"\xfe", "second", {KEY: ">"}, count=3)
    found = await details(client, KEY)
    assert found is not None and found.total_groups == 1 and found.ttl is None and found.size
    facts = dict(found.facts)
    assert (facts["length"], facts["last-generated-id"]) == ("30", "30-1") and "first-entry" not in facts
    [group] = found.groups
    assert (group.name, group.consumers, group.pending, group.lag, group.last_delivered) == (
        b"\xfe", 2, 15, 15, "15-1"
    )  # fmt: skip
    consumers = await consumers_of(client, KEY, group)
    assert consumers is not None and {(one.name, one.pending) for one in consumers} == {(b"first", 12), (b"second", 3)}
    rows, after = await pending(client, KEY, b"\xfe", None, 10)
    assert [one.id for one in rows] == [f"{n}-1" for n in range(1, 11)] and rows[0].deliveries == 1
    rows, after = await pending(client, KEY, b"\xfe", after, 10)
    assert [one.id for one in rows] == [f"{n}-1" for n in range(11, 16)] and after is None
    assert rows[-1].consumer == b"second"
    with pytest.raises(ValueError, match="ID"):
        await pending(client, KEY, b"\xfe", "x", 10)
    assert await details(client, b"none") is None


async def test_too_many_consumers_are_not_asked_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONSUMERS_READ", 1)
    await filled(client, 1)
    await client.xgroup_create(KEY, "g", "0")
    for name in ("a", "b"):
        await client.xgroup_createconsumer(KEY, "g", name)
    found = await details(client, KEY)
    assert found is not None and await consumers_of(client, KEY, found.groups[0]) is None


@pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)
async def test_policies_are_shown_where_the_server_has_them(client: Client) -> None:
    await filled(client, 1)
    await client.xgroup_create(KEY, "g", "0")
    await ask(client, [(b"XCFGSET", KEY, b"MAXLEN", 100), (b"XGROUP", b"CFGSET", KEY, b"g", b"MAXDELIVER", 5)])
    found = await details(client, KEY)
    assert found is not None
    assert dict(found.facts)["max-len"] == "100" and dict(found.groups[0].facts)["max-deliver"] == "5"


async def test_one_letter_goes_back_once(client: Client) -> None:
    id = await died(client, KEY, "orders<>", "first")
    other = await died(client, KEY, "orders<>", "second")
    odd = await died(client, KEY, decoded(b"bad\xffname"), "third")
    found = await entry(client, KEY, id)
    assert found is not None and found.letter is not None and found.letter.reason == "<b>broken"
    assert await redrive_one(client, KEY, id) == "orders<>"
    assert await redrive_one(client, KEY, id) is None
    assert await redrive_one(client, KEY, "x") is None
    back, _ = await entries(client, b"orders<>", None, 10)
    assert len(back) == 1 and dict(back[0].fields)[b"text"] == b"first"
    left, _ = await entries(client, KEY, None, 10)
    assert [one.id for one in left] == [odd, other]
    assert await redrive_one(client, KEY, odd) == decoded(b"bad\xffname") and await client.xlen(b"bad\xffname") == 1


async def test_the_oldest_letters_go_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REDRIVEN", 2)
    for text in ("1", "2", "3"):
        await died(client, b"dead", "orders", text)
    await died(client, b"dead", decoded(b"bad\xffname"), "4")
    assert await redrive_all(client, b"dead") == 2
    back, _ = await entries(client, b"orders", None, 10)
    assert [dict(one.fields)[b"text"] for one in back] == [b"2", b"1"]
    assert await redrive_all(client, b"dead") == 2 and await client.xlen(b"bad\xffname") == 1


async def test_a_stream_is_followed(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOWED", 3)
    await filled(client, 2)
    seen: list[tuple[list[str], bool]] = []
    begun = anyio.Event()
    server = Server(lambda: client_from_url(server_url))

    async def push(found: list[Entry], more: bool) -> None:
        begun.set()
        seen.append(([one.id for one in found], more))

    async def until(id: str) -> None:
        while not any(id in ids for ids, _ in seen):
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run)
        tasks.start_soon(follow, server, KEY, push)
        with anyio.fail_after(20):
            await begun.wait()
            await client.xadd(KEY, {"a": "b"}, identifier="10-1")
            await until("10-1")
            async with client.pipeline(transaction=True) as pipeline:
                for number in range(11, 20):
                    pipeline.xadd(KEY, {"a": "b"}, identifier=f"{number}-1")
            await until("19-1")
        tasks.cancel_scope.cancel()
    assert seen[1] == (["10-1"], False)
    assert seen[-1] == (["19-1", "18-1", "17-1"], True)


async def test_what_cannot_be_followed_says_why(client: Client, server_url: str) -> None:
    await client.set("text", "x")
    server = Server(lambda: client_from_url(server_url))

    async def push(found: list[Entry], more: bool) -> None: ...

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run)
        with anyio.fail_after(20):
            assert "wrong kind of value" in await follow(server, b"text", push)
        tasks.cancel_scope.cancel()


@pytest.mark.trio_only("starts a cluster")
async def test_a_cluster() -> None:
    with two_nodes() as nodes:
        async with started_cluster(nodes) as cluster:
            for number in range(6):
                key = f"{{{number}}}"
                await cluster.xadd(f"{key}:dead", {"dead-stream": key, "dead-id": "1-1", "a": "b"}, identifier="1-1")
                await cluster.xgroup_create(f"{key}:dead", "g", "0")
                found = await details(cluster, f"{key}:dead".encode())
                assert found is not None and found.size and [group.name for group in found.groups] == [b"g"]
                assert await redrive_one(cluster, f"{key}:dead".encode(), "1-1") == key
                back, _ = await entries(cluster, key.encode(), None, 5)
                assert [dict(one.fields)[b"a"] for one in back] == [b"b"]
