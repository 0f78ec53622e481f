"""The parts put together: who may write in a folder, a start that fails, files that change places, refusals."""

import errno
import socket
import time
from pathlib import Path
from unittest.mock import patch

import hypothesis.strategies as st
import pytest
import trio
from hypothesis import given

from broker import open_broker
from broker.config import Config
from broker.network.listeners import StartError
from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, MANIFEST, contents, durable
from tests.broker.persistence.files_made import keys_of
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.oracle.harness import AnyCommand, Step, examples
from tests.oracle.mixed_commands import sequences
from tests.oracle.wire import encode

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
KEEPS_NOTHING = {"save": ""}
SNAPSHOTS = {"save": "3600 1"}


async def idle(broker: Broker) -> None:
    """Wait until no child is at work, and none is about to be."""
    while broker.broker.persistence.background.active:
        await trio.sleep(0.001)


async def closed(broker: Broker) -> None:
    """Wait until the append-only file is switched off."""
    while broker.broker.persistence.journal.is_open:
        await trio.sleep(0.001)


async def refused(disk: SimulatedDisk, directives: dict[str, str]) -> str:
    text = ""
    try:
        async with durable(disk, directives):
            pytest.fail("it has started")
    except* StartError as problems:
        text = str(problems.exceptions[0])
    return text


# One broker a folder


@pytest.mark.parametrize("settings", [ALWAYS, SNAPSHOTS])
async def test_a_second_broker_in_a_folder_is_refused(settings: dict[str, str]) -> None:
    disk = SimulatedDisk({"temp-save-9.rdb": b"a crash has left this"})
    async with durable(disk, settings) as broker:
        client = await broker.client()
        await client.call("SET k v")
        before = disk.files()
        for other, text in (
            (
                ALWAYS,
                "another broker keeps its append-only file in /appendonlydir: "
                "this one needs another dir or appenddirname",
            ),
            (SNAPSHOTS, "another broker keeps its RDB file at /dump.rdb: this one needs another dir or dbfilename"),
        ):
            if other.items() <= settings.items():
                assert await refused(disk, other) == text
        assert disk.files() == before
        assert await client.call("SET k w") == b"+OK\r\n"
    assert await contents(disk, settings) == {b"k": b"w"}


async def test_two_with_names_of_their_own_share_a_folder() -> None:
    disk = SimulatedDisk()
    both = {**ALWAYS, **SNAPSHOTS}
    mine, other = ({**both, "dbfilename": f"{name}.rdb", "appenddirname": name} for name in ("mine", "other"))
    async with durable(disk, mine) as first, durable(disk, other) as second:
        for broker, value in ((first, "1"), (second, "2")):
            client = await broker.client()
            await client.call(f"SET k {value}")
            assert await client.call("SAVE") == b"+OK\r\n"
            await client.call("BGREWRITEAOF")
            await idle(broker)
        assert await refused(disk, {**mine, "dbfilename": "third.rdb"}) == (
            "another broker keeps its append-only file in /mine: this one needs another dir or appenddirname"
        )
        assert (
            await refused(disk, {**mine, "appenddirname": "third"})
            == "another broker keeps its RDB file at /mine.rdb: this one needs another dir or dbfilename"
        )
    assert await contents(disk, mine) == {b"k": b"1"}
    assert await contents(disk, other) == {b"k": b"2"}


async def test_one_that_writes_nothing_may_be_there_until_it_is_to_write() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**ALWAYS, **SNAPSHOTS}), durable(disk, KEEPS_NOTHING) as second:
        client = await second.client()
        await client.call("SET k v")
        before = disk.files()
        assert await client.call("SAVE") == await client.call("BGSAVE") == b"-ERR\r\n"
        assert await client.call("CONFIG SET appendonly yes") == (
            b"-ERR CONFIG SET failed (possibly related to argument 'appendonly')"
            b" - another broker keeps its append-only file in /appendonlydir: "
            b"this one needs another dir or appenddirname\r\n"
        )
        await client.call("BGREWRITEAOF")
        await idle(second)
        assert "aof_last_bgrewrite_status:err" in await client.text("INFO persistence")
        assert disk.files() == before
    assert await contents(disk, ALWAYS) == {}


async def test_the_lock_is_released_at_the_end_and_its_file_stays() -> None:
    disk = SimulatedDisk()
    for _ in range(3):
        async with durable(disk, ALWAYS):
            assert disk.open_files == 2
        assert disk.open_files == 0 and disk.files()["appendonlydir.lock"] == b""


# A start that fails


async def test_a_start_without_its_port_touches_no_file() -> None:
    disk = SimulatedDisk()
    async with durable(disk, SNAPSHOTS) as broker:
        await (await broker.client()).call("SET k v")
    before = disk.files()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Config()
        config.port = taken.getsockname()[1]
        config.bind = ("127.0.0.1",)
        with pytest.raises(StartError):
            async with open_broker({"dir": "/", **SNAPSHOTS}, config=config):
                pytest.fail("it has started")
    assert disk.files() == before


