"""maxmemory: who is evicted, when commands are refused, and that the process stays within it."""

import gc
import sys

import pytest

from broker.clients.memory_use import CLIENT_SIZE
from broker.memory import eviction
from broker.memory.eviction import grown_size
from broker.network.connection import Connection
from broker.process import memory as process_memory
from broker.process.memory import Memory
from broker.values.deadline_queue import NEVER
from tests.broker.effects import journal, lines
from tests.broker.inprocess import Broker, Client, running

OOM = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
MEGABYTE = 1 << 20


class Model:
    """A process whose memory is `base` and what keys and values take, without any table."""

    def __init__(self, broker: Broker, base: int = 0) -> None:
        self.base = base
        self.measured = 0
        self._databases = broker.broker.keyspace.databases
        keeper = broker.broker.eviction
        keeper.startup = Memory(0, 0)
        keeper.measure = self.measure
        keeper.writable = lambda: 1 << 40  # as a process that had everything once
        keeper._growth = lambda: 0  # type: ignore[method-assign]
        keeper._least = lambda: 0  # type: ignore[method-assign]
        keeper._never_in_use = 0

    def in_use(self) -> int:
        pairs = (pair for database in self._databases for pair in database.data.items())
        return self.base + sum(sys.getsizeof(key) + sys.getsizeof(value) for key, value in pairs)

    def measure(self) -> Memory:
        self.measured += 1
        used = self.in_use()
        return Memory(used, used)


async def limited(client: Client, limit: int) -> None:
    assert await client.call("CONFIG", "SET", "maxmemory", limit) == b"+OK\r\n"


async def test_nothing_is_looked_at_without_a_limit() -> None:
    async with running() as broker:
        keeper = broker.broker.eviction
        model = Model(broker)
        client = await broker.client()
        await client.call("SET k v")
        assert keeper.check_at == keeper.check_after == NEVER and not model.measured
        await limited(client, 1 << 30)
        assert keeper.check_at < NEVER and keeper.check_after < NEVER
        await limited(client, 0)
        assert keeper.check_at == keeper.check_after == NEVER


async def test_a_process_smaller_than_the_limit_is_not_measured() -> None:
    async with running() as broker:
        model = Model(broker)
        keeper = broker.broker.eviction
        keeper._never_in_use = 500
        keeper.startup = Memory(100, 200)
        keeper.writable = lambda: 2600
        await limited(await broker.client(), 2000)
        assert not model.measured


@pytest.mark.parametrize(
    ("policy", "evicted"),
    [
        ("allkeys-lru", ["c", "a"]),
        ("allkeys-lrm", ["c", "a"]),
        ("allkeys-lfu", ["e", "b"]),
        ("volatile-lru", ["a", "e"]),
        ("volatile-lrm", ["a", "e"]),
        ("volatile-lfu", ["e", "a"]),
        ("volatile-ttl", ["d", "a"]),
    ],
)
async def test_the_best_victims_go_first(policy: str, evicted: list[str]) -> None:
    async with running({"maxmemory-policy": policy}) as broker:
        model = Model(broker)
        client = await broker.client()
        access, db = broker.broker.access, broker.broker.keyspace.databases[0]
        for name, idle, counter in ((b"a", 40, 30), (b"b", 10, 20), (b"c", 50, 50), (b"d", 20, 40), (b"e", 30, 10)):
            await client.call("SET", name, "v" * 50)
            access.set_frequency(db, name, counter)
            if policy.endswith(("lru", "lrm")):
                access.set_idle(db, name, idle)
        for name, seconds in ((b"e", 3000), (b"d", 1000), (b"a", 2000)):
            db.expire_at(name, broker.broker.clock.now + seconds * 1000)
        seen = journal(broker.broker)
        await limited(client, model.in_use() - 120)
        assert lines(seen) == [f"DEL {name}" for name in evicted]
        assert not broker.broker.state.out_of_memory
        assert broker.broker.stats.evicted_keys == len(evicted)
        assert b"evicted_keys:2\r\n" in await client.call("INFO stats")


