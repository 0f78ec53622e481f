"""Runs the documents' programs as a reader would: each in its own process, against a server on a port."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 60
COMMAND = "import importlib, sys; sys.exit(importlib.import_module(sys.argv[1]).main(sys.argv[2:]))"
"""`trimaran COMMAND` by its module, since the package need not be installed."""


def environment(url: str) -> dict[str, str]:
    """The environment in which programs find this project's packages and the server."""
    return {**os.environ, "REDIS_URL": url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(program: Path, url: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return a program's output, line by line. Fails with its errors if it fails."""
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env=environment(url), cwd=program.parent, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def pytest_options() -> list[str]:
    """Return the options with which pytest has this project's fixtures, installed or not, and leaves no cache."""
    installed = metadata.entry_points(group="pytest11", name="trimaran")
    return ["-p", "no:cacheprovider", *([] if installed else ["-p", "broker.testing.pytest_plugin"])]


def trimaran(command: str, *arguments: str, url: str) -> None:
    """Run `trimaran COMMAND ...`, which has to succeed."""
    subprocess.run(
        [sys.executable, "-c", COMMAND, f"consumers.commands.{command}", *arguments, "--url", url],
        env=environment(url), cwd=ROOT, check=True, capture_output=True, timeout=SECONDS,
    )  # fmt: skip


@contextmanager
def worker(target: str, url: str, folder: Path) -> Iterator[None]:
    """Run `trimaran work TARGET` in a folder while the block runs; it must then end in order on SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "consumers.commands.work", target, "--url", url],
        env=environment(url), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield
        process.terminate()
        output, _ = process.communicate(timeout=SECONDS)
        # If another worker was faster, this one may not have started far enough to handle the signal.
        assert process.returncode in (0, -signal.SIGTERM), output
    finally:
        process.kill()
        process.communicate()
