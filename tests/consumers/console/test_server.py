"""The server that is looked at."""

import anyio
import pytest
from coredis.exceptions import ConnectionError, RedisError

from consumers.addresses import client_from_url
from consumers.console import server as module
from consumers.console.server import Server, Unreachable
from tests.consumers.servers import executable, redis_server

pytestmark = pytest.mark.both_loops

KINDS = {"broker": "Trimaran", "redis-newest": "Redis", "redis-older": "Redis"}


async def test_it_says_what_it_is(server_url: str, server_kind: str) -> None:
    async with anyio.create_task_group() as tasks:
        server = Server(lambda: client_from_url(server_url))
        tasks.start_soon(server.run)
        about = await server.about()
        assert (about.kind, about.mode) == (KINDS[server_kind], "standalone")
        first, second, third = await server.execute((b"SET", "k", "v"), (b"NOSUCH",), (b"GET", "k"))
        assert (first, third) == (b"OK", b"v") and isinstance(second, RedisError)
        with pytest.raises(RedisError, match="unknown command"):
            await server.call(b"NOSUCH")
        async with server.client() as client:
            assert await client.get("k") == b"v"
        server.close()


async def test_a_server_that_comes_back_is_found_again() -> None:
    if executable("redis-older") is None:
        pytest.skip("no redis-server")
    with redis_server("redis-older") as process:
        async with anyio.create_task_group() as tasks:
            server = Server(lambda: client_from_url(process.url))
            tasks.start_soon(server.run)
            assert await server.call(b"PING") == b"PONG"
            async with server.client() as client:
                assert await client.ping()
            process.kill()
            with pytest.raises(Unreachable):
                await server.call(b"PING")
            with pytest.raises(Unreachable):
                # by hand: coredis leaves something open when connecting fails (6.9), of which Python warns
                async with server.client() as client:
                    raise ConnectionError("lost")
            process.start()
            assert await server.call(b"PING") == b"PONG"
            async with server.client() as again:
                assert again is not client and await again.ping()
            server.close()


async def test_without_a_client_it_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_SECONDS", 0.0)
    with pytest.raises(Unreachable, match="connecting takes long"):
        await Server(lambda: client_from_url("redis://127.0.0.1:1")).call(b"PING")
