"""What clients can make the broker hold: half requests, pipelines whose replies nobody reads, deaf subscribers."""

import gc
import tracemalloc

import pytest
import trio

import broker
from broker.process.clock import Clock
from tests.hostile.clients import CLOSED, Client, assert_serves, connect, encode, until

KIB = 1 << 10
MIB = 1 << 20


async def test_pipelines_byte_by_byte(server: broker.Server) -> None:
    """Several clients at once, one byte each in turn."""
    data = encode(["SET", "k", "v\r\n$1\r\n"]) + b"ECHO 'a b'\r\n*0\r\n" + encode(["GET", "k"]) + b"\nPING\n"
    expected = [b"+OK\r\n", b"$3\r\na b\r\n", b"$7\r\nv\r\n$1\r\n\r\n", b"+PONG\r\n"]
    clients = [Client(await server.connect()) for _ in range(8)]
    for _ in range(3):
        for i in range(len(data)):
            for client in clients:
                await client.send(data[i : i + 1])
        for client in clients:
            assert [await client.receive() for _ in expected] == expected
    for client in clients:
        await client.vanish()


async def test_half_requests_at_every_byte(server: broker.Server) -> None:
    """A client stalls at each byte of a request, and vanishes."""
    data = encode(["SET", "half", "x" * 30])
    clients = []
    for cut in range(len(data)):
        clients.append(Client(await server.connect()))
        await clients[-1].send(data[:cut])
    await assert_serves(server)
    for client in clients:
        await client.vanish()
    await until(lambda: not server.broker.sessions)
    async with connect(server) as client:
        assert await client.call("GET", "half") == b"$-1\r\n"


@pytest.mark.parametrize("header", [b"*3\r\n$536870912\r\n", b"*1048576\r\n$3\r\nDEL\r\n"])
async def test_announcing_costs_nothing(server: broker.Server, header: bytes) -> None:
    clients = [Client(await server.connect()) for _ in range(100)]
    await assert_serves(server)
    await until(lambda: len(server.broker.sessions) == 100)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for client in clients:
        await client.send(header)
    await until(lambda: all(connection.parser.buffered for connection in server.tick.connections()))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 500_000
    for client in clients:
        await client.vanish()


async def test_query_buffer_limit(server: broker.Server) -> None:
    """Past the limit the client is disconnected without a reply, also by many small arguments."""
    async with connect(server) as client:
        assert await client.call("CONFIG", "SET", "client-query-buffer-limit", str(MIB)) == b"+OK\r\n"
        await client.send(encode(["SET", "k", "x" * (MIB - 100)]))
        assert await client.receive() == b"+OK\r\n"
    for start, piece in (
        (b"*2\r\n$4\r\nECHO\r\n$400000000\r\n", b"x" * (128 * KIB)),
        (b"*1000000\r\n", b"$1\r\nx\r\n" * 10_000),
    ):
        async with connect(server) as client:
            await client.send(start)
            for _ in range(40):
                await client.send(piece)
            assert await client.rest() == []
    assert server.broker.stats.query_limit_closes == 2


async def test_a_transaction_counts_as_query_buffer(server: broker.Server) -> None:
    async with connect(server) as client:
        assert await client.call("CONFIG", "SET", "client-query-buffer-limit", str(MIB)) == b"+OK\r\n"
        assert await client.call("MULTI") == b"+OK\r\n"
        replies = [await client.call("SET", "k", "x" * 100_000) for _ in range(20)]
        assert replies[:10] == [b"+QUEUED\r\n"] * 10
        assert replies[-1] == CLOSED


