"""Django under gunicorn's processes, Flask in threads: many requests, and the broker is killed in the middle.

TRIMARAN_WEB_REQUESTS sets how many.
"""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.consumers.servers import RedisServer
from tests.oracle.servers import free_port
from tests.web.processes import get, process, wait_for, worker

for needed in ("django", "flask", "gunicorn"):
    pytest.importorskip(needed)

REQUESTS = int(os.environ.get("TRIMARAN_WEB_REQUESTS", "300"))
CLIENTS = 8

GUNICORN = ("-m", "gunicorn", "--log-level", "warning", "--bind")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A broker that has what it has acknowledged on the disk."""
    running = RedisServer(None, "--appendonly", "yes", "--appendfsync", "always")
    running.start()
    try:
        yield running
    finally:
        running.stop()


def words(kind: str, port: int) -> tuple[str, ...]:
    address = f"127.0.0.1:{port}"
    return {
        "prefork": (*GUNICORN, address, "--workers", "2", "tests.web.django_app:app"),
        "preload": (*GUNICORN, address, "--workers", "2", "--preload", "tests.web.django_app:app"),
        "gthread": (*GUNICORN, address, "--threads", "8", "tests.web.flask_app:app"),
    }[kind]


@pytest.mark.parametrize("kind", ["prefork", "preload", "gthread"])
def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(kind: str, server: RedisServer, tmp_path: Path) -> None:
    port, journal = free_port(), tmp_path / "journal"
    journal.touch()
    ordered: list[int] = []
    processes: set[int] = set()

    def request(n: int) -> None:
        if n % 2:
            assert get(port, f"/order?n={n}") == {"job": f"note-{n}"}
            ordered.append(n)
        else:
            answer = get(port, f"/add?a={n}&b=1000")
            assert answer["sum"] == n + 1000
            processes.add(answer["process"])
        if len(ordered) == REQUESTS // 4:
            half.set()

    half = threading.Event()
    with (
        process(server.url, *words(kind, port)) as application,
        worker(server.url, "tests.web.jobs:queue", JOURNAL=str(journal)),
    ):
        wait_for(port, "/early", application)
        with ThreadPoolExecutor(CLIENTS) as clients:
            requests = [clients.submit(request, n) for n in range(REQUESTS)]
            assert half.wait(60)
            server.kill()
            server.start()
            for one in requests:
                one.result()
        assert len(ordered) == REQUESTS // 2
        assert len(processes) > 1
        deadline = time.monotonic() + 30
        while set(map(int, journal.read_text().split())) != set(ordered):
            assert time.monotonic() < deadline
            time.sleep(0.02)
