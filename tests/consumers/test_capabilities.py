"""What is found out about the server."""

from typing import Any

import coredis
import pytest
from coredis.exceptions import AuthorizationError

from consumers.capabilities import LEAST, Capabilities, detect
from consumers.connection import open_link
from consumers.streams import Consumer, Message, Retry
from tests.consumers.network import network
from tests.consumers.servers import in_process_broker
from tests.consumers.streams.running import Client, running, until


async def test_each_server_says_what_it_can(client: Client, server_kind: str) -> None:
    expected = LEAST if server_kind == "redis-older" else Capabilities(True, True, True, policies=False, calls=False)
    async with open_link(client, "s") as link:
        assert await detect(link.execute) == expected
        assert await link.capabilities(reading=True) == await link.capabilities(reading=False) == expected


async def test_a_broker_with_extensions() -> None:
    async with (
        in_process_broker(**{"stream-extensions": "yes"}) as url,
        coredis.Redis.from_url(url) as client,
        open_link(client, "s") as link,
    ):
        assert await detect(link.execute) == Capabilities(True, True, True, policies=True, calls=True)


async def test_a_server_that_permits_no_questions_can_do_the_least() -> None:
    async def refuse(commands: list[Any]) -> list[Any]:
        return [AuthorizationError("no permission") for _ in commands]

    assert await detect(refuse) == LEAST


@pytest.mark.parametrize("server_kind", ["redis-older"], indirect=True)
async def test_each_connection_is_asked_for_itself(server_url: str, server_kind: str) -> None:
    """In a failover, one of a link's connections may lead to the new master, and the other still to the old one."""
    async with (
        in_process_broker() as broker,
        network(broker) as between,
        coredis.Redis.from_url(between.url) as client,
        open_link(client, "s") as link,
    ):
        assert await link.capabilities(reading=True) == Capabilities(True, True, True, policies=False, calls=False)
        between.server = server_url
        assert await link.capabilities(reading=False) == LEAST
        assert await link.capabilities(reading=True) == Capabilities(True, True, True, policies=False, calls=False)
        await between.cut()
        await until(lambda: not between.pairs)
        assert await link.capabilities(reading=True) == LEAST


@pytest.mark.parametrize("server_kind", ["redis-older"], indirect=True)
async def test_a_consumer_goes_on_with_an_older_server(server_url: str, server_kind: str) -> None:
    """And gives back what it got from the newer one in words that this one knows."""
    handled: list[str] = []

    async def handle(message: Message) -> None:
        handled.append(message.data["n"])
        if len(handled) == 1:
            between.server = server_url
            await between.cut()
            raise Retry("with the other server", delay=0)

    async with (
        in_process_broker() as broker,
        network(broker) as between,
        coredis.Redis.from_url(broker) as first,
        coredis.Redis.from_url(server_url) as second,
        coredis.Redis.from_url(between.url) as client,
    ):
        for server in (first, second):
            await server.xadd("orders", {"n": "1"}, identifier="1-0")
            await server.xgroup_create("orders", "billing", identifier="0")
        await second.xreadgroup("billing", "a", {"orders": ">"})  # as the replica of the first one would have it
        await second.xadd("orders", {"n": "2"}, identifier="2-0")
        consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=60)
        async with running(consumer, handle):
            await until(lambda: sorted(handled) == ["1", "1", "2"])
