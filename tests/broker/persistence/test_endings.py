"""What clients do at awkward moments: while files are loaded, in the tick that ends the broker, in others' folders."""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from broker import open_broker
from broker.persistence import persistence, recovery
from broker.persistence.background import Outcome, Progress, Work
from broker.persistence.persistence import Storage
from broker.server import Server
from protocol.errors import LOADING, aof_error
from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, FOLDER, InPlace, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.slow_disk import SlowDisk
from tests.oracle.wire import encode

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
SNAPSHOTS = {"save": "", "enable-debug-command": "yes"}
KEYS = 20_000


async def answers(stream: trio.SocketStream) -> bytes:
    """Everything until the broker closes the connection, which it must have done."""
    found = b""
    async with stream:
        # It resets the connection where it has left something unread.
        with trio.fail_after(20), suppress(trio.BrokenResourceError):
            while part := await stream.receive_some():
                found += part
    return found


# The end


@pytest.mark.parametrize("settings", [APPENDONLY, ALWAYS])
async def test_what_is_answered_at_the_end_is_in_the_file(settings: dict[str, str]) -> None:
    disk = SimulatedDisk()
    async with durable(disk, settings) as broker:
        writer, other = await broker.server.connect(), await broker.server.connect()
        await (await broker.client()).call("SET before 1")
        await writer.send_all(encode(["SET", "a", "1"]))
        await other.send_all(encode(["SET", "b", "1"]) + encode(["SHUTDOWN", "NOSAVE"]))
        await broker.server.stopping.wait()
    answered = [name for name, stream in ((b"a", writer), (b"b", other)) if await answers(stream) == b"+OK\r\n"]
    found = await contents(disk)
    assert [name for name in answered if name not in found] == []


@pytest.mark.parametrize("steps", range(8))
async def test_a_stop_at_any_moment_of_a_sync_loses_nothing_that_is_answered(steps: int) -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        writer = await broker.server.connect()
        await (await broker.client()).call("SET before 1")
        await writer.send_all(encode(["SET", "a", "1"]))
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        assert broker.server.try_to_stop()
    answered = await answers(writer) == b"+OK\r\n"
    assert (b"a" in await contents(disk)) >= answered


# While everything is loaded


@asynccontextmanager
async def loading(
    disk: SimulatedDisk, meanwhile: Callable[[Client], Awaitable[None]], directives: dict[str, str] | None = None
) -> AsyncIterator[Broker]:
    """A broker that starts on this disk, and what a client does while it loads."""
    servers: list[Server] = []

    async def early() -> None:
        while not servers or not servers[0].broker.state.loading:
            await trio.lowlevel.checkpoint()
        client = Client(await servers[0].connect())
        assert (await client.call("GET", "k")).startswith(b"-LOADING")
        await meanwhile(client)
        assert servers[0].broker.state.loading, "it was too fast"
        await client.stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(early)
        async with open_broker(
            {"dir": FOLDER, **(directives or SNAPSHOTS)},
            started=servers.append,
            storage=Storage(disk, InPlace),
        ) as server:
            yield Broker(server)


@pytest.fixture
async def filled(monkeypatch: pytest.MonkeyPatch) -> SimulatedDisk:
    """A disk with an RDB file and an append-only folder of many keys, which are loaded in small steps."""
    disk = SimulatedDisk()
    async with durable(disk, {**APPENDONLY, "enable-debug-command": "yes"}) as broker:
        client = await broker.client()
        await client.call("DEBUG", "POPULATE", KEYS)
        assert await client.call("SAVE") == b"+OK\r\n"
        await client.call("BGREWRITEAOF")
        while broker.broker.persistence.background.active:
            await trio.sleep(0.001)
    monkeypatch.setattr(recovery, "_SLICE_SECONDS", 0)
    return disk


@pytest.mark.parametrize("files", [SNAPSHOTS, APPENDONLY], ids=["snapshot", "base"])
async def test_info_counts_keys_while_they_are_loaded(files: dict[str, str], filled: SimulatedDisk) -> None:
    counts: list[int] = []

    async def ask(client: Client) -> None:
        while not counts or not counts[-1]:
            info = await client.text("INFO persistence")
            counts.append(int(info.partition("rdb_last_load_keys_loaded:")[2].partition("\r")[0]))

    async with loading(filled, ask, files) as broker:
        assert 0 < counts[-1] < KEYS
        assert broker.broker.persistence.recovery.loaded.keys == KEYS


async def test_an_append_only_file_switched_on_while_loading_holds_all_keys(filled: SimulatedDisk) -> None:
    async def switch(client: Client) -> None:
        assert await client.call("CONFIG", "SET", "appendonly", "yes") == b"+OK\r\n"

    async with loading(filled, switch) as broker:
        with trio.fail_after(60):
            while not broker.server.persistence.journal.is_open or broker.server.persistence.journal.provisional:
                await trio.sleep(0.01)
    assert len(await contents(filled)) == KEYS


async def test_an_append_only_file_switched_off_while_loading_is_off(filled: SimulatedDisk) -> None:
    async def switch(client: Client) -> None:
        assert await client.call("CONFIG", "SET", "appendonly", "no") == b"+OK\r\n"

    async with loading(filled, switch, APPENDONLY) as broker:
        with trio.fail_after(60):
            while broker.server.persistence.journal.is_open:
                await trio.sleep(0.01)
        assert len(broker.broker.keyspace.databases[0].data) == KEYS
    assert len(await contents(filled)) == KEYS


