"""A broker in a thread, for programs that do not run Trio."""

import asyncio
from typing import Any

import coredis
import pytest
import redis

import broker
from broker.config.directives import PROCESS_ONLY
from broker.server import StartError
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


REFUSED: list[tuple[object, str]] = [
    ({"maxmemry": "1"}, "there is no directive 'maxmemry'"),
    ({"max_memory": "1"}, "there is no directive 'max_memory'"),
    ({"MAXMEMORY": "1"}, "there is no directive 'MAXMEMORY'; did you mean maxmemory\\?"),
    ({"no such": ""}, "there is no directive 'no such'"),
    ({b"maxmemory": "1"}, "there is no directive b'maxmemory'"),
    ({"user": "ann on"}, "there is no directive 'user'"),
    ({"maxmemory": "much"}, "maxmemory: argument must be a memory value"),
    ({"maxmemory": 5}, "the value of maxmemory must be a string as in redis.conf, not 5"),
    ({"maxmemory": None}, "the value of maxmemory must be a string as in redis.conf, not None"),
    ({"appendonly": "maybe"}, "appendonly: argument must be 'yes' or 'no'"),
    ({"databases": "0"}, "databases: argument must be between 1 and 2147483647 inclusive"),
    ({"save": "often"}, "save: Invalid save parameters"),
    ({"dir": "/no/such/folder"}, "dir: No such file or directory"),
    *(({name: "no"}, f"{name}: only a broker that is a process of its own has this") for name in sorted(PROCESS_ONLY)),
    ({"bind": "0.0.0.0"}, "bind: a broker in a thread is for this machine"),
    (["maxmemory"], "directives are a mapping of names to values, not list"),
    ("maxmemory 1mb", "directives are a mapping of names to values, not str"),
]


@pytest.mark.parametrize(("directives", "problem"), REFUSED)
def test_an_unknown_or_mistyped_directive_is_refused(directives: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"), broker.in_thread(directives):
        raise AssertionError


def test_the_port_may_be_chosen_and_must_be_free() -> None:
    with in_thread() as other:
        port = other.port
    with in_thread({"port": str(port)}) as running:
        assert running.port == port
        with redis.Redis.from_url(running.url) as client:
            assert client.ping() and client.config_get("bind") == {"bind": "127.0.0.1"}
        with pytest.raises(StartError, match="Address already in use"), in_thread({"port": str(port)}):
            raise AssertionError
