"""Migrations between two brokers in this program: what others do meanwhile, and what becomes of the keys."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from broker.migration.links import IDLE_MS, Address, Link, TrioLink
from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import Broker, Client, running

CHANGED = (
    b"-ERR 1 of the keys changed while being migrated: the target has the old values, and the keys remain here\r\n"
)


class Road:
    """The way to the target: `hold` delays its replies until `open`. `target` is None while there is no server."""

    def __init__(self, target: Broker) -> None:
        self.target: Broker | None = target
        self.opened = trio.Event()
        self.opened.set()
        self.connections = 0

    def hold(self) -> None:
        self.opened = trio.Event()

    async def connect(self, address: Address, timeout: float, context: ssl.SSLContext | None) -> Link:
        if self.target is None:
            raise TimeoutError
        self.connections += 1
        return _SlowLink(await self.target.server.connect(), timeout, self)


class _SlowLink(TrioLink):
    def __init__(self, stream: trio.SocketStream, timeout: float, road: Road) -> None:
        super().__init__(stream, timeout)
        self._road = road

    async def read_line(self) -> bytes:
        await self._road.opened.wait()
        return await super().read_line()


@asynccontextmanager
async def two() -> AsyncIterator[tuple[Broker, Broker, Road]]:
    """A broker, the target of its migrations, and the way there."""
    clock = TrioClock(1_700_000_000_000)
    async with running(clock=clock) as source, running(clock=clock) as target:
        road = Road(target)
        source.broker.migrations._connect = road.connect
        yield source, target, road


async def begun(client: Client, words: str) -> None:
    """Send a migration, and wait until its keys are at the target."""
    await client.send(words)
    await trio.testing.wait_all_tasks_blocked(0.01)


async def test_others_are_served_meanwhile(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, target, road):
        mover, other, there = await source.client(), await source.client(), await target.client()
        await other.call("MSET a 1 b 2")
        effects = journal(source.broker)
        road.hold()
        await begun(mover, 'MIGRATE h 1 "" 0 1000 KEYS a b')
        assert await other.call("MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
        road.opened.set()
        assert await mover.receive() == b"+OK\r\n"
        assert await other.call("EXISTS a b") == b":0\r\n"
        assert await there.call("MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
        assert lines(effects) == ["DEL a b"]


async def test_a_key_that_changes_meanwhile_stays(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, target, road):
        mover, other, there = await source.client(), await source.client(), await target.client()
        await other.call("MSET a 1 b 2")
        effects = journal(source.broker)
        road.hold()
        await begun(mover, 'MIGRATE h 1 "" 0 1000 KEYS a b')
        await other.call("INCR a")
        road.opened.set()
        assert await mover.receive() == CHANGED
        assert await other.call("MGET a b") == b"*2\r\n$1\r\n2\r\n$-1\r\n"
        assert await there.call("MGET a b") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
        assert lines(effects) == ["INCR a", "DEL b"]
        # The next attempt sends the new value.
        assert await mover.call("MIGRATE h 1 a 0 1000 REPLACE") == b"+OK\r\n"
        assert await there.call("GET a") == b"$1\r\n2\r\n"
        assert source.broker.keyspace.databases[0].watchers == {}


async def test_a_key_that_is_removed_meanwhile_stays_removed(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        mover, other = await source.client(), await source.client()
        await other.call("SET a 1")
        road.hold()
        await begun(mover, "MIGRATE h 1 a 0 1000")
        assert await other.call("DEL a") == b":1\r\n"
        road.opened.set()
        assert await mover.receive() == b"+OK\r\n"


async def test_a_copy_ignores_changes(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, target, road):
        mover, other, there = await source.client(), await source.client(), await target.client()
        await other.call("SET a 1")
        road.hold()
        await begun(mover, "MIGRATE h 1 a 0 1000 COPY")
        await other.call("INCR a")
        road.opened.set()
        assert await mover.receive() == b"+OK\r\n"
        assert (await other.call("GET a"), await there.call("GET a")) == (b"$1\r\n2\r\n", b"$1\r\n1\r\n")


async def test_a_second_client_waits_for_the_first(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        first, second, third = await source.client(), await source.client(), await source.client()
        await first.call("MSET a 1 b 2")
        road.hold()
        await begun(first, "MIGRATE h 1 a 0 1000")
        await begun(second, "MIGRATE elsewhere 1 a 0 1000")
        await third.call("MULTI")
        await third.call("MIGRATE elsewhere 1 a 0 1000")
        assert await third.call("EXEC") == b"*1\r\n-TRYAGAIN Another client is migrating one of the keys\r\n"
        assert road.connections == 1
        road.opened.set()
        assert await first.receive() == b"+OK\r\n"
        assert await second.receive() == b"+NOKEY\r\n"


async def test_the_key_is_removed_for_a_client_that_has_gone(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        mover, other = await source.client(), await source.client()
        await other.call("SET a 1")
        road.hold()
        await begun(mover, "MIGRATE h 1 a 0 1000")
        await mover.stream.aclose()
        await other.call("PING")
        road.opened.set()
        await trio.sleep(1)
        assert await other.call("EXISTS a") == b":0\r\n"


async def test_keys_stay_until_a_pause_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        mover, other = await source.client(), await source.client()
        await other.call("SET a 1")
        road.hold()
        await begun(mover, "MIGRATE h 1 a 0 1000")
        await other.call("CLIENT PAUSE 100000 WRITE")
        road.opened.set()
        await trio.sleep(50)
        assert await other.call("EXISTS a") == b":1\r\n"
        await other.call("CLIENT UNPAUSE")
        assert await mover.receive() == b"+OK\r\n"
        assert await other.call("EXISTS a") == b":0\r\n"


async def test_it_cannot_be_unblocked(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        mover, other = await source.client(), await source.client()
        await other.call("SET a 1")
        number = (await mover.call("CLIENT ID"))[1:-2].decode()
        road.hold()
        await begun(mover, "MIGRATE h 1 a 0 1000")
        assert await other.call("CLIENT", "UNBLOCK", number, "ERROR") == b":0\r\n"
        road.opened.set()
        assert await mover.receive() == b"+OK\r\n"


async def test_a_target_that_falls_silent(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        mover = await source.client()
        await mover.call("SET a 1")
        ours, theirs = trio.socket.socketpair()

        async def connect(address: Address, timeout: float, context: ssl.SSLContext | None) -> Link:
            return TrioLink(trio.SocketStream(ours), timeout)

        source.broker.migrations._connect = connect
        with theirs:
            reply = await mover.call("MIGRATE h 1 a 0 1000")
        assert reply == b"-IOERR error or timeout reading to target instance\r\n"
        road.target = None
        source.broker.migrations._connect = road.connect
        assert await mover.call("MIGRATE h 1 a 0 1000") == b"-IOERR error or timeout connecting to the client\r\n"
        assert await mover.call("GET a") == b"$1\r\n1\r\n"


async def test_connections_are_kept_for_ten_seconds(autojump_clock: trio.testing.MockClock) -> None:
    async with two() as (source, _, road):
        mover = await source.client()
        await mover.call("MSET a 1 b 2 c 3")
        await mover.call("MIGRATE h 1 a 0 1000")
        await mover.call("MIGRATE h 1 b 0 1000")
        assert road.connections == 1
        assert "migrate_cached_sockets:1" in await mover.text("INFO stats")
        await trio.sleep(IDLE_MS / 1000 + 1)
        assert "migrate_cached_sockets:0" in await mover.text("INFO stats")
        await mover.call("MIGRATE h 1 c 0 1000")
        assert road.connections == 2
