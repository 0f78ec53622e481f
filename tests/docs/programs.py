"""The documents' programs, run as a reader would: each in a process of its own, against a server on a port."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 60
COMMAND = "import importlib, sys; sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))"
"""`trimaran COMMAND` by its module, since the package need not be installed."""


def environment(url: str) -> dict[str, str]:
    """The environment in which this project's packages are found, and the server."""
    return {**os.environ, "REDIS_URL": url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(program: Path, url: str, arguments: Sequence[str] = ()) -> list[str]:
    """What a program prints, line by line. Fails with its errors when it fails."""
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env=environment(url), cwd=program.parent, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def trimaran(command: str, *arguments: str, url: str) -> None:
    """`trimaran COMMAND ...`, which has to succeed."""
    subprocess.run(
        [sys.executable, "-c", COMMAND, f"consumers.commands.{command}", *arguments, "--url", url],
        env=environment(url), cwd=ROOT, check=True, capture_output=True, timeout=SECONDS,
    )  # fmt: skip


@contextmanager
def worker(target: str, url: str, folder: Path) -> Iterator[None]:
    """`trimaran work TARGET` in a folder, for as long as the block runs; it then has to end in order, at a SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "consumers.commands.work", target, "--url", url],
        env=environment(url), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield
        process.terminate()
        output, _ = process.communicate(timeout=SECONDS)
        # One that another worker was quicker than may not have come so far as to take the signal.
        assert process.returncode in (0, -signal.SIGTERM), output
    finally:
        process.kill()
        process.communicate()
