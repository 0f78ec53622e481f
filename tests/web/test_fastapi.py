"""FastAPI under uvicorn: its lifespan opens the queue, views enqueue and await results, a worker runs the jobs."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.consumers.servers import RedisServer, redis_server
from tests.oracle.servers import free_port

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

ROOT = Path(__file__).resolve().parents[2]
REQUESTS = int(os.environ.get("TRIMARAN_WEB_REQUESTS", "200"))
WORK = "import sys; from consumers.commands.work import main; sys.exit(main(sys.argv[1:]))"
APPLICATION = "tests.web.fastapi_app"


@contextmanager
def process(url: str, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python program for the block, which ends it with SIGTERM: it must then end in order."""
    started = subprocess.Popen([sys.executable, *words], cwd=ROOT, env={**os.environ, "REDIS_URL": url})
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        # uvicorn raises the signal again when it has shut down
        assert started.wait(60) in (0, -signal.SIGTERM)
    finally:
        started.kill()
        started.wait()


def get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as response:
        return json.load(response)


def wait_for(port: int, application: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            get(port, "/openapi.json")
            return
        except OSError:
            assert application.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[int]:
    """The application's port, with a worker; both on this loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    number = free_port()
    serve = ("-m", "uvicorn", f"{APPLICATION}:app", "--port", str(number), "--loop", request.param)
    work = ("-c", WORK, f"{APPLICATION}:queue", "--url", server.url, "--loop", request.param)
    with process(server.url, *serve, "--log-level", "warning") as application, process(server.url, *work):
        wait_for(number, application)
        yield number


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server("broker") as running:
        yield running


def test_requests_enqueue_and_await_results(port: int) -> None:
    with ThreadPoolExecutor(10) as clients:
        sums = clients.map(lambda n: get(port, f"/add?a={n}&b=1000")["sum"], range(REQUESTS))
        assert list(sums) == [n + 1000 for n in range(REQUESTS)]
    assert "ValueError: no" in get(port, "/fail")["error"]
