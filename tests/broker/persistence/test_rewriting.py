"""Rewrites: what is on the disk before, during and after each step, and when there is one."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from broker import open_broker
from broker.persistence.background import Child, Outcome, Progress, Work
from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, MANIFEST, InPlace, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk, each_fault

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
OFF = {"save": ""}


async def rewritten(broker: Broker) -> bool:
    """Wait for the rewrite to end; whether it has succeeded."""
    rewrites = broker.broker.persistence.rewrites
    while rewrites.running:
        await trio.sleep(0.001)
    return rewrites.succeeded


async def test_a_rewrite_keeps_the_keys_and_drops_what_led_to_them() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        for number in range(50):
            await client.call(f"SET k {number}")
        assert await client.call("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"
        assert await client.call("BGREWRITEAOF") in (
            b"-ERR Background append only file rewriting already in progress\r\n",
            b"+Background append only file rewriting started\r\n",
        )
        assert await rewritten(broker)
        await client.call("SET later 1")
        names = sorted(disk.files())
    assert names == [
        "appendonlydir.lock",
        "appendonlydir/appendonly.aof.2.base.rdb",
        "appendonlydir/appendonly.aof.2.incr.aof",
        MANIFEST,
    ]
    assert b"49" not in disk.files()["appendonlydir/appendonly.aof.2.incr.aof"]
    assert await contents(disk, ALWAYS) == {b"k": b"49", b"later": b"1"}


async def test_a_base_of_commands(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    settings = {**ALWAYS, "aof-use-rdb-preamble": "no"}
    async with durable(disk, settings) as broker:
        client = await broker.client()
        await client.call("RPUSH l a b")
        await client.call("BGREWRITEAOF")
        assert await rewritten(broker)
    base = disk.files()["appendonlydir/appendonly.aof.2.base.aof"]
    assert b"RPUSH" in base and base.count(b"#CRC:") == 1
    assert await contents(disk, settings) == {b"l": [b"a", b"b"]}


async def test_what_is_written_between_the_fork_and_the_new_increment_is_in_neither_lost_nor_twice() -> None:
    disk = SimulatedDisk()
    clients: list[Client] = []

    async with durable(disk, ALWAYS) as broker:
        client, busy = await broker.client(), await broker.client()
        clients += [client, busy]
        await client.call("SET n 0")
        async with trio.open_nursery() as nursery:
            stop = trio.Event()

            async def write() -> None:
                while not stop.is_set():
                    await busy.call("INCR n")

            nursery.start_soon(write)
            for _ in range(5):
                await client.call("BGREWRITEAOF")
                assert await rewritten(broker)
            stop.set()
        final = await client.call("GET n")
        images = [await contents(image, ALWAYS) for image in disk.crash_images(limit=50)]
    assert all(image[b"n"] == final.split(b"\r\n")[1] for image in images)


@pytest.mark.parametrize(("call", "error"), each_fault(36))
async def test_each_call_of_a_rewrite_may_fail(call: int, error: int) -> None:
    """Whatever fails, every crash image has all that was acknowledged, and a later rewrite succeeds."""
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        disk.fail(call, error)
        await client.call("BGREWRITEAOF")
        await rewritten(broker)
        if disk.heal() == 0:
            return
        reply = await client.call("SET b 1")
        wanted = {b"a": b"1"} | ({b"b": b"1"} if reply == b"+OK\r\n" else {})
        for image in disk.crash_images(limit=20):
            found = await contents(image, ALWAYS)
            assert found == wanted or (reply != b"+OK\r\n" and found == {b"a": b"1", b"b": b"1"})
        if reply == b"+OK\r\n":
            await client.call("BGREWRITEAOF")
            assert await rewritten(broker)
            await client.call("SET c 1")
            for image in disk.crash_images(limit=20):
                assert await contents(image, ALWAYS) == {**wanted, b"c": b"1"}
    assert await contents(disk, ALWAYS) == {**wanted, **({b"c": b"1"} if reply == b"+OK\r\n" else {})}
    assert disk.open_files == 0


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", range(16))
async def test_a_child_that_ends_before_the_rewrite_could_not_begin_leaves_no_second_copy(
    call: int, error: int
) -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        await client.call("RPUSH l x")
        disk.fail(call, error)
        await client.call("BGREWRITEAOF")
        await rewritten(broker)
        disk.heal()
    assert await contents(disk, ALWAYS) == {b"l": [b"x"]}


async def test_power_may_be_lost_at_each_call_of_a_rewrite() -> None:
    """Images taken within the rewrite, whenever the disk is called."""
    disk = SimulatedDisk()
    images: list[SimulatedDisk] = []
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        original = disk.call

        def call(name: str) -> bool:
            images.extend(disk.crash_images(limit=10, seed=len(images)))
            return original(name)

        disk.call = call  # type: ignore[method-assign]
        await client.call("BGREWRITEAOF")
        assert await rewritten(broker)
        del disk.call
    assert len(images) > 20
    for image in images:
        assert await contents(image, ALWAYS) == {b"a": b"1"}


@pytest.mark.parametrize("policy", ["everysec", "no", "always"])
async def test_the_process_may_be_killed_at_each_call_of_a_rewrite_while_clients_write(policy: str) -> None:
    """Nothing that was answered is lost then, whatever the policy: the disk has all that was written."""
    disk = SimulatedDisk()
    settings = {**APPENDONLY, "appendfsync": policy}
    answered = 0
    killed: list[tuple[int, dict[str, bytes]]] = []
    original = disk.call

    def call(name: str) -> bool:
        if name != "write":
            count = answered
            killed.append((count, disk.files()))
        return original(name)

    async with durable(disk, settings) as broker:
        client, busy = await broker.client(), await broker.client()
        stop = trio.Event()

        async def write() -> None:
            nonlocal answered
            while not stop.is_set():
                answered = int((await busy.call("INCR n"))[1:-2])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            disk.call = call  # type: ignore[method-assign]
            for _ in range(3):
                await client.call("BGREWRITEAOF")
                assert await rewritten(broker)
            del disk.call
            stop.set()
    assert len(killed) > 30 and killed[-1][0] > 0
    for count, files in killed:
        found = await contents(SimulatedDisk(files), settings)
        value = found.get(b"n", b"0")
        assert isinstance(value, bytes) and int(value) >= count


async def test_without_an_append_only_file_a_rewrite_makes_a_base() -> None:
    disk = SimulatedDisk()
    async with durable(disk, OFF) as broker:
        client = await broker.client()
        await client.call("SET k v")
        await client.call("BGREWRITEAOF")
        assert await rewritten(broker)
    assert await contents(disk, ALWAYS) == {b"k": b"v"}


class Unending(InPlace):
    """A child that is at work until it is killed."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._killed = trio.Event()

    def kill(self) -> None:
        self._killed.set()
        super().kill()

    async def wait(self, progress: Progress) -> Outcome:
        await self._killed.wait()
        return await super().wait(progress)


