"""Worker processes that a test starts and ends, and waiting for their effects."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

__all__ = ["ROOT", "TOOLS", "logs_of", "until", "worker", "workers"]

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
"""Where the libraries' own commands (celery, rq, arq) were installed."""

DEADLINE = 90.0
T = TypeVar("T")


def until(condition: Callable[[], T], what: str, logs: Callable[[], str] = str, seconds: float = DEADLINE) -> T:
    """Poll until the condition is true and return it; AssertionError, with the workers' logs, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{logs()}")
        time.sleep(0.05)
    return result


@contextlib.contextmanager
def worker(name: str, command: list[str], folder: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker process with its output in folder/name.log; asked to end, then killed, by its pid."""
    with workers({name: command}, folder, **environment) as processes:
        yield processes[name]


@contextlib.contextmanager
def workers(
    commands: dict[str, list[str]], folder: Path, patience: float = 20.0, **environment: str
) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Worker processes by name, with CLIENT_TEST_URL and the like in their environment; they start and end together.

    Those that do not end within `patience` seconds of being told to are killed.
    """
    added = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"} | environment
    processes = {}
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    command, cwd=ROOT, env=os.environ | added, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def logs_of(folder: Path) -> str:
    """The ends of all workers' logs."""
    texts = [f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in sorted(folder.glob("*.log"))]
    return "\n".join(texts)
