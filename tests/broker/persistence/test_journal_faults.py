"""A disk that is full, or whose syncs fail: what the journal refuses then, and whom it leaves without a reply."""

import errno
from unittest import mock

import pytest
import trio

from broker.persistence import journal as journal_module
from tests.broker.persistence.durable import APPENDONLY, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.slow_disk import SlowDisk, reads_nothing

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
EVERYSEC = {**APPENDONLY, "appendfsync": "everysec"}

FULL = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
BROKEN = b"-MISCONF Errors writing to the AOF file: Input/output error\r\n"


async def full(disk: SimulatedDisk) -> None:
    """Leave no room on the disk."""
    disk.capacity = sum(map(len, disk.files().values()))


async def test_a_full_disk_refuses_writes_and_goes_on_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("SET before 1")
        await full(disk)
        # The write that finds the disk full has been executed; those after it are not.
        assert await client.call("SET executed 1") == b"+OK\r\n"
        assert await client.call("SET refused 1") == FULL
        assert await client.call("PING") == FULL
        assert await client.call("GET before") == b"$1\r\n1\r\n"
        assert "aof_last_write_status:err" in await client.text("INFO persistence")
        disk.heal()
        await trio.sleep(2)
        assert await client.call("SET after 1") == b"+OK\r\n"
        assert "aof_last_write_status:ok" in await client.text("INFO persistence")
    assert set(await contents(disk, EVERYSEC)) == {b"before", b"executed", b"after"}


async def test_what_a_full_disk_did_not_take_is_not_in_a_later_file(autojump_clock: trio.testing.MockClock) -> None:
    """It is in the base of that file already, and would be executed twice."""
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        journal = broker.broker.persistence.journal
        await full(disk)
        assert await client.call("INCR n") == b":1\r\n"
        assert await client.call("PING") == FULL
        assert await client.call("CONFIG SET appendonly no") == b"+OK\r\n"
        while journal.is_open:
            await trio.sleep(0.01)
        disk.heal()
        assert await client.call("CONFIG SET appendonly yes") == b"+OK\r\n"
        while not journal.is_open or journal.provisional:
            await trio.sleep(0.01)
        assert await client.call("INCR n") == b":2\r\n"
    assert await contents(disk, EVERYSEC) == {b"n": b"2"}


async def test_with_always_a_full_disk_lets_the_client_wait_until_there_is_room() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client, other = await broker.client(), await broker.client()
        await full(disk)
        await client.send("SET k v")
        while await other.call("PING") != FULL:
            pass
        assert reads_nothing(client)
        assert await other.call("SET refused 1") == FULL
        disk.heal()
        assert await client.receive() == b"+OK\r\n"
        assert await other.call("SET k2 v") == b"+OK\r\n"
        images = [await contents(image, ALWAYS) for image in disk.crash_images()]
        assert all(image == {b"k": b"v", b"k2": b"v"} for image in images)


async def fail_syncs(disk: SimulatedDisk) -> None:
    """Let the next sync fail; what is written before it is written."""
    disk.fail(1, errno.EIO)


async def test_a_failed_sync_is_final_and_ends_the_clients_who_wait_for_it() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, other = await broker.client(), await broker.client()
        await fail_syncs(disk)
        await writer.send("SET k v")
        assert await writer.receive() == b""
        assert await other.call("SET refused 1") == BROKEN
        assert await other.call("GET k") == b"$1\r\nv\r\n"
        disk.heal()
        assert await other.call("SET refused 1") == BROKEN
    async with durable(disk, ALWAYS) as broker:
        assert await (await broker.client()).call("SET k w") == b"+OK\r\n"


async def test_every_second_a_failed_sync_is_final_too(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("SET k v")
        disk.fail(0, errno.EIO)
        # The clock jumps while a thread is at work: ask until it is done.
        while await client.call("PING") == b"+PONG\r\n":
            await trio.sleep(0.1)
        assert await client.call("SET refused 1") == BROKEN
        disk.heal()
        await trio.sleep(5)
        assert await client.call("SET refused 1") == BROKEN
        assert await client.call("GET k") == b"$1\r\nv\r\n"


@pytest.mark.parametrize("policy", ["everysec", "no", "always"])
async def test_where_the_present_file_cannot_be_synced_at_a_change_who_waits_is_disconnected(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 3600)
    disk = SlowDisk()
    async with durable(disk, {**APPENDONLY, "appendfsync": policy}) as broker:
        writer, reader = await broker.client(), await broker.client()
        await writer.call("SET before 1")
        # The manifest, with some policies what is in the present file, the base.
        with disk.stopped(2 if policy == "always" else 3):
            await reader.call("BGREWRITEAOF")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await writer.send("SET between 1")
            while await reader.call("EXISTS between") == b":0\r\n":
                pass
            assert reads_nothing(writer)
            disk.fail(0, errno.EIO)
        with trio.fail_after(60):
            assert await writer.receive() == b""
        assert await reader.call("SET refused 1") == BROKEN


async def test_what_was_written_in_the_tick_that_learns_of_a_failed_sync_is_not_answered() -> None:
    async with durable(SlowDisk(), ALWAYS) as broker:
        writer, reader = await broker.client(), await broker.client()
        await writer.call("SET before 1")
        await reader.call("PING")
        journal = broker.broker.persistence.journal
        end_tick = journal.end_tick

        def fail_and_end() -> None:
            if journal.sync_error is None and broker.broker.keyspace.databases[0].data.get(b"k"):
                journal._synced(0, OSError(errno.EIO, "Input/output error"))
                journal._notify_progress()
            end_tick()

        with mock.patch.object(journal, "end_tick", fail_and_end):
            await writer.send("SET k v")
            assert await writer.receive() == b""
        assert await reader.call("GET k") == b"$1\r\nv\r\n"
        assert await reader.call("SET refused 1") == BROKEN