def temporary(disk: SimulatedDisk) -> list[str]:
    """The files that are not yet what they will be."""
    return [name for name in disk.files() if "temp-" in name]


@pytest.mark.parametrize("settings", [OFF, ALWAYS])
async def test_an_unfinished_rewrite_leaves_no_files(settings: dict[str, str]) -> None:
    disk = SimulatedDisk()
    async with durable(disk, settings, spawn=Unending) as broker:
        client = await broker.client()
        await client.call("BGREWRITEAOF" if settings is ALWAYS else "CONFIG SET appendonly yes")
        while len(temporary(disk)) < (1 if settings is ALWAYS else 2):  # the base, and the first increment
            await trio.sleep(0.001)
        await client.call("SHUTDOWN NOSAVE FORCE")
    assert not temporary(disk)


async def test_it_can_be_switched_on_and_off() -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**OFF, "appendfsync": "always"}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert await client.call("CONFIG SET appendonly yes") == b"+OK\r\n"
        assert await rewritten(broker)
        await client.call("SET on 1")
        for image in disk.crash_images():
            assert await contents(image, ALWAYS) == {b"k": b"v", b"on": b"1"}
        assert await client.call("CONFIG SET appendonly no") == b"+OK\r\n"
        while broker.broker.persistence.journal.is_open:
            await client.call("PING")
        await client.call("SET off 1")
        assert await contents(next(disk.crash_images()), ALWAYS) == {b"k": b"v", b"on": b"1"}
        assert await client.call("CONFIG SET appendonly yes") == b"+OK\r\n"
        assert await rewritten(broker)
        for image in disk.crash_images():
            assert await contents(image, ALWAYS) == {b"k": b"v", b"on": b"1", b"off": b"1"}