async def test_a_damaged_file_survives_the_save_that_the_end_would_make(tmp_path: Path) -> None:
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(b"REDIS0010 and nothing that makes sense")
    before = dump.read_bytes()
    with pytest.raises(ExceptionGroup):
        async with open_broker({"dir": str(tmp_path), "save": "1 1"}):
            pytest.fail("it has started")
    assert dump.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.rdb", "dump.rdb.lock"]


# Switching on, off, and elsewhere


async def test_what_a_folder_holds_from_before_is_superseded_in_one_step() -> None:
    """Started without the append-only file, which is then switched on: old or new in every crash image."""
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET old base")
        await client.call("BGREWRITEAOF")
        await idle(broker)
        await client.call("SET old increment")
    images: list[SimulatedDisk] = []
    original = disk.call

    def call(name: str) -> bool:
        images.extend(disk.crash_images(limit=20, seed=len(images)))
        return original(name)

    async with durable(disk, {**KEEPS_NOTHING, "appendfsync": "always"}) as broker:
        client = await broker.client()
        await client.call("SET new 1")
        disk.call = call  # type: ignore[method-assign]
        await client.call("CONFIG SET appendonly yes")
        await idle(broker)
        del disk.call
        await client.call("SET newer 1")
        images += disk.crash_images()
    assert len(images) > 30
    states = [await contents(image, ALWAYS) for image in images]
    allowed = ({b"old": b"increment"}, {b"new": b"1"}, {b"new": b"1", b"newer": b"1"})
    assert all(state in allowed for state in states) and allowed[0] in states and states[-1] == allowed[-1]
    assert sum("appendonlydir" in name for name in disk.files()) == 4  # with the lock


async def test_a_folder_that_can_not_be_read_is_not_superseded() -> None:
    disk = SimulatedDisk({MANIFEST: b"junk\n"})
    async with durable(disk, KEEPS_NOTHING) as broker:
        client = await broker.client()
        reply = await client.call("CONFIG SET appendonly yes")
        assert b"Unable to turn on AOF" in reply
        await client.call("BGREWRITEAOF")
        await idle(broker)
        assert "aof_last_bgrewrite_status:err" in await client.text("INFO persistence")
    assert disk.files()[MANIFEST] == b"junk\n"


async def test_the_append_only_file_stays_where_it_is_when_dir_changes(tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    first.mkdir()
    second.mkdir()
    settings = {**ALWAYS, "enable-protected-configs": "yes"}
    async with open_broker({"dir": str(first), **settings}) as server:
        broker = Broker(server)
        client = await broker.client()
        await client.call("SET a 1")
        assert await client.call("CONFIG", "SET", "dir", str(second)) == b"+OK\r\n"
        await client.call("SET b 1")
        await client.call("BGREWRITEAOF")
        await idle(broker)
        await client.call("SET c 1")
        assert await client.call("SAVE") == b"+OK\r\n"
        assert sorted(path.name for path in second.iterdir()) == ["dump.rdb", "dump.rdb.lock"]
        for taken, others in ((first, settings), (second, SNAPSHOTS)):
            with pytest.raises(ExceptionGroup):
                async with open_broker({"dir": str(taken), **others}):
                    pytest.fail("it has started")
        await client.call("CONFIG SET appendonly no")
        await closed(broker)
        await client.call("CONFIG SET appendonly yes")
        await idle(broker)
        await client.call("SET d 1")
        await client.stream.aclose()
    for folder, keys in ((first, 3), (second, 4)):
        async with open_broker({"dir": str(folder), **settings}) as server:
            assert len(server.broker.keyspace.databases[0].data) == keys


async def test_what_is_written_during_a_rewrite_keeps_its_database() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client, busy = await broker.client(), await broker.client()
        await busy.call("SELECT 3")
        await busy.call("SET n 0")
        count = 0
        async with trio.open_nursery() as nursery:
            stop = trio.Event()

            async def write() -> None:
                nonlocal count
                while not stop.is_set():
                    assert await busy.call("INCR n") == b":%d\r\n" % (count + 1)
                    count += 1

            nursery.start_soon(write)
            for _ in range(8):
                await client.call("BGREWRITEAOF")
                await idle(broker)
            stop.set()
    async with durable(disk, ALWAYS) as broker:
        databases = broker.broker.keyspace.databases
        assert databases[3].data == {b"n": b"%d" % count} and not databases[0].data


async def test_switched_off_and_on_at_once_it_goes_on() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        for word in ("no", "yes"):
            await client.send(f"CONFIG SET appendonly {word}")
        assert [await client.receive() for _ in range(2)] == [b"+OK\r\n"] * 2
        await client.call("SET b 1")
        await trio.sleep(0.01)
        await idle(broker)
        await client.call("SET c 1")
        for image in disk.crash_images(limit=50):
            assert set(await contents(image, ALWAYS)) == {b"a", b"b", b"c"}


# Refusals


async def test_a_failed_save_and_a_full_disk_refuse_writes_each_on_its_own() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**SNAPSHOTS, "appendonly": "yes"}) as broker:
        client = await broker.client()
        disk.fail(0, errno.ENOSPC)
        await client.call("BGSAVE")
        await idle(broker)
        assert (await client.call("SET k v")).startswith(b"-MISCONF Redis is configured to save RDB snapshots")
        assert await client.call("CONFIG", "SET", "save", "") == b"+OK\r\n"
        assert await client.call("SET k v") == b"+OK\r\n"
        disk.capacity = 0
        await client.call("SET k w")
        full = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
        assert await client.call("SET k x") == full
        assert full[1:-2] in await client.call("EVAL", "redis.call('SET','k','x')", 0)
        flagged = await client.call("EVAL", "#!lua\nreturn redis.call('SET','k','x')", 0)
        assert flagged == (
            b"-MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk."
            b" Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: No space left on"
            b" device\r\n"
        )
        assert await client.call("EVAL_RO", "return redis.call('GET','k')", 1, "k") == b"$1\r\nw\r\n"
        assert await client.call("CONFIG SET appendonly no") == b"+OK\r\n"
        await closed(broker)
        assert await client.call("SET k y") == b"+OK\r\n"
        disk.heal()