async def test_debug_commands_wait_for_the_end_of_loading(filled: SimulatedDisk) -> None:
    async def reload(client: Client) -> None:
        assert await client.call("DEBUG", "RELOAD") == b"-%b\r\n" % LOADING
        assert await client.call("DEBUG", "POPULATE", 1, "new") == b"-%b\r\n" % LOADING

    async with loading(filled, reload) as broker:
        assert len(broker.broker.keyspace.databases[0].data) == KEYS
    assert len(await contents(filled, SNAPSHOTS)) == KEYS


@pytest.mark.parametrize("words", ["SHUTDOWN", "SHUTDOWN SAVE", "SHUTDOWN NOSAVE"])
async def test_a_shutdown_while_loading_changes_no_file(words: str, filled: SimulatedDisk) -> None:
    async def end(client: Client) -> None:
        assert await client.call(words) == b""

    before = filled.files()
    async with loading(filled, end, {"save": "1 1"}):
        pass
    after = filled.files()
    assert {name: after[name] for name in before} == before


# The folder of another


async def test_flushall_saves_in_no_folder_that_is_anothers(tmp_path: Path) -> None:
    own, others = tmp_path / "own", tmp_path / "others"
    own.mkdir()
    others.mkdir()
    settings = {"save": "3600 1", "enable-protected-configs": "yes"}
    async with (
        open_broker({**settings, "dir": str(others)}) as owner,
        open_broker({**settings, "dir": str(own)}) as server,
    ):
        for broker, words in (
            (owner, ["SET k v", "SAVE"]),
            (server, [f"CONFIG SET dir {others}", "FLUSHALL", "CONFIG SET save ''"]),
        ):
            client = Client(await broker.connect())
            for command in words:
                assert await client.call(command) == b"+OK\r\n"
            await client.stream.aclose()
        owner.broker.config.save = ()
    async with open_broker({**settings, "dir": str(others)}) as again:
        assert again.broker.keyspace.databases[0].data == {b"k": b"v"}


# How much has been appended


async def test_growth_counts_from_the_last_rewrite_however_often_the_broker_starts() -> None:
    disk = SimulatedDisk()
    settings = {**APPENDONLY, "auto-aof-rewrite-percentage": "0"}
    for _ in range(3):
        async with durable(disk, settings) as broker:
            client = await broker.client()
            text = await client.text("INFO persistence")
            info = dict(line.split(":") for line in text.splitlines() if ":" in line)
            await client.call("SET", "k", "v" * 10_000)
    assert int(info["aof_current_size"]) > 20_000
    assert int(info["aof_base_size"]) < 1000
    async with durable(disk, APPENDONLY | {"auto-aof-rewrite-min-size": "10000"}) as broker:
        assert broker.broker.persistence.rewrites.is_due()


# A disk that hangs


class Unfinished:
    """A child whose work never ends."""

    def __init__(self, work: Work) -> None:
        self._killed = trio.Event()

    def kill(self) -> None:
        self._killed.set()

    async def wait(self, progress: Progress) -> Outcome:
        await self._killed.wait()
        return Outcome("killed")


async def test_what_gathers_while_the_disk_hangs_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "UNWRITTEN_MAX", 50_000)
    disk = SlowDisk()
    async with durable(disk, spawn=Unfinished) as broker:
        client = await broker.client()
        held: list[Client] = []
        with disk.stopped(1):  # the manifest; then the files are changed
            assert (await client.call("BGREWRITEAOF")).startswith(b"+")
            with trio.fail_after(60):
                while not disk.syncing.is_set():
                    await trio.sleep(0.001)
            refusal = b""
            with trio.fail_after(20):
                while not refusal:
                    writer = await broker.client()
                    await writer.send("SET", f"k{len(held)}", "x" * 1000)
                    with trio.move_on_after(0.02):
                        refusal = await writer.receive()
                    held += [] if refusal else [writer]
            assert refusal == b"-%b\r\n" % aof_error(persistence.TOO_SLOW)
            assert len(held) > 40
            assert await client.call("STRLEN k0") == b":1000\r\n"
        for writer in held:
            assert await writer.receive() == b"+OK\r\n"
        with trio.fail_after(60):
            while (await client.call("SET last v")).startswith(b"-"):
                await trio.sleep(0.01)
    assert len(await contents(disk)) == len(held) + 1


async def test_after_a_failed_sync_nothing_is_acknowledged_not_even_when_later_ones_succeed() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**APPENDONLY, "auto-aof-rewrite-percentage": "0"}, spawn=Unfinished) as broker:
        client = await broker.client()
        journal = broker.server.persistence.journal
        await client.call("SET k v")
        journal.sync_error = OSError(errno.EIO, "as if a sync had failed")
        assert await client.call("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"
        with trio.fail_after(60):
            while journal.synced_position < broker.broker.keyspace.effects.position:
                await trio.sleep(0.001)
        assert await client.call("WAITAOF 1 0 20") == b"*2\r\n:0\r\n:0\r\n"
