"""The console on a port."""

import socket
from pathlib import Path

import anyio
import httpx
import pytest

from consumers.addresses import client_from_url
from consumers.console.access.policy import Policy
from consumers.console.app import Console
from consumers.console.serving import listen, serve
from tests.certificates import Certificates

pytestmark = pytest.mark.both_loops


def console_of(url: str) -> Console:
    return Console(Policy(), url, lambda user, password: client_from_url(url))


async def test_it_is_served_until_the_end(server_url: str) -> None:
    [listener] = listen(["127.0.0.1"], 0)
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, console_of(server_url), [listener], ended.wait)
        async with httpx.AsyncClient(base_url=f"http://{listener.address}") as browser:
            response = await browser.get("/")
            assert response.status_code == 200 and "server" not in response.headers
            async with browser.stream("GET", "/overview/events", timeout=20) as events:
                lines = events.aiter_lines()
                assert await anext(lines) == "retry: 3000"
                ended.set()
                # the stream ends by itself
                with anyio.fail_after(60):
                    async for _ in lines:
                        pass


async def test_it_is_served_over_https(server_url: str, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    [listener] = listen(["127.0.0.1"], 0)
    ended = anyio.Event()
    async with anyio.create_task_group() as tasks:
        files = str(certificates.certificate), str(certificates.key)
        tasks.start_soon(serve, console_of(server_url), [listener], ended.wait, *files)
        context = certificates.client_context(certificate=False)
        async with httpx.AsyncClient(verify=context) as browser:
            response = await browser.get(f"https://{listener.address}/")
            assert response.status_code == 200 and "; Secure" in response.headers["set-cookie"]
        ended.set()


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"^127\.0\.0\.1:{port}: Address already in use$"):
            listen(["127.0.0.1"], port)
    with pytest.raises(OSError, match=r"^nosuch\.invalid: "):
        listen(["nosuch.invalid"], 0)


def test_all_addresses_get_the_same_port() -> None:
    listeners = listen(["127.0.0.1", "127.0.0.2"], 0)
    try:
        assert len({one.address.rpartition(":")[2] for one in listeners}) == 1
        assert listeners[1].address.startswith("127.0.0.2:")
    finally:
        for one in listeners:
            one.socket.close()
