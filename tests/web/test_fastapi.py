"""FastAPI under uvicorn: its lifespan opens the queue, views enqueue and await results, a worker runs the jobs."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.consumers.servers import RedisServer, redis_server
from tests.oracle.servers import free_port
from tests.web.processes import get, process, wait_for, worker

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

REQUESTS = int(os.environ.get("TRIMARAN_WEB_REQUESTS", "200"))
APPLICATION = "tests.web.fastapi_app"


@pytest.fixture(params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[int]:
    """The application's port, with a worker; both on this loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    number = free_port()
    serve = ("-m", "uvicorn", f"{APPLICATION}:app", "--port", str(number), "--loop", request.param)
    with (
        process(server.url, *serve, "--log-level", "warning") as application,
        worker(server.url, f"{APPLICATION}:queue", "--loop", request.param),
    ):
        wait_for(number, "/openapi.json", application)
        yield number


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server("broker") as running:
        yield running


def test_requests_enqueue_and_await_results(port: int) -> None:
    with ThreadPoolExecutor(10) as clients:
        views = ("add", "add-in-a-thread")
        sums = clients.map(lambda n: get(port, f"/{views[n % 2]}?a={n}&b=1000")["sum"], range(REQUESTS))
        assert list(sums) == [n + 1000 for n in range(REQUESTS)]
    assert "ValueError: no" in get(port, "/fail")["error"]
