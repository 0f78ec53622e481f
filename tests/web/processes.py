"""The programs of a web application, and a client of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["get", "process", "wait_for", "worker"]

ROOT = Path(__file__).resolve().parents[2]
WORK = "import sys; from consumers.commands.work import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def process(url: str, *words: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python program for the block, which ends it with SIGTERM: it must then end in order."""
    started = subprocess.Popen([sys.executable, *words], cwd=ROOT, env={**os.environ, "REDIS_URL": url, **environment})
    try:
        yield started
        started.send_signal(signal.SIGTERM)
        # uvicorn raises the signal again when it has shut down
        assert started.wait(60) in (0, -signal.SIGTERM)
    finally:
        started.kill()
        started.wait()


def worker(url: str, queue: str, *words: str, **environment: str) -> Any:
    """`trimaran work QUEUE` for the block."""
    return process(url, "-c", WORK, queue, *words, **environment)


def get(port: int, path: str) -> Any:
    """Return the JSON that the application sends."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as response:
        return json.load(response)


def wait_for(port: int, path: str, application: "subprocess.Popen[bytes]") -> None:
    """Wait until the application answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            get(port, path)
            return
        except OSError:
            assert application.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