async def test_events_effects_watches_and_waits() -> None:
    async with running({"maxmemory-policy": "allkeys-random", "notify-keyspace-events": "Ee"}) as broker:
        model = Model(broker)
        client, watcher, waiter, subscriber = [await broker.client() for _ in range(4)]
        await client.call("SELECT 2")
        await client.call("XGROUP CREATE s g $ MKSTREAM")
        for each in (watcher, waiter):
            await each.call("SELECT 2")
        await watcher.call("WATCH s")
        await waiter.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
        await subscriber.call("SUBSCRIBE __keyevent@2__:evicted")
        seen = journal(broker.broker)
        model.base = 1000
        await limited(client, 1000)
        assert seen == [(2, [b"DEL", b"s"])]
        assert b"evicted" in await subscriber.receive()
        assert (await waiter.receive()).startswith(b"-NOGROUP")
        await watcher.call("MULTI")
        await watcher.call("PING")
        assert await watcher.call("EXEC") == b"*-1\r\n"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lfu", "allkeys-random", "volatile-ttl"])
async def test_a_large_eviction_is_done_in_slices(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "SLICE_NS", 0)
    async with running({"maxmemory-policy": policy}) as broker:
        model = Model(broker)
        client = await broker.client()
        keyspace = broker.broker.keyspace
        for database in [keyspace.databases[index] for index in range(3)]:
            for number in range(1000):
                database.set(b"%d" % number, b"v" * 100)
                database.expire_at(b"%d" % number, broker.broker.clock.now + 1_000_000 + number)
        limit = model.in_use() // 2
        await limited(client, limit)
        assert 0 < broker.broker.stats.evicted_keys <= 64  # its slice is over at once
        while model.in_use() > limit:
            assert await client.call("PING") == b"+PONG\r\n"
        assert 1400 < broker.broker.stats.evicted_keys < 1600
        if policy == "allkeys-random":
            assert all(400 < len(database.data) < 600 for database in [keyspace.databases[index] for index in range(3)])


async def test_writes_are_refused_until_memory_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Measurements that a busy machine interrupts would seem too dear to be repeated for each request.
    monkeypatch.setattr("broker.memory.eviction.perf_counter_ns", lambda: 0)
    async with running() as broker:
        model = Model(broker)
        client = await broker.client()
        await client.call("SET", "large", "v" * 10_000)
        await client.call("SET small v")
        await limited(client, model.in_use() - 1)
        assert await client.call("SET k v") == OOM
        assert await client.call("GET small") == b"$1\r\nv\r\n"
        await client.call("MULTI")
        assert await client.call("SET k v") == OOM
        assert (await client.call("EXEC")).startswith(b"-EXECABORT")
        assert b"current_eviction_exceeded_time:" in await client.call("INFO stats")
        # In one pipeline: what was freed counts at once.
        await client.send("DEL large")
        assert [await client.receive(), await client.call("SET k v")] == [b":1\r\n", b"+OK\r\n"]
        assert not broker.broker.state.out_of_memory


async def test_refusing_does_not_measure_when_nothing_has_changed() -> None:
    async with running() as broker:
        model = Model(broker, base=100)
        client = await broker.client()
        await limited(client, 1)
        broker.broker.eviction._measure_after = sys.maxsize
        broker.broker.eviction.writable = lambda: 100
        broker.broker.eviction._ask_after = sys.maxsize
        before = model.measured
        for _ in range(20):
            assert await client.call("SET k v") == OOM
        assert model.measured <= before + 1


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru"])
async def test_writes_are_refused_when_nothing_is_left_to_evict(policy: str) -> None:
    async with running({"maxmemory-policy": policy}) as broker:
        Model(broker, base=100)
        client = await broker.client()
        await client.call("SET k v EX 100")
        await client.call("SET k2 v EX 100")
        await limited(client, 1)
        assert await client.call("DBSIZE") == b":0\r\n"
        assert await client.call("SET k v") == OOM
        await client.call("CONFIG SET maxmemory 0")
        assert await client.call("SET k v") == b"+OK\r\n"


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-random"])
@pytest.mark.parametrize("extensions", ["yes", "no"])
async def test_policies_and_delayed_entries_of_streams_are_never_evicted(policy: str, extensions: str) -> None:
    async with running({"maxmemory-policy": policy, "stream-extensions": extensions}) as broker:
        Model(broker, base=100)
        client = await broker.client()
        kept = [f"~{kind}:{{{number}}}:{number}" for number in range(10) for kind in ("policy", "delayed")]
        for key in ["k", "k2", *kept]:
            await client.call("HSET", key, "field", "value")
            await client.call("EXPIRE", key, 100)
        await limited(client, 1)
        left = await client.call("EXISTS", *kept)
        assert (left == b":20\r\n") == (extensions == "yes")
        if extensions == "yes":
            assert await client.call("EXISTS k k2") == b":0\r\n"


