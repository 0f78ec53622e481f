"""Backups on a disk that fails at any call or loses power: the live files stay whole, and a sealed backup is one.

What is as in Redis is in tests/oracle/test_backup.py.
"""

import threading
from pathlib import Path

import pytest
import trio

from broker import open_broker
from broker.persistence.persistence import Storage
from broker.process.clock import TrioClock
from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, FOLDER, InPlace, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk, each_fault
from tests.broker.persistence.slow_disk import SlowDisk

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
OFF = {"save": ""}
BACKUP = "backupdir/"
LIVE = "appendonlydir/"
OKAY = b"+OK\r\n"


async def ended(broker: Broker) -> str:
    """Wait for the rewrite of a backup to end; returns the state after it."""
    persistence = broker.broker.persistence
    while persistence.background.active or persistence.backup.state in ("pending", "snapshotting"):
        await trio.sleep(0.001)
    return persistence.backup.state


async def sealed(broker: Broker, client: Client) -> bytes:
    """Start a backup and seal it, with a write in between; returns the reply to the last request for the backup."""
    reply = await client.call("BACKUP START")
    if reply == OKAY:
        await ended(broker)
        # After a failed sync, a client that waits for it is disconnected.
        await (await broker.client()).call("SET between 1")
        reply = await client.call("BACKUP SEAL")
    return reply


def files_of(disk: SimulatedDisk, folder: str) -> dict[str, bytes]:
    return {path.removeprefix(folder): data for path, data in disk.files().items() if path.startswith(folder)}


async def restored(disk: SimulatedDisk) -> dict[bytes, object]:
    """The keys that a broker finds in the backup on this disk."""
    return await contents(SimulatedDisk({LIVE + name: data for name, data in files_of(disk, BACKUP).items()}), ALWAYS)


@pytest.mark.parametrize(("call", "error"), each_fault(60))
async def test_each_call_may_fail(call: int, error: int) -> None:
    """Whatever fails, all that was acknowledged is in the live files, and a backup that is sealed is whole."""
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        disk.fail(call, error)
        reply = await sealed(broker, client)
        if disk.heal() == 0:
            return
        state = broker.broker.persistence.backup.state
        assert (state == "sealed") == (reply == OKAY)
        assert state in ("sealed", "failed", "idle")
        wanted = {b"a": b"1"}
        if b"between" in broker.broker.keyspace.databases[0].data:
            wanted[b"between"] = b"1"
        if state == "sealed":
            assert await restored(disk) == wanted
            for image in disk.crash_images(limit=10):
                assert await restored(image) == wanted
        else:
            assert files_of(disk, BACKUP) == {}
        if await client.call("SET b 1") == OKAY:
            wanted[b"b"] = b"1"
            for image in disk.crash_images(limit=10):
                assert await contents(image, ALWAYS) == wanted
            await client.call("BACKUP CLEANUP")
            assert await sealed(broker, client) == OKAY
            assert await restored(disk) == {**wanted, b"between": b"1"}
    assert disk.open_files == 0


@pytest.mark.parametrize(("call", "error"), each_fault(60))
async def test_each_call_may_fail_where_no_append_only_file_is_kept(call: int, error: int) -> None:
    """Whatever fails, no append-only file is left open, and the next backup succeeds."""
    disk = SimulatedDisk()
    async with durable(disk, OFF) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        disk.fail(call, error)
        reply = await sealed(broker, client)
        if disk.heal() == 0:
            return
        persistence = broker.broker.persistence
        assert (persistence.backup.state == "sealed") == (reply == OKAY)
        if reply == OKAY:
            assert await restored(disk) == {b"a": b"1", b"between": b"1"}
            for image in disk.crash_images(limit=10):
                assert await restored(image) == {b"a": b"1", b"between": b"1"}
        else:
            assert files_of(disk, BACKUP) == {}
        assert not persistence.journal.is_open
        assert await client.call("SET b 1") == OKAY
        await client.call("BACKUP CLEANUP")
        assert await sealed(broker, client) == OKAY
        assert await restored(disk) == {b"a": b"1", b"b": b"1", b"between": b"1"}
    assert disk.open_files == 0


async def images_at_each_call(directives: dict[str, str], disk: SimulatedDisk) -> list[tuple[str, SimulatedDisk]]:
    """What a loss of power may leave at any call of the disk while a backup is made, with the state at that time."""
    images: list[tuple[str, SimulatedDisk]] = []
    async with durable(disk, directives) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        call = disk.call

        def noting(name: str) -> bool:
            state = broker.broker.persistence.backup.state
            images.extend((state, image) for image in disk.crash_images(limit=4, seed=len(images)))
            return call(name)

        disk.call = noting  # type: ignore[method-assign]
        assert await sealed(broker, client) == OKAY
        disk.call = call  # type: ignore[method-assign]
        images.extend(("sealed", image) for image in disk.crash_images())
    return images


async def test_power_may_be_lost_at_each_call() -> None:
    for state, image in await images_at_each_call(ALWAYS, SimulatedDisk()):
        found = await contents(image, ALWAYS)
        assert found.pop(b"a") == b"1" and found in ({}, {b"between": b"1"})
        if state == "sealed":
            assert await restored(image) == {b"a": b"1", b"between": b"1"}


