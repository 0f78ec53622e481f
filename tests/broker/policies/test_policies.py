"""Which policies are in force: after a restart, a promotion, and whatever else replaces keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from broker.policies import policies
from broker.process.clock import TrioClock
from broker.replication.role import Address
from tests.broker.inprocess import Client, running
from tests.broker.policies.governing import GROUP, dead_letters, governing, group_facts, ids, pending
from tests.oracle.wire import Node, parse

POLICY = "XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 2 DEADLETTER dlq"
DYING = (*GROUP, POLICY, "XREADGROUP GROUP g alice STREAMS s >")
ONCE_MORE = "XREADGROUP GROUP g bob STREAMS s >"


async def in_force(client: Client) -> bool:
    """Whether something of the group, whose entries are pending, comes again."""
    await trio.sleep(1.1)
    return bool(ids(await client.call(ONCE_MORE)))


@asynccontextmanager
async def started(directives: dict[str, str], clock: TrioClock) -> AsyncIterator[Client]:
    """Run a broker that keeps files; yields a client."""
    async with running(directives, clock) as broker:
        yield await broker.client()


async def deliveries(client: Client) -> Node:
    """The group's pending entries, with the times at which they were delivered."""
    [group] = parse(await client.call("XINFO STREAM s FULL")).items[-1].items
    names = [item.text for item in group.items]
    return group.items[names.index(b"pending") + 1]


