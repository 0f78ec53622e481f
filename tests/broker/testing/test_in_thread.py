"""A broker in a thread, for programs that do not run Trio."""

import asyncio

import coredis
import pytest
import redis

import broker
from broker.testing.in_thread import in_thread


def test_synchronous_clients_reach_it_and_it_ends_with_the_block() -> None:
    with in_thread({"maxmemory": "10mb"}) as running:
        assert running.url == f"redis://{running.host}:{running.port}/0"
        with redis.Redis(host=running.host, port=running.port) as client:
            assert client.set("k", "v") and client.get("k") == b"v"
            assert client.config_get("maxmemory") == {"maxmemory": "10485760"}
    with redis.Redis(host=running.host, port=running.port) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_programs_of_asyncio_reach_it() -> None:
    async def main(url: str) -> bytes | None:
        async with coredis.Redis.from_url(url) as client:
            await client.set("k", "v")
            return await client.get("k")

    with broker.in_thread() as running:
        assert asyncio.run(main(running.url)) == b"v"


def test_two_share_nothing() -> None:
    with broker.in_thread() as one, broker.in_thread() as other:
        assert one.port != other.port
        with redis.Redis(port=one.port) as first, redis.Redis(port=other.port) as second:
            first.set("k", "v")
            assert second.get("k") is None


@pytest.mark.parametrize("directives", [{"maxmemry": "1"}, {"maxmemory": "much"}, {"no such": ""}])
def test_an_unknown_or_mistyped_directive_is_refused(directives: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(directives))), broker.in_thread(directives):
        raise AssertionError
