"""/metrics, /health and /ready."""

import coredis
import pytest
from coredis.exceptions import AuthenticationRequiredError, BusyLoadingError, ResponseError

from consumers.console.access.policy import Login, Policy
from consumers.console.pages.monitoring import Pulse
from consumers.console.server import Unreachable
from tests.consumers.console.consoles import Browser, open_browser, open_console
from tests.consumers.console.metrics.test_prometheus import samples

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_the_page_of_metrics(client: Client, server_url: str) -> None:
    await client.xadd("orders", {"a": "b"})
    await client.xgroup_create("orders", "billing", "0")
    await client.sadd("rq:queues", ["rq:queue:mail"])
    await client.rpush("rq:queue:mail", ["1", "2"])
    async with open_browser(server_url) as browser:
        response = await browser.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = samples(response.content)
        assert found["trimaran_up", ()] == 1
        assert found["trimaran_group_lag", (("group", "billing"), ("stream", "orders"))] == 1
        assert found["trimaran_queue_waiting", (("library", "rq"), ("queue", "mail"))] == 2
        assert found["trimaran_memory_used_bytes", ()] > 0


async def test_health_needs_no_login(server_url: str) -> None:
    async with open_browser(server_url, Policy(Login.SERVER)) as browser:
        for path in ("/health", "/ready"):
            response = await browser.get(path)
            assert response.status_code == 200
        assert response.json() == {"status": "ready"}


async def test_a_server_that_is_away_is_down() -> None:
    async with open_console("redis://127.0.0.1:1") as app, Browser(app) as browser:
        assert (await browser.get("/health")).status_code == 503
        response = await browser.get("/ready")
        assert (response.status_code, response.json()) == (503, {"status": "down"})
        assert "trimaran_up 0.0" in (await browser.get("/metrics")).text


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Unreachable("gone"), "down"),
        (BusyLoadingError("LOADING"), "loading"),
        (ResponseError("MASTERDOWN Link with MASTER is down"), "stale"),
        (AuthenticationRequiredError("NOAUTH"), "ready"),
        (None, "ready"),
    ],
)
async def test_what_an_answer_means(error: Exception | None, state: str) -> None:
    class Answering:
        async def call(self, *command: bytes) -> bytes:
            if error is not None:
                raise error
            return b"PONG"

    assert await Pulse(Answering()).read() == state  # type: ignore[arg-type]
