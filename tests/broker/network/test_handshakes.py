"""Handshakes in progress: what they may take of the tick, of time and of the broker's places."""

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.network.handshakes import DEADLINE_MS, STEPS_PER_TICK
from broker.network.tls import TlsEndpoint
from tests.broker.encrypted import serving
from tests.broker.inprocess import Client
from tests.certificates import Certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def test_a_client_is_one_once_its_handshake_is_complete(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        stream = await running.open()
        await running.handshakes(1)
        assert not running.broker.sessions and not running.broker.stats.clients_served
        encrypted = trio.SSLStream(stream, certificates.client_context(), server_hostname="127.0.0.1")
        client = Client(encrypted)
        assert await client.call("PING") == b"+PONG\r\n"
        assert len(running.broker.sessions) == running.broker.stats.clients_served == 1
        await running.handshakes(0)


async def test_a_handshake_has_a_deadline(certificates: Certificates, autojump_clock: trio.testing.MockClock) -> None:
    async with serving(certificates) as running:
        stream = await running.open()
        await stream.send_all(b"\x16\x03\x01")
        assert await stream.receive_some() == b""
        assert trio.current_time() * 1000 >= DEADLINE_MS
        await running.handshakes(0)


async def test_handshakes_count_as_clients(certificates: Certificates) -> None:
    async with serving(certificates, maxclients="4") as running:
        first = await running.connect()
        second = await running.connect()
        third, fourth = await running.open(), await running.open()
        await running.handshakes(2)
        refused = await running.open()
        assert await refused.receive_some() == b""
        async with await running.server.connect() as stream:
            assert await Client(stream).receive() == b"-ERR max number of clients reached\r\n"
        assert running.broker.stats.clients_refused == 2
        await third.aclose()
        await fourth.aclose()
        await running.handshakes(0)
        for client in (first, second, await running.connect()):
            assert await client.call("PING") == b"+PONG\r\n"


async def test_beyond_the_limit_the_oldest_is_given_up(certificates: Certificates) -> None:
    async with serving(certificates, maxclients="8") as running:
        idle = []
        for number in range(1, 5):
            idle.append(await running.open())
            await running.handshakes(number)
        client = await running.connect()
        assert await client.call("PING") == b"+PONG\r\n"
        assert await idle[0].receive_some() == b""
        await running.handshakes(3)


async def test_only_some_steps_are_taken_per_tick(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []
    original = TlsEndpoint.shake_hands

    async with serving(certificates, max_new_tls_connections_per_cycle="100") as running:

        def counted(endpoint: TlsEndpoint) -> bool:
            ticks.append(running.server.tick.number)
            return original(endpoint)

        monkeypatch.setattr(TlsEndpoint, "shake_hands", counted)
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(running.connect)
        await running.handshakes(0)
    assert len(ticks) >= 100
    assert max(ticks.count(number) for number in set(ticks)) <= STEPS_PER_TICK


async def test_connections_are_accepted_as_the_directive_says(certificates: Certificates) -> None:
    accepted: dict[int, int] = {}
    async with serving(certificates, max_new_tls_connections_per_cycle="3") as running:
        listeners, tick = running.server.listeners, running.server.tick
        original = listeners._admit_encrypted

        def counted(sock: socket.socket, peer: bytes) -> None:
            accepted[tick.number] = accepted.get(tick.number, 0) + 1
            original(sock, peer)

        listeners._admit_encrypted = counted  # type: ignore[method-assign]
        # Connected before the broker has its turn.
        clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(10)]
        await running.handshakes(10)
        assert sorted(accepted.values()) == [1, 3, 3, 3]
        for client in clients:
            client.close()


async def test_a_handshake_that_fails_is_forgotten(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        stranger = trio.SSLStream(await running.open(), ssl.create_default_context(), server_hostname="127.0.0.1")
        with pytest.raises(trio.BrokenResourceError):
            await stranger.do_handshake()
        await trio.aclose_forcefully(stranger)
        await running.handshakes(0)
        assert not running.broker.sessions


async def test_open_handshakes_end_with_the_broker(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        stream = await trio.open_tcp_stream("127.0.0.1", running.port)
        await running.handshakes(1)
    async with stream:
        assert await stream.receive_some() == b""
