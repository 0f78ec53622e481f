"""The journal: what is written and synced when, and that a tick never waits for a sync."""

import threading
from pathlib import Path

import pytest
import trio

from broker.persistence import journal as journal_module
from broker.persistence import postponing as postponing_module
from broker.persistence.postponing import GATHER_SECONDS, POSTPONED_MS
from broker.persistence.syncing import NAME
from broker.process.log import Log
from tests.broker.inprocess import Broker
from tests.broker.persistence.durable import APPENDONLY, INCREMENT, InPlace, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.slow_disk import SlowDisk, reads_nothing

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
EVERYSEC = {**APPENDONLY, "appendfsync": "everysec"}


async def test_clients_that_are_let_go_on_share_the_next_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the last sync's half is not over, and clients are ready, the next one waits for them."""
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        journal = broker.broker.persistence.journal
        begun: list[int] = []
        monkeypatch.setattr(journal, "_sync", lambda: begun.append(journal._written_position))
        client = await broker.client()
        await client.call("PING")
        journal._gathers_until = float("inf")
        broker.broker.keyspace.effects.position += 1
        journal._record([(0, [b"SET", b"k", b"v"])])
        journal.end_tick()
        assert not begun
        journal.end_turn()
        assert len(begun) == 1
        monkeypatch.undo()


async def test_the_thread_ends_with_the_broker_and_with_the_journal() -> None:
    def running() -> bool:
        return any(thread.name == NAME for thread in threading.enumerate())

    assert not running()
    async with durable(SimulatedDisk(), ALWAYS) as broker:
        assert running()
        client = await broker.client()
        await client.call("SET k v")
        await client.call("CONFIG SET appendonly no")
        while broker.broker.persistence.journal.is_open:
            await client.call("PING")
        assert not running()
        await client.call("CONFIG SET appendonly yes")
        while not broker.broker.persistence.journal.is_open:
            await client.call("PING")
        assert running()
    assert not running()


@pytest.mark.parametrize("settings", [ALWAYS, EVERYSEC])
async def test_what_is_answered_is_in_the_file(settings: dict[str, str]) -> None:
    disk = SimulatedDisk()
    async with durable(disk, settings) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert b"SET\r\n$1\r\nk" in disk.files()[INCREMENT]
        if settings is ALWAYS:
            images = [await contents(image, settings) for image in disk.crash_images()]
            assert images and all(image == {b"k": b"v"} for image in images)


async def test_a_transaction_is_whole_in_every_crash_image() -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("MULTI")
        await client.call("SET a 1")
        await client.call("SET b 1")
        await client.call("EXEC")
        states = [frozenset(await contents(image, EVERYSEC)) for image in disk.crash_images()]
    assert set(states) == {frozenset(), frozenset({b"a", b"b"})}