async def test_a_value_larger_than_the_limit() -> None:
    async with running({"maxmemory-policy": "allkeys-lru"}) as broker:
        model = Model(broker)
        client = await broker.client()
        await limited(client, 5000)
        await client.call("SET small v")
        await client.call("SET", "large", "v" * 100_000)
        broker.broker.eviction._measure_after = 0
        broker.broker.eviction.check()
        assert model.in_use() <= 5000
        assert await client.call("SET k v") == b"+OK\r\n"


async def test_what_waits_to_be_sent_is_not_evicted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running({"maxmemory-policy": "allkeys-lru"}) as broker:
        model = Model(broker)
        client = await broker.client()
        for number in range(10):
            await client.call("SET", number, "v")
        monkeypatch.setattr(Connection, "sizes", lambda _: (0, 0, 0, 1_000_000))
        limit = model.in_use()
        model.base = 1_000_000
        counts = []
        for less in (0, 1):
            await limited(client, limit - less)
            counts.append(broker.broker.stats.evicted_keys)
        assert counts == [0, 1]


async def test_memory_that_can_not_be_used_is_evicted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "RESIDENT_SPARE", 0)
    async with running({"maxmemory-policy": "allkeys-random"}) as broker:
        model = Model(broker)
        client = await broker.client()
        for number in range(1000):
            await client.call("SET", number, "v" * 60)
        limit = model.in_use()
        keeper = broker.broker.eviction
        for resident, least, most in ((1.0, 0.99, 1), (1.15, 0.88, 0.91), (10, 0.78, 0.81)):
            monkeypatch.setattr(process_memory, "resident", lambda: limit + 1)
            keeper.measure = lambda resident=resident: Memory(model.in_use(), int(limit * resident))  # type: ignore[misc]
            await limited(client, 0)
            await limited(client, limit)
            assert least * limit < model.in_use() <= most * limit


async def test_what_the_process_had_before_the_limit_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eviction, "RESIDENT_SPARE", 0)
    async with running({"maxmemory-policy": "allkeys-random"}) as broker:
        model = Model(broker)
        client = await broker.client()
        for number in range(1000):
            await client.call("SET", number, "v" * 60)
        limit = model.in_use()
        keeper = broker.broker.eviction
        monkeypatch.setattr(process_memory, "resident", lambda: limit * 3)
        keeper.measure = lambda: Memory(model.in_use(), limit * 3)
        await limited(client, limit)
        assert model.in_use() == limit


async def test_what_was_in_use_when_the_broker_began_does_not_count() -> None:
    async with running({"maxmemory-policy": "allkeys-random"}) as broker:
        model = Model(broker, base=1_000_000)
        client = await broker.client()
        for number in range(1000):
            await client.call("SET", number, "v" * 60)
        broker.broker.eviction.startup = Memory(1_000_000, 2_000_000)
        await limited(client, model.in_use() - 1_000_000)
        assert broker.broker.stats.evicted_keys == 0
        await limited(client, model.in_use() - 1_001_000)
        assert 5 < broker.broker.stats.evicted_keys < 15