@pytest.mark.parametrize("call", range(16))
async def test_switching_on_may_fail_and_is_tried_again(call: int, autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**OFF, "appendfsync": "always"}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        disk.fail(call, errno.EIO)
        reply = await client.call("CONFIG SET appendonly yes")
        if reply != b"+OK\r\n":
            assert b"Unable to turn on AOF" in reply or b"Input/output error" in reply
            assert await client.call("CONFIG SET appendonly yes") == b"+OK\r\n"
        rewrites = broker.broker.persistence.rewrites
        while rewrites.running or not rewrites.base_size:
            await trio.sleep(0.5)
        disk.heal()
        if await client.call("SET k w") == b"+OK\r\n":
            for image in disk.crash_images(limit=20):
                assert await contents(image, ALWAYS) == {b"k": b"w"}


async def test_growth_causes_a_rewrite(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, {**ALWAYS, "auto-aof-rewrite-min-size": "1000"}) as broker:
        client = await broker.client()
        while broker.broker.persistence.rewrites.count == 0:
            await client.call("SET k " + "x" * 100)
            await trio.sleep(0.1)
        assert await rewritten(broker)
        assert 0 < broker.broker.persistence.journal.size < 1000
    assert (await contents(disk, ALWAYS))[b"k"] == b"x" * 100


async def test_repeated_failures_delay_the_next_attempt(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()

    def failing(work: Work) -> Child:
        child = InPlace(work)
        child.kill()
        return child

    async with durable(disk, {**ALWAYS, "auto-aof-rewrite-min-size": "1"}, failing) as broker:
        client = await broker.client()
        for _ in range(10):
            await client.call("SET k v")
            await trio.sleep(5)
            # The clock jumps while a thread is at work.
            await rewritten(broker)
        rewrites = broker.broker.persistence.rewrites
        assert rewrites.failures == rewrites.count == 3
        await client.call("BGREWRITEAOF")
        await rewritten(broker)
        assert rewrites.count == 4
        info = await client.text("INFO persistence")
        assert "aof_last_bgrewrite_status:err" in info


@asynccontextmanager
async def on_this_disk(folder: Path, **directives: str) -> AsyncIterator[tuple[Broker, Client]]:
    async with open_broker({"dir": str(folder), "save": "", **directives}) as server:
        broker = Broker(server)
        client = await broker.client()
        yield broker, client
        await client.stream.aclose()


async def test_with_a_forked_child(tmp_path: Path) -> None:
    async with on_this_disk(tmp_path, appendonly="yes") as (broker, client):
        await client.call("MSET", *[word for number in range(3000) for word in (f"k{number}", number)])
        await client.call("BGREWRITEAOF")
        for number in range(100):
            await client.call(f"INCR n{number % 7}")
        assert await rewritten(broker)
        await client.call("SET last 1")
    async with on_this_disk(tmp_path, appendonly="yes") as (broker, client):
        assert await client.call("DBSIZE") == b":3008\r\n"
        assert await client.call("MGET k2999 n0 last") == b"*3\r\n$4\r\n2999\r\n$2\r\n15\r\n$1\r\n1\r\n"