async def test_a_pipeliner_that_never_reads(server: broker.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read from while too many of its replies wait, so what is held for it has a bound; others are served."""
    monkeypatch.setattr("broker.network.connection.UNSENT_MAX", 16 * MIB)
    async with connect(server) as client:
        assert await client.call("SET", "big", "x" * (100 * KIB)) == b"+OK\r\n"
    async with connect(server) as deaf, trio.open_nursery() as nursery:
        requests = 2_000

        async def send() -> None:
            await deaf.stream.send_all(encode(["GET", "big"]) * requests)

        nursery.start_soon(send)
        connection = server.tick.connections()[-1]
        await until(connection.is_full)
        for _ in range(10):
            await assert_serves(server)
        assert connection.backlog.size < 18 * MIB
        # Once it reads, it gets every reply.
        for _ in range(requests):
            assert len(await deaf.receive()) == 100 * KIB + len(b"$102400\r\n\r\n")


async def test_a_monitor_that_never_reads(server: broker.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.network.connection.UNSENT_MAX", 16 * MIB)
    async with connect(server) as deaf, connect(server) as client:
        assert await deaf.call("MONITOR") == b"+OK\r\n"
        monitor = server.tick.connections()[0]
        for _ in range(400):
            await client.call("ECHO", "x" * (100 * KIB))
            if monitor not in server.tick.connections():
                break
        assert monitor not in server.tick.connections() and not server.broker.monitors.sessions
        assert server.broker.stats.output_limit_closes == 1
        await assert_serves(server)


async def test_clients_that_never_read_count_as_memory_of_clients() -> None:
    async with broker.open_broker({"maxmemory-clients": "8mb"}) as server:
        async with connect(server) as client:
            assert await client.call("SET", "big", "x" * (100 * KIB)) == b"+OK\r\n"
            assert await client.call("CLIENT", "NO-EVICT", "ON") == b"+OK\r\n"
            async with connect(server) as deaf:
                await deaf.send(encode(["GET", "big"]) * 1_000)
                await until(lambda: server.broker.stats.evicted_clients == 1)
            assert await client.call("PING") == b"+PONG\r\n"
        await assert_serves(server)


async def test_hard_limit_of_normal_clients() -> None:
    limits = {"client-output-buffer-limit": "normal 256kb 0 0"}
    async with broker.open_broker(limits) as server:
        async with connect(server) as client:
            assert await client.call("SET", "big", "x" * MIB) == b"+OK\r\n"
        async with connect(server) as deaf:
            await deaf.send(encode(["GET", "big"]))
            await until(lambda: server.broker.stats.output_limit_closes == 1)
        await assert_serves(server)


async def test_one_reply_over_the_hard_limit() -> None:
    """It is not sent, though the socket would take it, as in Redis; nothing is kept of sixty that nobody reads."""
    limits = {"client-output-buffer-limit": "normal 100000 0 0"}
    async with broker.open_broker(limits) as server:
        server.broker.keyspace.databases[0].add(b"large", b"x" * 100_001)
        server.broker.keyspace.databases[0].add(b"fits", b"x" * 99_000)
        async with connect(server) as client, connect(server) as subscriber, connect(server) as deaf:
            assert len(await client.call("GET", "fits")) == 99_010
            assert await client.call("GET", "large") == CLOSED
            assert server.broker.stats.output_limit_closes == 1
            await subscriber.call("SUBSCRIBE", "news")  # of another class
            async with connect(server) as publisher:
                assert await publisher.call("PUBLISH", "news", "x" * 200_000) == b":1\r\n"
            assert len(await subscriber.receive()) > 200_000
            await deaf.send(encode(["GET", "large"]) * 60)
            await until(lambda: server.broker.stats.output_limit_closes == 2)
            assert await deaf.rest() == []
        await assert_serves(server)


async def test_hard_limit_of_subscribers() -> None:
    limits = {"client-output-buffer-limit": "pubsub 256kb 0 0"}
    async with broker.open_broker(limits) as server:
        async with connect(server) as deaf, connect(server) as reader, connect(server) as publisher:
            for subscriber in (deaf, reader):
                assert (await subscriber.call("SUBSCRIBE", "news")).startswith(b"*3")
            heard, received = b":2\r\n", 0
            while heard == b":2\r\n":
                heard = await publisher.call("PUBLISH", "news", "x" * (10 * KIB))
                assert len(await reader.receive()) > 10 * KIB
                received += 1
                assert received < 1000
            assert heard == b":1\r\n"
            assert await publisher.call("PUBSUB", "NUMSUB", "news") == b"*2\r\n$4\r\nnews\r\n:1\r\n"
        await assert_serves(server)


class SteerableClock(Clock):
    """The wall clock, moved ahead at will."""

    ahead = 0

    def read(self) -> int:
        return super().read() + self.ahead

    def update(self) -> int:
        self.now = self.read()
        return self.now


async def test_soft_limit_of_subscribers() -> None:
    """Over the soft limit for longer than its seconds; one that reads in time is spared."""
    clock = SteerableClock()
    limits = {"client-output-buffer-limit": "pubsub 100mb 100kb 60"}
    async with (
        broker.open_broker(limits, clock=clock) as server,
        connect(server) as deaf,
        connect(server) as slow,
        connect(server) as publisher,
    ):
        for subscriber in (deaf, slow):
            await subscriber.call("SUBSCRIBE", "news")
        over = server.tick.connections()[:2]
        sent = 0
        while not all(connection.soft_since for connection in over):
            assert await publisher.call("PUBLISH", "news", "x" * (10 * KIB)) == b":2\r\n"
            sent += 1
            assert sent < 1000
        for _ in range(sent):
            await slow.receive()
        await until(lambda: not over[1].soft_since)
        clock.ahead += 61_000
        assert await publisher.call("PUBLISH", "news", "x") == b":2\r\n"
        await until(lambda: server.broker.stats.output_limit_closes == 1)
        assert await publisher.call("PUBLISH", "news", "x") == b":1\r\n"
        assert (await slow.receive()).endswith(b"$1\r\nx\r\n")
        await assert_serves(server)


async def test_vanishing_while_replies_wait(server: broker.Server) -> None:
    async with connect(server) as client:
        assert await client.call("SET", "big", "x" * MIB) == b"+OK\r\n"
    for _ in range(20):
        client = Client(await server.connect())
        await client.send(encode(["GET", "big"]) * 3)
        await client.vanish()
    await until(lambda: not server.broker.sessions)


async def test_closed_clients_are_freed_at_once(server: broker.Server) -> None:
    """Without the garbage collector, which a broker seldom runs: what was held for them can be megabytes."""
    async with connect(server) as client:
        assert await client.call("SET", "big", "x" * 100_000) == b"+OK\r\n"
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        for _ in range(20):
            client = Client(await server.connect())
            await client.send(encode(["GET", "big"]) * 20)
            await client.vanish()
            client = Client(await server.connect())
            await client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n" + b"x" * 500_000)
            await client.vanish()
            client = Client(await server.connect())
            await client.send(encode(["MULTI"]) + encode(["SET", "k", "x" * 100_000]) * 5)
            await client.vanish()
            await until(lambda: not server.broker.sessions)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    finally:
        gc.enable()
    assert held < 1_000_000


async def test_memory_stays_flat(server: broker.Server) -> None:
    """Rounds of clients that leave half requests, unread replies, subscriptions and transactions behind."""

    async def round_of_clients() -> None:
        for leftover in (
            b"*3\r\n$3\r\nSET\r\n$5\r\nab",
            b"PING",
            b"*x\r\n",
            encode(["SUBSCRIBE", "a", "b", "c"]),
            encode(["PSUBSCRIBE", "a*"]) + encode(["PING"]),
            encode(["MULTI"]) + encode(["SET", "k", "v"]),
            encode(["WATCH", "k1", "k2"]),
            encode(["BLPOP", "queue", "0"]) + encode(["PING"]),
            encode(["HELLO", "3", "SETNAME", "me"]),
            encode(["GET", "big"]) * 20,
        ):
            client = Client(await server.connect())
            await client.send(leftover)
            await client.vanish()
        await until(lambda: not server.broker.sessions)

    async with connect(server) as client:
        assert await client.call("SET", "big", "x" * 100_000) == b"+OK\r\n"
    await round_of_clients()
    tracemalloc.start()
    for _ in range(3):
        await round_of_clients()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(20):
        await round_of_clients()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 200_000
    database = server.broker.keyspace.databases[0]
    assert not database.waiters and not database.watchers and not server.broker.blocking.sessions
    assert not server.broker.outbox and not server.tick.connections()
