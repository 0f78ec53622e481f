"""Connections beside the pool: to the right server, with the client's settings, as long as their tasks or longer."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import coredis
import pytest
import trio
import trio.testing
from coredis.cluster._node import ClusterNodeLocation
from coredis.connection import ClusterConnection, TCPConnection, TCPLocation
from coredis.exceptions import (
    AuthenticationError,
    ConnectionError,
    MovedError,
    PrimaryNotFoundError,
    RedisClusterError,
)
from coredis.pool import SentinelConnectionPool

import broker
from consumers import connecting
from consumers.addresses import client_from_url
from consumers.connecting import connect, discard, login_error, report, serves, slot_of
from consumers.errors import ServerUnavailable
from consumers.jobs import Queue, Worker

Client = coredis.Redis[bytes]


async def test_a_connection_has_the_clients_settings_and_gives_bytes(server_url: str) -> None:
    async with (
        coredis.Redis.from_url(server_url, db=3, decode_responses=True, client_name="me", max_idle_time=1) as client,
        anyio.create_task_group() as tasks,
    ):
        connection = await connect(client, tasks)
        assert await connection.create_request(b"CLIENT GETNAME") == b"me"
        assert b" db=3 " in bytes(await connection.create_request(b"CLIENT INFO"))  # type: ignore[arg-type]
        await anyio.sleep(1.1)
        assert await connection.create_request(b"PING") == b"PONG", "it may be idle for longer than a pool's"
        tasks.cancel_scope.cancel()
    assert not connection.usable


async def test_a_refused_connection_is_an_error_of_coredis(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "coredis")
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with coredis.Redis("127.0.0.1", port) as client, anyio.create_task_group() as tasks:
        with pytest.raises(coredis.exceptions.ConnectionError):
            await connect(client, tasks)


async def test_a_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = coredis.Redis("127.0.0.1", listener.socket.getsockname()[1])
    async with listener, anyio.create_task_group() as tasks:
        with pytest.raises(ServerUnavailable, match="no answer within 5 seconds"):
            await connect(client, tasks)


async def test_a_server_that_is_not_there_is_one_error_with_its_address(tmp_path: Path) -> None:
    for client, host, port, text in (
        (coredis.Redis("127.0.0.1", 1), "127.0.0.1", 1, "no connection to 127.0.0.1:1: Connection refused"),
        (coredis.Redis("nosuch.invalid", 7), "nosuch.invalid", 7, "no connection to nosuch.invalid:7: "),
        (
            coredis.Redis.from_url(f"unix://{tmp_path}/x"),
            f"{tmp_path}/x",
            None,
            f"no connection to {tmp_path}/x: No such",
        ),
    ):
        async with anyio.create_task_group() as tasks:
            with pytest.raises(ServerUnavailable) as caught:
                await connect(client, tasks)
        assert str(caught.value).startswith(text)
        assert (caught.value.host, caught.value.port) == (host, port)
        assert isinstance(caught.value, coredis.exceptions.ConnectionError)


@pytest.mark.parametrize(
    ("login", "text"),
    [
        ("", "the server wants a password, in the URL: redis://"),
        (":wrong@", "the server refuses the user or the password: "),
    ],
)
async def test_a_login_that_fails_is_told_in_terms_of_the_url(login: str, text: str) -> None:
    with broker.in_thread({"requirepass": "secret"}) as running:
        client = client_from_url(running.url.replace("//", f"//{login}"))
        async with anyio.create_task_group() as tasks:
            with pytest.raises(AuthenticationError) as caught:
                await connect(client, tasks)
    assert str(caught.value).startswith(text)
    assert str(login_error(caught.value)) == str(caught.value)


async def test_a_primary_that_no_sentinel_knows_is_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_from_url("redis+sentinel://127.0.0.1:1/name")

    async def find() -> TCPLocation:
        raise PrimaryNotFoundError("No primary found for 'name'")

    monkeypatch.setattr(client.connection_pool, "get_primary_location", find)
    async with anyio.create_task_group() as tasks:
        with pytest.raises(ServerUnavailable, match="no connection to the server: No primary found for 'name'"):
            await connect(client, tasks, primary=True)


async def test_a_cluster_that_is_not_there_is_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def enter(client: Client) -> AsyncIterator[Client]:
        raise RedisClusterError("no node") from OSError("refused")
        yield

    monkeypatch.setattr(coredis.RedisCluster, "__asynccontextmanager__", enter)
    with pytest.raises(ServerUnavailable, match="no connection to a:1, b:6379: refused"):
        async with Queue("q").open("redis+cluster://a:1,b"):
            raise AssertionError


async def test_what_leaves_a_queues_block_is_one_error(server_url: str) -> None:
    queue = Queue("q")

    @queue.job()
    async def work() -> None: ...

    for use in (work.enqueue, lambda: work.enqueue(unique=True), work.with_options(delay=5).enqueue):
        with anyio.fail_after(60), pytest.raises(coredis.exceptions.ConnectionError, match=r"127\.0\.0\.1:1"):
            async with queue.open("redis://127.0.0.1:1"):
                await use()
    with pytest.raises(KeyError, match="mine"):
        async with queue.open(server_url), Worker(queue).open():
            raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"):
        async with queue.open(server_url):
            await work.enqueue()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Worker(queue).run)
                await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
            raise KeyError("mine")


async def test_a_shielded_connection_outlives_its_nurserys_cancellation(client: Client) -> None:
    async with anyio.create_task_group() as tasks:
        plain = await connect(client, tasks)
        shielded = await connect(client, tasks, shielded=True)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            try:
                assert await shielded.create_request(b"PING") == b"PONG"
                while plain.usable:
                    await anyio.sleep(0.001)
                assert shielded.usable
            finally:
                shielded.invalidate()


class CancelAt(trio.abc.Instrument):
    """Cancels a scope at the n-th step of any task."""

    def __init__(self, step: int, scope: anyio.CancelScope) -> None:
        self._remaining = step
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._remaining -= 1
        if self._remaining == 0:
            self._scope.cancel()


async def test_a_cancellation_at_any_moment_is_raised_as_one(client: Client) -> None:
    connected = 0
    for step in range(1, 80):
        with anyio.CancelScope() as scope:
            instrument = CancelAt(step, scope)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with anyio.create_task_group() as tasks:
                    # a ConnectionError here would have the caller try again, or tell the user of a cut there was not
                    connection = await connect(client, tasks, shielded=True)
                    connected += 1
                    try:
                        with anyio.CancelScope(shield=True):
                            assert await connection.create_request(b"PING") == b"PONG"
                    finally:
                        connection.invalidate()
            finally:
                trio.lowlevel.remove_instrument(instrument)
    assert 0 < connected < 79


async def test_connecting_can_be_cancelled_though_shielded() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    client = coredis.Redis("127.0.0.1", listener.socket.getsockname()[1])
    async with listener:
        with anyio.move_on_after(0.05) as scope:
            async with anyio.create_task_group() as tasks:
                await connect(client, tasks, shielded=True)
    assert scope.cancelled_caught


def test_without_a_cluster_any_connection_serves() -> None:
    client = coredis.Redis("127.0.0.1", 1)
    connection = TCPConnection(TCPLocation("127.0.0.1", 2))
    assert slot_of(client, b"x") is None
    assert serves(client, connection, None)
    discard(connection)


@pytest.fixture
def cluster() -> Iterator["coredis.RedisCluster[Any]"]:
    """A client with a picture of two nodes that share the slots evenly. It connects to none."""
    client: coredis.RedisCluster[Any] = coredis.RedisCluster(startup_nodes=[TCPLocation("127.0.0.1", 1)])
    layout = client.connection_pool.cluster_layout
    nodes = [ClusterNodeLocation("127.0.0.1", port, server_type="primary", node_id=str(port)) for port in (1, 2)]
    layout._nodes = {TCPLocation(node.host, node.port): node for node in nodes}
    layout._slots.update({slot: [nodes[slot * 2 // 16384]] for slot in range(16384)})
    yield client
    for stream in layout._error_stream:
        stream.close()


async def test_in_a_cluster_the_slots_node_serves(cluster: "coredis.RedisCluster[Any]") -> None:
    client = cluster
    slot = slot_of(client, b"123456789")
    assert slot == 0x31C3  # the CRC16 that the cluster specification gives for these bytes
    connection = await connecting._construct(client, slot)
    assert connection.location == TCPLocation("127.0.0.1", 2)
    assert serves(client, connection, slot) and not serves(client, connection, 0)
    anywhere = await connecting._construct(client, None)
    assert isinstance(anywhere, ClusterConnection)
    report(client, connection, MovedError(f"{slot} 127.0.0.1:1"))
    assert not serves(client, connection, slot)
    discard(connection)
    discard(anywhere)


async def test_a_node_that_is_not_there_makes_the_client_look_again(
    cluster: "coredis.RedisCluster[Any]", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "coredis")
    async with anyio.create_task_group() as tasks:
        with pytest.raises(ConnectionError) as raised:
            await connect(cluster, tasks, slot=0)
    node, error = cluster.connection_pool.cluster_layout._error_stream[1].receive_nowait()
    assert node is not None and node.port == 1 and error is raised.value


async def test_a_sentinels_client_connects_to_the_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    async def primary(pool: SentinelConnectionPool) -> TCPLocation:
        return TCPLocation("127.0.0.1", 7)

    monkeypatch.setattr(SentinelConnectionPool, "get_primary_location", primary)
    client = coredis.Sentinel([TCPLocation("127.0.0.1", 1)]).primary_for("mymaster")
    connection = await connecting._construct(client, None)
    assert connection.location == TCPLocation("127.0.0.1", 7)
    assert "mymaster" in repr(connection)
    discard(connection)