async def test_every_second_what_is_written_is_synced(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("SET k v")
        # For ever: the clock jumps to any time-out while a thread is at work.
        assert await client.call("WAITAOF 1 0 0") == b"*2\r\n:1\r\n:0\r\n"
        assert all([await contents(image, EVERYSEC) == {b"k": b"v"} for image in disk.crash_images()])
        assert "aof_oldest_unsynced_ms:0" in await client.text("INFO persistence")


async def begin_to_sync(disk: SlowDisk, broker: Broker) -> None:
    """What once a second happens by itself."""
    broker.broker.persistence.journal._wake.set()
    assert await trio.to_thread.run_sync(disk.syncing.wait, 10)


async def test_every_second_what_is_answered_during_a_sync_is_in_the_file() -> None:
    disk = SlowDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        with disk.stopped():
            await client.call("SET before 1")
            await begin_to_sync(disk, broker)
            assert await client.call("SET during 1") == b"+OK\r\n"
            # What a kill of the process alone leaves.
            assert await contents(SimulatedDisk(disk.files()), EVERYSEC) == {b"before": b"1", b"during": b"1"}
        assert "aof_delayed_fsync:0" in await client.text("INFO persistence")


class SluggishWrites:
    """Makes writes of a journal take `seconds` of its time, asleep or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
        self.seconds = 0.0
        self.asleep = True
        self.now = 1000.0
        self.waits = 1
        journal = broker.broker.persistence.journal
        write = journal._write

        def sluggish() -> None:
            self.now += self.seconds
            self.waits += self.asleep
            write()

        monkeypatch.setattr(journal, "_write", sluggish)
        for module in (journal_module, postponing_module):
            monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(postponing_module, "times_waited", lambda: self.waits)


async def test_where_a_write_waits_for_a_sync_the_next_ones_gather(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = SlowDisk()
    async with durable(disk, EVERYSEC) as broker:
        broker.broker.persistence.journal._postponement._log = Log(path=str(tmp_path / "log"))
        client = await broker.client()
        writes = SluggishWrites(monkeypatch, broker)
        with disk.stopped():
            await client.call("SET k v")
            await begin_to_sync(disk, broker)
            writes.seconds = 0.5
            for name in "ab":
                assert await client.call(f"SET {name} 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), EVERYSEC)) == {b"k", b"a"}
            # Not forever: this sync takes too long.
            broker.broker.persistence.journal._syncing_since -= POSTPONED_MS
            await client.call("SET c 1")
            assert set(await contents(SimulatedDisk(disk.files()), EVERYSEC)) == {b"k", b"a", b"b", b"c"}
        while broker.broker.persistence.journal.syncing:
            await client.call("PING")
        assert "aof_delayed_fsync:2" in await client.text("INFO persistence")
        with disk.stopped():
            await begin_to_sync(disk, broker)
            await client.call("SET d 1")
            assert b"d" not in await contents(SimulatedDisk(disk.files()), EVERYSEC)
        while broker.broker.persistence.journal.syncing:
            await client.call("PING")
        assert b"d" in await contents(SimulatedDisk(disk.files()), EVERYSEC)
        # After a while it is tried again.
        writes.now += GATHER_SECONDS
        writes.seconds = 0.0
        with disk.stopped():
            await begin_to_sync(disk, broker)
            await client.call("SET e 1")
            assert b"e" in await contents(SimulatedDisk(disk.files()), EVERYSEC)
    assert (tmp_path / "log").read_text().count("had to wait for its sync") == 1


async def test_a_write_that_was_only_not_given_the_processor_is_no_reason_to_gather(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = SlowDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        writes = SluggishWrites(monkeypatch, broker)
        writes.seconds, writes.asleep = 0.5, False
        with disk.stopped():
            await client.call("SET k v")
            await begin_to_sync(disk, broker)
            for name in "ab":
                assert await client.call(f"SET {name} 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), EVERYSEC)) == {b"k", b"a", b"b"}


@pytest.mark.parametrize("policy", ["everysec", "no"])
@pytest.mark.parametrize("let_through", [0, 1])
async def test_while_a_rewrite_prepares_its_files_what_is_answered_is_in_the_present_one(
    let_through: int, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync is the manifest's, the second that of what is in the present file by then."""
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 3600)
    disk = SlowDisk()
    settings = {**APPENDONLY, "appendfsync": policy}
    async with durable(disk, settings) as broker:
        client = await broker.client()
        await client.call("SET before 1")
        with disk.stopped(let_through):
            await client.call("BGREWRITEAOF")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            assert await client.call("SET during 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), settings)) == {b"before", b"during"}


@pytest.mark.parametrize("policy", ["everysec", "no"])
async def test_where_a_rewrite_changes_files_a_reply_waits_until_its_write_can_be_written(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 3600)
    disk = SlowDisk()
    settings = {**APPENDONLY, "appendfsync": policy}
    async with durable(disk, settings) as broker:
        writer, reader = await broker.client(), await broker.client()
        await writer.call("SET before 1")
        with disk.stopped(3):  # the manifest, what is in the present file, the base
            await reader.call("BGREWRITEAOF")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await writer.send("SET between 1")
            while await reader.call("EXISTS between") == b":0\r\n":
                pass
            assert reads_nothing(writer)
        assert await writer.receive() == b"+OK\r\n"
        assert set(await contents(SimulatedDisk(disk.files()), settings)) == {b"before", b"between"}


async def test_with_always_what_needs_no_sync_for_now_is_written_before_it_is_answered() -> None:
    disk = SlowDisk()
    settings = {**ALWAYS, "no-appendfsync-on-rewrite": "yes"}
    async with durable(disk, settings) as broker:
        client, other = await broker.client(), await broker.client()
        with disk.stopped():
            await other.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            broker.broker.persistence.background._child = InPlace(lambda progress: None)
            await client.call("SET a 1")
            assert await client.call("SET b 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), settings)) == {b"k", b"a", b"b"}
            broker.broker.persistence.background._child = None


async def test_without_syncs_nothing_is_acknowledged(autojump_clock: trio.testing.MockClock) -> None:
    async with durable(SimulatedDisk(), {**APPENDONLY, "appendfsync": "no"}) as broker:
        client = await broker.client()
        assert await client.call("WAITAOF 1 0 5000") == b"*2\r\n:1\r\n:0\r\n"  # has written nothing
        await client.call("SET k v")
        assert await client.call("WAITAOF 1 0 5000") == b"*2\r\n:0\r\n:0\r\n"


async def test_timestamps_are_annotations(broker_file: SimulatedDisk) -> None:
    assert broker_file.files()[INCREMENT].startswith(b"#TS:")


@pytest.fixture
async def broker_file() -> SimulatedDisk:
    disk = SimulatedDisk()
    async with durable(disk, {**APPENDONLY, "aof-timestamp-enabled": "yes"}) as broker:
        await write(broker)
    return disk


async def write(broker: Broker) -> None:
    client = await broker.client()
    await client.call("SET k v")
