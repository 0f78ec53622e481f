"""Snapshots: SAVE, BGSAVE, the save points, and what a failing disk does."""

import errno
import signal
from pathlib import Path

import pytest
import trio

from broker import open_broker
from broker.persistence.background import Progress
from broker.persistence.saving import Snapshots
from broker.server import Server
from tests.broker.inprocess import Broker
from tests.broker.persistence.durable import contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.oracle.wire import encode, split

SNAPSHOTS = {"save": "1 1"}
REFUSED = b"-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."


async def until_saved(broker: Broker) -> None:
    """Wait for the child and what is done after it."""
    while broker.broker.persistence.background.active:
        await trio.sleep(0.01)


async def test_a_saved_file_is_loaded_at_the_start() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {"save": ""}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        await client.call("RPUSH l a b")
        assert await client.call("SAVE") == b"+OK\r\n"
        assert "rdb_changes_since_last_save:0" in await client.text("INFO persistence")
        await client.call("SET later 1")
    for image in [disk, *disk.crash_images()]:
        assert await contents(image, {"save": ""}) == {b"k": b"v", b"l": [b"a", b"b"]}


async def test_bgsave_saves_the_moment() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {"save": ""}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert await client.call("BGSAVE") == b"+Background saving started\r\n"
        await client.call("SET later 1")
        await until_saved(broker)
        info = await client.text("INFO persistence")
        assert "rdb_last_bgsave_status:ok" in info and "rdb_changes_since_last_save:1" in info
    assert await contents(disk, {"save": ""}) == {b"k": b"v"}


async def test_a_transaction_only_schedules_the_save() -> None:
    async with durable(SimulatedDisk(), {"save": ""}) as broker:
        client = await broker.client()
        for command in ("MULTI", "BGSAVE", "BGREWRITEAOF"):
            await client.call(command)
        assert await client.call("EXEC") == (
            b"*2\r\n+Background saving scheduled\r\n+Background append only file rewriting scheduled\r\n"
        )


async def test_save_points_save_by_themselves(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, SNAPSHOTS) as broker:
        client = await broker.client()
        await client.call("SET k v")
        snapshots: Snapshots = broker.broker.persistence.snapshots
        snapshots.last_save -= 2  # the wall clock does not jump
        await trio.sleep(1.5)
        await until_saved(broker)
        assert "dump.rdb" in disk.files()
        assert "rdb_changes_since_last_save:0" in await client.text("INFO persistence")


async def test_the_end_saves_what_the_save_points_would() -> None:
    disk = SimulatedDisk()
    async with durable(disk, SNAPSHOTS) as broker:
        await (await broker.client()).call("SET k v")
    assert await contents(disk, SNAPSHOTS) == {b"k": b"v"}


async def test_flushall_removes_the_keys_from_the_disk_too() -> None:
    disk = SimulatedDisk()
    async with durable(disk, SNAPSHOTS) as broker:
        client = await broker.client()
        await client.call("SET k v")
        await client.call("SAVE")
        await client.call("FLUSHALL")
        assert [await contents(image, SNAPSHOTS) for image in disk.crash_images()] == [{}]


async def test_flushall_leaves_no_change_that_is_not_saved() -> None:
    async with durable(SimulatedDisk(), SNAPSHOTS) as broker:
        client = await broker.client()
        for commands, changes in (
            (["MSET a 1 b 2", "FLUSHALL"], 0),
            (["MULTI", "SET a 1", "FLUSHALL", "SET b 2", "EXEC"], 1),
            (["FLUSHALL"], 0),
            (["SET a 1", "FLUSHDB"], 2),
            (["CONFIG SET save ''", "SET a 1", "FLUSHALL"], 4),
        ):
            # Sent at once, so that what comes before is not counted yet.
            await client.stream.send_all(b"".join(encode(split(command)) for command in commands))
            for _ in commands:
                await client.receive()
            assert broker.broker.keyspace.changes == changes


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", range(5))
async def test_a_save_that_fails_leaves_the_old_file(call: int, error: int) -> None:
    """create, write, sync, rename, sync of the folder: each of them."""
    disk = SimulatedDisk()
    async with durable(disk, {"save": ""}) as broker:
        client = await broker.client()
        await client.call("SET k old")
        assert await client.call("SAVE") == b"+OK\r\n"
        await client.call("SET k new")
        disk.fail(call, error)
        assert await client.call("SAVE") == b"-ERR\r\n"
        disk.heal()
        for image in disk.crash_images():
            # The last step is the only one after which either may be there.
            wanted = (b"old", b"new") if call == 4 else (b"old",)
            assert (await contents(image, {"save": ""}))[b"k"] in wanted
        assert await client.call("SAVE") == b"+OK\r\n"
    assert await contents(disk, {"save": ""}) == {b"k": b"new"}


