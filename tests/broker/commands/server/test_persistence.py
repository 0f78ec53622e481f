"""SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE. What they write is tested with broker/persistence."""

import errno

import pytest
import trio

from broker.persistence.background import Child, Outcome, Progress, Work
from tests.broker.inprocess import Broker
from tests.broker.persistence.durable import contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk

KEEPS_NOTHING = {"save": ""}
SAVING = b"-ERR Background save already in progress\r\n"
REWRITING = b"-ERR Background append only file rewriting already in progress\r\n"
ANOTHER = (
    b"-ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a"
    b" BGSAVE whenever possible.\r\n"
)


class Held:
    """Children that do their work when they are let go on."""

    def __init__(self) -> None:
        self.may_end = trio.Event()

    def __call__(self, work: Work) -> Child:
        return HeldChild(work, self.may_end)


class HeldChild:
    def __init__(self, work: Work, may_end: trio.Event) -> None:
        self._work = work
        self._may_end = may_end
        self._killed = False

    def kill(self) -> None:
        self._killed = True
        self._may_end.set()

    async def wait(self, progress: Progress) -> Outcome:
        await self._may_end.wait()
        if self._killed:
            return Outcome("killed")
        try:
            self._work(progress)
        except OSError as problem:
            return Outcome(str(problem))
        return Outcome("")


async def idle(broker: Broker) -> None:
    while broker.broker.persistence.background.active:
        await trio.sleep(0.001)


async def test_only_one_child_at_a_time() -> None:
    held = Held()
    disk = SimulatedDisk()
    async with durable(disk, KEEPS_NOTHING, held) as broker:
        client = await broker.client()
        assert await client.call("BGSAVE") == b"+Background saving started\r\n"
        for command in ("SAVE", "BGSAVE", "BGSAVE SCHEDULE"):
            assert await client.call(command) == SAVING
        assert await client.call("BGREWRITEAOF") == b"+Background append only file rewriting scheduled\r\n"
        info = await client.text("INFO persistence")
        assert "rdb_bgsave_in_progress:1" in info and "aof_rewrite_scheduled:1" in info
        held.may_end.set()
        await idle(broker)


async def test_a_save_waits_for_a_rewrite_where_it_is_asked_to(autojump_clock: trio.testing.MockClock) -> None:
    held = Held()
    disk = SimulatedDisk()
    async with durable(disk, KEEPS_NOTHING, held) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert await client.call("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"
        assert await client.call("BGREWRITEAOF") == REWRITING
        assert await client.call("BGSAVE") == ANOTHER
        assert await client.call("BGSAVE SCHEDULE") == b"+Background saving scheduled\r\n"
        assert await client.call("SAVE") == b"+OK\r\n"  # no child is needed
        await client.call("SET k w")
        held.may_end.set()
        while broker.broker.persistence.snapshots.saves < 2:
            await trio.sleep(0.1)
        await idle(broker)
    assert await contents(disk, KEEPS_NOTHING) == {b"k": b"w"}


async def test_nothing_is_saved_from_the_midst_of_a_transaction(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, KEEPS_NOTHING) as broker:
        client = await broker.client()
        for command in ("MULTI", "SET a 1", "BGSAVE", "BGREWRITEAOF", "SET b 1"):
            await client.call(command)
        assert (await client.call("EXEC")).count(b"scheduled") == 2
        while broker.broker.persistence.snapshots.saves < 1:
            await trio.sleep(0.1)
        await idle(broker)
    assert set(await contents(disk, KEEPS_NOTHING)) == {b"a", b"b"}


@pytest.mark.parametrize("command", ["SAVE", "MULTI"])
async def test_save_is_for_clients_alone(command: str) -> None:
    async with durable(SimulatedDisk(), KEEPS_NOTHING) as broker:
        client = await broker.client()
        if command == "MULTI":
            await client.call("MULTI")
            assert await client.call("SAVE") == b"-ERR Command not allowed inside a transaction\r\n"
        else:
            reply = await client.call("EVAL", "return redis.call('SAVE')", 0)
            assert reply.startswith(b"-ERR This Redis command is not allowed from script")


async def test_a_save_that_fails_says_no_more() -> None:
    disk = SimulatedDisk()
    async with durable(disk, KEEPS_NOTHING) as broker:
        client = await broker.client()
        disk.fail(1, errno.ENOSPC)  # 0 is the lock of the folder
        assert await client.call("SAVE") == b"-ERR\r\n"
        assert await client.call("SAVE") == b"+OK\r\n"


async def test_lastsave_is_the_time_of_the_last_success() -> None:
    disk = SimulatedDisk()
    async with durable(disk, KEEPS_NOTHING) as broker:
        client = await broker.client()
        snapshots = broker.broker.persistence.snapshots
        assert await client.call("LASTSAVE") == b":%d\r\n" % (broker.broker.started // 1000)
        snapshots.last_save = 1
        disk.fail(1, errno.EIO)
        await client.call("SAVE")
        assert await client.call("LASTSAVE") == b":1\r\n"
        await client.call("SAVE")
        assert await client.call("LASTSAVE") == b":%d\r\n" % (broker.broker.clock.now // 1000)


@pytest.mark.parametrize("command", ["SAVE x", "BGSAVE x", "BGSAVE SCHEDULE x", "BGREWRITEAOF x", "LASTSAVE x"])
async def test_other_arguments_are_refused(command: str) -> None:
    async with durable(SimulatedDisk(), KEEPS_NOTHING) as broker:
        assert (await (await broker.client()).call(command)).startswith(b"-ERR ")
