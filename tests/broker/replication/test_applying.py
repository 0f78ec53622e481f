"""The master's stream as it is applied: offsets, transactions, failures, what clients see of it, and its end."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from broker.process.clock import TrioClock
from broker.replication import applying
from broker.replication.link import HOPELESS_PAUSES
from tests.broker.inprocess import running
from tests.broker.replication.fake_master import (
    FILE,
    ID,
    OTHER_ID,
    arrived,
    field,
    payload,
    recovers,
    replica,
    settled,
    value,
)


@pytest.mark.parametrize(
    "commands",
    [
        ["NOSUCH a"],
        ["SET a"],
        ["RPUSH a x"],
        ["MULTI", "INCR b", "RPUSH a x", "EXEC"],
        ["MULTI", "NOSUCH", "EXEC"],
        ["SELECT 99"],
        ["EXEC"],
        ["MULTI", "MULTI"],
    ],
)
async def test_a_command_that_fails_ends_the_link(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        began = trio.current_time()
        await peer.command("SET before 1", *commands, "SET after 1")
        while await peer.request():
            pass
        assert await value(broker, "before") == b"$1\r\n1\r\n"
        assert await value(broker, "after") == b"$-1\r\n"
        assert await field(broker, "master_link_status") == "down"
        assert await field(broker, "slave_priority") == "0"
        peer = await master.accept()
        assert trio.current_time() - began >= HOPELESS_PAUSES[0]
        await peer.greet()
        await peer.expect("PSYNC ? -1")
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (ID.encode(), len(FILE), FILE))
        await peer.acknowledged(500)
        assert await field(broker, "slave_priority") == "100"


async def test_a_defect_here_does_not_end_the_broker(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)

        def broken(*_: object) -> None:
            raise RuntimeError("a defect")

        with monkeypatch.context() as patched:
            patched.setattr(applying.Applying, "feed", broken)
            await peer.command("INCR a")
            while await peer.request():
                pass
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await recovers(broker, master)


async def test_positions(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("PING", "REPLCONF GETACK *")
        await peer.acknowledged(114)  # the question itself doesn't count
        await peer.acknowledged(151)  # a second later
        await peer.command("MULTI", "INCR a")
        await settled()
        assert await field(broker, "slave_repl_offset") == "151"
        assert await field(broker, "slave_read_repl_offset") == str(151 + 15 + 21)
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await peer.command("INCR a", "EXEC", "MULTI")
        await peer.acknowledged(151 + 15 + 42 + 14)
        assert await value(broker, "a") == b"$1\r\n3\r\n"


async def test_what_the_disk_has_is_reported(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with replica(
        monkeypatch, {"dir": str(tmp_path), "appendonly": "yes", "save": "", "repl-timeout": "1000000"}
    ) as (_, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("INCR a")
        with trio.fail_after(100_000):
            while (await peer.acknowledged(121))[3:] != [b"FACK", b"121"]:
                pass


async def test_messages_reach_subscribers_here(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE c")
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("PUBLISH c hello")
        assert await subscriber.receive() == b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n"


async def test_waiting_readers_are_served(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        reader = await broker.client()
        await reader.send("XREAD BLOCK 0 STREAMS s $")
        await settled()
        await peer.command("XADD s 5-1 f v")
        assert b"5-1" in await reader.receive()


async def test_promoted_while_connected(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        await peer.send(b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n")
        assert await client.call("REPLICAOF NO ONE") == b"+OK\r\n"
        before = await value(broker, "a")
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(100):
                await peer.command("INCR a")
        assert await value(broker, "a") == before
        assert await field(broker, "role") == "master"
        assert await field(broker, "master_replid2") == ID
        assert await client.call("SET a 9") == b"+OK\r\n"
        await trio.sleep(100)
        assert master.connections == 1


async def test_no_client_takes_its_rights(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        assert b"user=(superuser)" in await client.call("CLIENT LIST TYPE master")
        await client.call("ACL SETUSER other on nopass +@all ~* &*")
        await client.call("AUTH other x")
        assert await client.call("ACL SETUSER default resetkeys -@all") == b"+OK\r\n"
        await peer.command("MULTI", "INCR a", "INCR a", "EXEC", "INCR a")
        with trio.fail_after(60):
            while await client.call("GET a") != b"$1\r\n4\r\n":
                await trio.sleep(0.01)


async def test_killed_by_a_client_it_comes_back(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        assert b"flags=M" in await client.call("CLIENT LIST TYPE master")
        assert await client.call("CLIENT KILL TYPE master") == b":1\r\n"
        while await peer.request():
            pass
        peer = await master.accept()
        await peer.greet()
        await peer.expect(f"PSYNC {ID} 101")


async def test_a_pause_holds_for_the_master(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        await client.call("CLIENT PAUSE 10000 WRITE")
        await peer.command("INCR a")
        await trio.sleep(1)
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await client.call("CLIENT UNPAUSE")
        await arrived(broker, "a", b"2")


async def test_the_append_only_file_begins_anew(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, tmp_path: Path
) -> None:
    directives = {"dir": str(tmp_path), "appendonly": "yes", "save": "", "repl-timeout": "1000000"}
    async with replica(monkeypatch, directives) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(payload("SET old 1"))
        await peer.command("SET between 1")
        await arrived(broker, "between", b"1")
        await peer.drop()
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (OTHER_ID.encode(), len(FILE), FILE))
        await peer.acknowledged(500)
        await peer.command("INCR a")
        with trio.fail_after(100_000):
            while (await peer.acknowledged(521))[4:] != [b"521"]:
                pass
    async with running({**directives, "replicaof": "no one"}) as broker:
        assert await value(broker, "a") == b"$1\r\n2\r\n"
        assert await value(broker, "old") == await value(broker, "between") == b"$-1\r\n"


async def test_due_keys_are_hidden_and_stay(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    clock = TrioClock()
    async with replica(monkeypatch, clock=clock) as (broker, master):
        peer = await master.accept()
        await peer.full_sync()
        when = clock.read() + 1000
        await peer.command(f"SET k 1 PXAT {when}", f"SET past 1 PXAT {when - 50_000}", "HSET h a 1 b 2")
        await peer.command(f"HPEXPIREAT h {when} FIELDS 1 a")
        client = await broker.client()
        await trio.sleep(3)
        assert await client.call("MGET k past") == b"*2\r\n$-1\r\n$-1\r\n"
        assert await client.call("HGETALL h") == b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        assert await client.call("DBSIZE") == b":3\r\n"
        assert await client.call("KEYS *") == b"*1\r\n$1\r\nh\r\n"
        await peer.command("INCR k", "INCR past", "HINCRBY h a 1", "PERSIST k", "PERSIST past")
        await arrived(broker, "k", b"2")
        assert await client.call("GET past") == b"$1\r\n2\r\n"
        assert await client.call("HGETALL h") == b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        assert await client.call("REPLICAOF NO ONE") == b"+OK\r\n"
        await trio.sleep(1)
        assert await client.call("HGETALL h") == b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        assert await field(broker, "expired_subkeys", "stats") == "1"


async def test_what_clients_write_on_a_replica_expires(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch, {"replica-read-only": "no"}, TrioClock()) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        await client.call("SET mine 1 PX 500")
        await client.call("SET lasting 1")
        await peer.command(f"SET theirs 1 PXAT {broker.broker.clock.read() + 500}")
        await arrived(broker, "theirs", b"1")
        assert await field(broker, "slave_expires_tracked_keys", "stats") == "2"
        await trio.sleep(3)
        assert await client.call("MGET mine theirs lasting") == b"*3\r\n$-1\r\n$-1\r\n$1\r\n1\r\n"
        assert await client.call("DBSIZE") == b":4\r\n"  # a, l, lasting and theirs
        assert await field(broker, "slave_expires_tracked_keys", "stats") == "0"