async def test_a_failed_background_save_refuses_writes_until_one_succeeds() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {"save": "3600 1"}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        for count in (1, 2):
            disk.fail(0, errno.ENOSPC)
            await client.call("BGSAVE")
            await until_saved(broker)
            assert f"rdb_saves_consecutive_failures:{count}\r\n" in await client.text("INFO persistence")
        assert (await client.call("SET k w")).startswith(REFUSED)
        assert (await client.call("PING")).startswith(REFUSED)
        assert await client.call("GET k") == b"$1\r\nv\r\n"
        assert await client.call("CONFIG SET stop-writes-on-bgsave-error no") == b"+OK\r\n"
        assert await client.call("SET k w") == b"+OK\r\n"
        assert await client.call("CONFIG SET stop-writes-on-bgsave-error yes") == b"+OK\r\n"
        assert (await client.call("SET k x")).startswith(REFUSED)
        await client.call("BGSAVE")
        await until_saved(broker)
        assert await client.call("SET k x") == b"+OK\r\n"


async def test_scripts_of_writes_in_a_transaction_are_refused_too() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {"save": "3600 1"}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        await client.call("MULTI")
        await client.call("SET k w")
        disk.fail(0, errno.ENOSPC)
        other = await broker.client()
        await other.call("BGSAVE")
        await until_saved(broker)
        assert (await client.call("EXEC")).startswith(b"-EXECABORT Transaction discarded because of: MISCONF")


async def test_shutdown_refuses_when_the_save_fails() -> None:
    disk = SimulatedDisk()
    async with durable(disk, SNAPSHOTS) as broker:
        client = await broker.client()
        await client.call("SET k v")
        disk.fail(0, errno.ENOSPC)
        assert await client.call("SHUTDOWN") == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        assert await client.call("GET k") == b"$1\r\nv\r\n"
        assert await client.call("SHUTDOWN NOSAVE") == b""
    assert await contents(disk, SNAPSHOTS) == {}


async def test_shutdown_saves_once() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {"save": ""}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert await client.call("SHUTDOWN SAVE") == b""
    assert await contents(disk, {"save": ""}) == {b"k": b"v"}
    assert disk.calls.count("rename") == 1


# With a real child and a real disk


async def saving(server: Server) -> None:
    while server.broker.persistence.background.active:
        await trio.sleep(0.005)


async def test_a_forked_child_saves(tmp_path: Path) -> None:
    settings = {"dir": str(tmp_path), "save": ""}
    async with open_broker(settings) as server:
        broker = Broker(server)
        client = await broker.client()
        await client.call("MSET", *[word for number in range(2000) for word in (f"k{number}", number)])
        assert await client.call("BGSAVE") == b"+Background saving started\r\n"
        assert await client.call("BGSAVE") == b"-ERR Background save already in progress\r\n"
        assert await client.call("SAVE") == b"-ERR Background save already in progress\r\n"
        await saving(server)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.rdb", "dump.rdb.lock"]
        await client.stream.aclose()
    async with open_broker(settings) as server:
        assert len(server.broker.keyspace.databases[0].data) == 2000


async def test_what_a_killed_child_has_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"dir": str(tmp_path), "save": ""}
    async with open_broker(settings) as server:

        def stuck(self: Snapshots, temporary: str, progress: Progress) -> None:
            Path(temporary).write_bytes(b"REDIS0010")
            signal.pause()

        monkeypatch.setattr(Snapshots, "_write", stuck)
        persistence = server.broker.persistence
        persistence.snapshots.start()
        while not list(tmp_path.glob("temp-*")):
            await trio.sleep(0.005)
        persistence.background.kill()
        await saving(server)
        assert not list(tmp_path.glob("temp-*"))
        assert not persistence.snapshots.succeeded
        assert not list(tmp_path.glob("dump.rdb"))