async def test_waitaof_tells_when_the_first_file_is_in_place() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**KEEPS_NOTHING, "appendfsync": "always"}) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        assert (await client.call("WAITAOF 1 0 0")).startswith(b"-ERR WAITAOF cannot be used")
        await client.call("CONFIG SET appendonly yes")
        await client.call("SET b 1")
        assert await client.call("WAITAOF 1 0 5000") == b"*2\r\n:1\r\n:0\r\n"
        for image in disk.crash_images():
            assert await contents(image, ALWAYS) == {b"a": b"1", b"b": b"1"}


async def test_waitaof_never_overstates() -> None:
    """Whenever a client was told that its write is safe, it is in every crash image of that moment."""
    disk = SimulatedDisk()
    async with durable(disk, {**APPENDONLY, "appendfsync": "everysec"}) as broker:
        client = await broker.client()
        for number in range(3):
            await client.call(f"SET k{number} 1")
            if await client.call("WAITAOF 1 0 3000") == b"*2\r\n:1\r\n:0\r\n":
                for image in disk.crash_images(limit=20):
                    assert b"k%d" % number in await contents(image, APPENDONLY)
            else:
                pytest.fail("three seconds were not enough")


@pytest.mark.parametrize("words", ["NOSAVE", "FORCE"])
async def test_shutdown_on_a_full_disk_needs_to_be_told_that_what_is_not_written_may_be_lost(words: str) -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**APPENDONLY, "appendfsync": "everysec"}) as broker:
        client = await broker.client()
        disk.capacity = 0
        assert await client.call("SET k v") == b"+OK\r\n"
        assert await client.call("SHUTDOWN") == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        assert await client.call("GET k") == b"$1\r\nv\r\n"
        assert await client.call(f"SHUTDOWN {words}") == b""


async def test_shutdown_during_the_first_rewrite_needs_force() -> None:
    disk = SimulatedDisk()
    async with durable(disk, KEEPS_NOTHING) as broker:
        client: Client = await broker.client()
        broker.broker.persistence.journal.provisional = True
        assert await client.call("SHUTDOWN") == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
        assert await client.call("SHUTDOWN NOSAVE FORCE") == b""


# Everything that commands do


@examples(25)
@given(sequences(40), st.booleans(), st.booleans())
def test_generated_commands_are_there_after_a_restart(script: list[AnyCommand], as_rdb: bool, rewrite: bool) -> None:
    """Whatever was done, from the increment, and from a base in either form."""
    settings = {**ALWAYS, "aof-use-rdb-preamble": "yes" if as_rdb else "no"}

    async def everything(disk: SimulatedDisk, *, work: bool) -> dict[tuple[int, bytes], object]:
        async with durable(disk, settings) as broker:
            if work:
                client = await broker.client()
                for command in script:
                    await client.stream.send_all(command.ours if isinstance(command, Step) else encode(command))
                    await client.receive()
                if rewrite:
                    await client.call("BGREWRITEAOF")
                    await idle(broker)
            return keys_of(broker.broker)

    async def main() -> None:
        disk = SimulatedDisk()
        before = await everything(disk, work=True)
        assert await everything(disk, work=False) == before

    # Consumers are seen when they are made, which no command tells.
    with patch.object(time, "time_ns", lambda: 1_750_000_000_000_000_000):
        trio.run(main)
