"""coredis clients without a port."""

import logging

import coredis
import pytest
import trio
import trio.testing

from broker import open_broker
from broker.process.clock import TrioClock
from broker.testing import in_process


async def test_a_client_does_what_it_does_over_tcp() -> None:
    async with open_broker() as server, in_process.client(server, decode_responses=True) as client:
        assert await client.set("k", "v")
        assert await client.get("k") == "v"
        async with client.pubsub(channels=["news"], ignore_subscribe_messages=True) as subscriber:
            await client.publish("news", "hello")
            while not (message := await subscriber.get_message(timeout=1)):
                pass
            assert message["data"] == "hello"


async def test_large_values_pass() -> None:
    async with open_broker() as server, in_process.client(server) as client:
        value = bytes(range(256)) * 10_000
        await client.set("k", value)
        assert await client.get("k") == value


async def test_settings_are_the_pools() -> None:
    async with (
        open_broker({"requirepass": "secret"}) as server,
        in_process.client(server, password="secret", db=3, client_name="me") as client,
    ):
        assert await client.client_getname() == b"me"
        assert (await client.client_info())["db"] == 3


async def test_clients_of_a_stopped_broker_get_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "coredis")
    async with open_broker() as server:
        location = in_process.InProcessLocation(server)
        assert await location.check()
        assert str(location) == "in-process"
    assert not await location.check()
    async with in_process.client(server) as client:
        with pytest.raises(coredis.exceptions.ConnectionError):
            await client.ping()


async def test_a_client_is_told_when_the_broker_stops() -> None:
    async with open_broker() as server, in_process.client(server) as client:
        assert await client.ping() == b"PONG"
        server.tick.close(next(iter(server.tick.connections())))
        assert await client.ping() == b"PONG", "it connects again"


async def test_time_jumps_with_the_tests_clock(autojump_clock: trio.testing.MockClock) -> None:
    async with open_broker(clock=TrioClock()) as server, in_process.client(server) as client:
        await client.set("k", "v", ex=3600)
        assert await client.blpop(["nothing"], timeout=3599) is None
        assert await client.exists(["k"])
        await trio.sleep(1.1)
        assert not await client.exists(["k"])