@pytest.mark.parametrize("files", ["append-only", "snapshot"])
async def test_restart(files: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    """Times are long: while a thread works on files, the clock jumps to whatever is next."""
    directives = {"dir": str(tmp_path), "stream-extensions": "yes", "save": ""}
    directives["appendonly"] = "yes" if files == "append-only" else "no"
    clock = TrioClock()
    async with started(directives, clock) as client:
        for line in DYING:
            await client.call(line)
        await client.call("XGROUP CFGSET s g ACKWAIT 1000000")
        await trio.sleep(500)
        await client.call("XADD s 4-1 a 4")
        await client.call(ONCE_MORE)
        await client.call("XNACK s g FAIL IDS 1 1-1")
        before = await deliveries(client)
        if files == "snapshot":
            await client.call("SAVE")
    await trio.sleep(300)
    async with started(directives, clock) as client:
        assert await deliveries(client) == before
        assert ids(await client.call("XREADGROUP GROUP g eve STREAMS s >")) == ["1-1"]
        await trio.sleep(250)
        assert ids(await client.call("XREADGROUP GROUP g eve STREAMS s >")) == ["2-1", "3-1"]
        if files == "snapshot":
            await client.call("SAVE")
    await trio.sleep(5000)
    for _ in range(2):
        async with started(directives, clock) as client:
            await trio.sleep(1)
            # What has died meanwhile is buried at once, and only once.
            assert [each["dead-id"] for each in await dead_letters(client)] == ["1-1", "2-1", "3-1"]
            assert [row[0] for row in await pending(client)] == ["4-1"]
            if files == "snapshot":
                await client.call("SAVE")


async def test_a_replica_does_nothing_until_it_is_promoted(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "XCLAIM s g alice 0 1-1 2-1 RETRYCOUNT 2") as (broker, client):
        broker.broker.role.follow(Address("127.0.0.1", 1))
        assert not broker.broker.policies.by_stream
        await trio.sleep(5)
        assert len(await pending(client)) == 3
        assert (await group_facts(client))["ack-wait"].text == b"1000"
        assert b"$5\r\ng.dlq" not in await client.call("XGROUP CFGGET s g")
        broker.broker.role.promote()
        await trio.sleep(0.01)
        assert [each["dead-id"] for each in await dead_letters(client)] == ["1-1", "2-1"]
        assert ids(await client.call(ONCE_MORE)) == ["3-1"]


async def test_flushing(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "FLUSHALL") as (_, client):
        for line in (*GROUP, "XREADGROUP GROUP g alice STREAMS s >"):
            await client.call(line)
        assert not await in_force(client)
        await client.call(POLICY)
        assert ids(await client.call(ONCE_MORE)) == ["1-1", "2-1", "3-1"]


async def test_a_policy_that_is_removed_by_hand(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "XCLAIM s g alice 0 1-1 RETRYCOUNT 2", "DEL ~policy:{s}:s") as (broker, client):
        assert not await in_force(client)
        assert len(await pending(client)) == 3
        assert not broker.broker.policies.by_stream


async def test_a_policy_that_is_restored_by_hand(autojump_clock: MockClock) -> None:
    async with governing(*DYING) as (_, client):
        await client.call("XGROUP CREATE s other 0")
        await client.call("COPY ~policy:{s}:s saved")
        await client.call("XGROUP CFGSET s g ACKWAIT 100000 MAXDELIVER 0")
        assert not await in_force(client)
        await client.call("COPY saved ~policy:{s}:s REPLACE")
        assert await in_force(client)


async def test_a_stream_that_is_removed_keeps_its_policy(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "DEL s") as (_, client):
        for line in (*GROUP, "XREADGROUP GROUP g alice STREAMS s >"):
            await client.call(line)
        assert await in_force(client)


async def test_swapped_databases(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "SWAPDB 0 1") as (_, client):
        for line in (*GROUP, "XREADGROUP GROUP g alice STREAMS s >"):
            await client.call(line)
        assert not await in_force(client)
        await client.call("SELECT 1")
        assert await in_force(client)


async def test_reloading(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with governing(*DYING, dir=str(tmp_path), save="", enable_debug_command="yes") as (_, client):
        assert await client.call("DEBUG RELOAD") == b"+OK\r\n"
        assert await in_force(client)


async def test_loading_the_append_only_file_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    setup = (*GROUP, "XREADGROUP GROUP g alice COUNT 2 STREAMS s >", "XNACK s g FATAL IDS 1 1-1", POLICY)
    async with governing(*setup, dir=str(tmp_path), appendonly="yes", enable_debug_command="yes") as (_, client):
        await trio.sleep(0.1)
        assert len(await dead_letters(client)) == 1
        assert await client.call("DEBUG LOADAOF") == b"+OK\r\n"
        assert [each["dead-id"] for each in await dead_letters(client)] == ["1-1"]
        await trio.sleep(3)
        assert ids(await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >")) == ["2-1"]


async def test_another_policy_applies_to_what_is_pending(autojump_clock: MockClock) -> None:
    async with governing(*DYING) as (_, client):
        await client.call("XGROUP CFGSET s g ACKWAIT 5000")
        await trio.sleep(4)
        assert ids(await client.call(ONCE_MORE)) == []
        await client.call("XGROUP CFGSET s g ACKWAIT 3000")
        assert ids(await client.call(ONCE_MORE)) == ["1-1", "2-1", "3-1"]
        await client.call("XGROUP CFGSET s g MAXDELIVER 1 ACKWAIT 100")
        await trio.sleep(0.2)
        assert len(await dead_letters(client)) == 3


async def test_many_streams_are_looked_after_in_turn(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "_CHECKED_AT_ONCE", 2)
    async with governing() as (_, client):
        for name in "pqrst":
            await client.call(f"XGROUP CREATE {name} g 0 MKSTREAM")
            await client.call(f"XGROUP CFGSET {name} g ACKWAIT 1000 MAXDELIVER 1 DEADLETTER dlq")
            await client.call(f"XADD {name}x 1-1 a 1")
            await client.call(f"XGROUP CREATE {name}x g 0")
            await client.call(f"XREADGROUP GROUP g c STREAMS {name}x >")
            await client.call(f"RENAME {name}x {name}")
        await trio.sleep(5)
        assert sorted(each["dead-stream"] for each in await dead_letters(client)) == ["p", "q", "r", "s", "t"]


async def test_without_extensions_policies_are_only_data(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, stream_extensions="no") as (broker, client):
        await client.call(b"HSET", b"~policy:{s}:s", b"g\0ackwait", b"1000")
        await client.call("XREADGROUP GROUP g alice STREAMS s >")
        broker.broker.policies.reload()
        assert not await in_force(client)
        assert "ack-wait" not in await group_facts(client)
        assert b"extensions" not in await client.call("HELLO")
        assert "entries_redelivered" not in await client.text("INFO")
        refused = await client.call("CONFIG SET notify-keyspace-events Kp")
        assert refused.endswith(b"Invalid event class character. Use 'Ag$lshzxeKEtmdnocaSTIV'.\r\n")


async def test_the_extensions_can_be_seen(autojump_clock: MockClock) -> None:
    async with governing() as (_, client):
        assert b"extensions\r\n*1\r\n$7\r\nstreams\r\n" in await client.call("HELLO")
        assert "entries_redelivered:0" in await client.text("INFO")
        assert b"immutable" in await client.call("CONFIG SET stream-extensions no")