async def test_a_process_that_has_less_in_use_than_at_the_start() -> None:
    """What a program around the broker frees is no room for keys."""
    async with running() as broker:
        keeper = broker.broker.eviction
        await broker.client()
        broker.broker.keyspace.databases[0].set(b"k", b"v")
        least = keeper._least()
        assert CLIENT_SIZE < least < 2 * CLIENT_SIZE
        keeper.startup = Memory(50 * MEGABYTE, 60 * MEGABYTE)
        assert keeper.used(Memory(70 * MEGABYTE, 80 * MEGABYTE)) == 20 * MEGABYTE
        assert keeper.used(Memory(30 * MEGABYTE, 80 * MEGABYTE)) == least
        assert keeper.used(Memory(31 * MEGABYTE, 80 * MEGABYTE)) == least + MEGABYTE


async def test_memory_that_was_never_touched_counts() -> None:
    async with running() as broker:
        client = await broker.client()
        await limited(client, 30 * MEGABYTE)
        assert await client.call("SETRANGE k 100000000 x") == b":100000001\r\n"
        assert await client.call("SET l v") == OOM
        await client.call("DEL k")
        assert await client.call("SET l v") == b"+OK\r\n"


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-random"])
async def test_growth_of_tables_counts_before_it_comes(policy: str) -> None:
    async with running({"maxmemory-policy": policy}) as broker:
        keeper = broker.broker.eviction
        database = broker.broker.keyspace.databases[0]
        full = 43_690  # two thirds of 65,536 places
        for number in range(full // 2 + 1):
            database.set(b"%d" % number, b"v")
        half = keeper._growth()
        for number in range(full // 2 + 1, full):
            database.set(b"%d" % number, b"v")
        before = database.data.__sizeof__()
        expected = keeper._growth()
        database.set(b"more", b"v")
        growth = database.data.__sizeof__() - before
        assert 0.8 * growth < expected < 4 * growth
        # Where keys are evicted all the time, a table grows when half of it is in use.
        assert half == 0 if policy == "noeviction" else half > 0


async def test_nothing_is_evicted_in_a_pause() -> None:
    async with running({"maxmemory-policy": "allkeys-random"}) as broker:
        Model(broker, base=100)
        client = await broker.client()
        await client.call("SET k v")
        await client.call("CLIENT PAUSE 100000 WRITE")
        await limited(client, 1)
        assert await client.call("DBSIZE") == b":1\r\n"
        assert not broker.broker.state.out_of_memory
        await client.call("CLIENT UNPAUSE")
        broker.broker.eviction.check()
        assert not broker.broker.keyspace.databases[0].data


@pytest.mark.parametrize("keys", [1, 5, 6, 100, 10_922, 10_923, 50_000, 174_763])
def test_the_size_a_table_grows_to(keys: int) -> None:
    table = dict.fromkeys(range(keys))
    size = table.__sizeof__()
    number = keys
    while table.__sizeof__() == size:
        table[number] = None
        number += 1
    # An entry of a table of texts only takes 16 bytes, one of any keys 24; the header is 100 to 200.
    assert abs(table.__sizeof__() - grown_size(number - 1)) <= 0.15 * table.__sizeof__() + 200


async def test_the_process_stays_within_its_limit() -> None:
    """With a real measurement: three times what there is room for goes in, and the process hardly grows."""
    async with running({"maxmemory-policy": "allkeys-lru"}) as broker:
        client = await broker.client()
        keeper = broker.broker.eviction
        room = 12 * MEGABYTE
        gc.collect()  # what earlier tests have left may go at any time
        start = process_memory.measure()
        limit = start.in_use + room
        keeper.startup = start
        keeper.writable = lambda: (
            (1 << 40) + process_memory.writable()
        )  # what earlier tests left free in the process does not matter here
        keeper.measure = lambda: Memory(process_memory.measure().in_use, limit)
        await limited(client, room)
        for batch in range(60):
            for number in range(100):
                await client.send("SET", f"{batch}:{number}", "v" * 6000)
            for _ in range(100):
                assert await client.receive() == b"+OK\r\n"
            assert process_memory.measure().in_use < limit + room // 2
        assert broker.broker.stats.evicted_keys > 3000
        assert not broker.broker.state.out_of_memory