async def test_power_may_be_lost_at_each_call_where_no_append_only_file_is_kept() -> None:
    """What is left in the append-only folder never keeps it from being used."""
    for _, image in await images_at_each_call(OFF, SimulatedDisk()):
        async with durable(image, OFF) as broker:
            client = await broker.client()
            await client.call("SET new 1")
            await client.call("BACKUP CLEANUP")
            assert await sealed(broker, client) == OKAY
        assert await restored(image) == {b"new": b"1", b"between": b"1"}


async def test_nothing_is_written_to_a_sealed_backup() -> None:
    """Not even by a broker that later continues the append-only files which the backup was linked to."""
    disk = SimulatedDisk()
    async with durable(disk, OFF) as broker:
        client = await broker.client()
        await client.call("BGREWRITEAOF")
        await ended(broker)
        assert await sealed(broker, client) == OKAY
        before = files_of(disk, BACKUP)
        await client.call("SET later 1")
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        assert await client.call("SET later 2") == OKAY
    assert len(before) == 3 and files_of(disk, BACKUP) == before


async def test_abort_before_the_rewrite_has_begun_leaves_nothing() -> None:
    """In one packet, so that no task runs between the requests."""
    disk = SimulatedDisk()
    async with durable(disk, OFF) as broker:
        client = await broker.client()
        await client.stream.send_all(b"BACKUP START\r\nBACKUP ABORT\r\nBACKUP START\r\nBACKUP ABORT\r\n")
        assert [await client.receive() for _ in range(4)] == [OKAY] * 4
        assert await ended(broker) == "failed"
        assert not broker.broker.persistence.journal.is_open
        assert files_of(disk, LIVE) == {} and files_of(disk, BACKUP) == {}
        assert "aof_last_bgrewrite_status:ok" in await client.text("INFO persistence")
        assert await sealed(broker, client) == OKAY


async def test_sealing_waits_for_a_sync_that_is_running() -> None:
    disk = SlowDisk()
    async with durable(disk, {**APPENDONLY, "appendfsync": "everysec"}) as broker:
        client = await broker.client()
        await client.call("BACKUP START")
        await ended(broker)
        with disk.stopped():
            await client.call("SET a 1")
            journal = broker.broker.persistence.journal
            journal._sync()
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await client.call("SET b 1")
            assert journal.syncing
            # Nothing runs in this thread while the request waits.
            threading.Timer(0.05, disk.may_sync.set).start()
            assert await client.call("BACKUP SEAL") == OKAY
        assert not journal.syncing
        assert await client.call("SET c 1") == OKAY
        assert await restored(disk) == {b"a": b"1", b"b": b"1"}
        assert (await client.call("WAITAOF 1 0 0")).startswith(b"*2\r\n:1")


async def test_replies_that_wait_for_the_disk_are_sent_by_sealing() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client, writer = await broker.client(), await broker.client()
        await client.call("BACKUP START")
        await ended(broker)
        with disk.stopped():
            await writer.send("SET a 1")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            threading.Timer(0.05, disk.may_sync.set).start()
            assert await client.call("BACKUP SEAL") == OKAY
        assert await writer.receive() == OKAY
        assert await restored(disk) == {b"a": b"1"}


async def test_a_sealed_one_is_removed_after_backup_sealed_ttl(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    settings = {"dir": FOLDER, "backup-sealed-ttl": "100", **APPENDONLY}
    async with open_broker(settings, storage=Storage(disk, InPlace), clock=TrioClock()) as server:
        broker = Broker(server)
        client = await broker.client()
        assert await sealed(broker, client) == OKAY
        await trio.sleep(90)
        assert broker.broker.persistence.backup.state == "sealed"
        await trio.sleep(20)
        assert broker.broker.persistence.backup.state == "idle"
        assert files_of(disk, BACKUP) == {}
        for each in broker.clients:
            await each.stream.aclose()


@pytest.mark.parametrize("name", [".", "..", "appendonlydir"])
async def test_a_folder_with_other_files_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("x")
    settings = {"dir": str(tmp_path), "backupdirname": name, **APPENDONLY}
    async with open_broker(settings) as server:
        broker = Broker(server)
        client = await broker.client()
        refusal = b"-ERR backupdirname must name a folder that holds nothing else\r\n"
        assert await client.call("BACKUP START") == refusal
        assert await client.call("BACKUP CLEANUP") == refusal
        await client.stream.aclose()
    assert (tmp_path / "other").read_text() == "x"
    assert (tmp_path / "appendonlydir" / "appendonly.aof.manifest").exists()


async def test_it_stays_where_it_was_started_when_dir_changes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    settings = {"dir": str(first), "enable-protected-configs": "yes", **OFF}
    async with open_broker(settings) as server:
        broker = Broker(server)
        client = await broker.client()
        await client.call("BACKUP START")
        await ended(broker)
        await client.call("CONFIG", "SET", "dir", str(second))
        assert await client.call("BACKUP SEAL") == OKAY
        assert bytes(first) in await client.call("BACKUP LIST")
        assert len(list((first / "backupdir").iterdir())) == 3
        assert await client.call("BACKUP CLEANUP") == OKAY
        assert list((first / "backupdir").iterdir()) == []
        assert list(second.iterdir()) == []
        await client.stream.aclose()
