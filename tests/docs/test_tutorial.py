"""docs/tutorial.md, followed line by line: its files, its servers, its commands, and what they print.

It takes some seconds, since each of the twenty lines is a process, as it is for a reader.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.docs.programs import ROOT, SECONDS, environment, pytest_options
from tests.docs.test_guides import NAME

BLOCK = re.compile(r"^```(python|)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SERVERS = ("trimaran dev", "trimaran serve")
WRAPPERS = {"python": "", "trimaran": "-m broker", "pytest": f"-m pytest -p no:asyncio {' '.join(pytest_options())}"}
VARYING = {
    re.compile(r"\b\d{13}-\d+\b"): "ID",
    re.compile(r"\b[0-9a-f]{30}\b"): "JOB",
    re.compile(r"\t"): "  ",
    re.compile(r"in \d+\.\d+s"): "in TIME",
}


class Reader:
    """Who follows the page: a folder, the programs of an installation, one server at a time on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        programs = folder / "bin"
        programs.mkdir()
        for name, arguments in WRAPPERS.items():
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            (programs / name).chmod(0o755)
        (programs / "redis-cli").write_text(
            f'#!/bin/sh\nexec {shutil.which("redis-cli")} -p {self.port} --no-raw "$@"\n'
        )
        (programs / "redis-cli").chmod(0o755)
        self._environment = environment(f"redis://127.0.0.1:{self.port}")
        self._environment["PATH"] = f"{programs}{os.pathsep}{self._environment['PATH']}"
        self._server: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[bytes]] = []

    def type(self, line: str) -> str:
        """Run a line in a shell, and return what it prints."""
        with open(self.folder / "printed", "w+b") as printed:
            shell = self._start(["sh", "-c", line], printed)
            assert shell.wait(SECONDS) == 0, line
            printed.seek(0)
            return printed.read().decode()

    def serve(self, line: str) -> None:
        """End the server that runs, as Ctrl-C does, and start another, which answers when this returns."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(SECONDS)
        words = [*line.split(), "--port", str(self.port)]
        if "dev" in words:
            words += ["--console-port", "0"]
        with open(self.folder / "server.log", "ab") as log:
            self._server = self._start(words, log)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())

    def leave(self) -> None:
        """End all that was started, and what goes on in the background of a shell."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(SECONDS)
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, words: list[str], output: object) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            words, env=self._environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,  # type: ignore[call-overload]
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        self._started.append(process)
        return process


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli")
def test_every_line_prints_what_the_page_says(reader: Reader) -> None:
    served = 0
    for language, block in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text()):
        if language:
            named = NAME.match(block)
            assert named, block
            (reader.folder / named[1]).write_text(block)
        for step in block.split("$ ")[1:] if block.startswith("$ ") else ():
            line, _, expected = step.partition("\n")
            if line.startswith(SERVERS):
                reader.serve(line)
                served += 1
                continue
            printed = _normal(reader.type(line))
            deadline = time.monotonic() + SECONDS
            while line.startswith("cat ") and printed != expected and time.monotonic() < deadline:
                # What runs in the background has not printed yet.
                time.sleep(0.05)
                printed = _normal(reader.type(line))
            assert printed == expected, line
    assert served == 3


def _normal(printed: str) -> str:
    for varying, name in VARYING.items():
        printed = varying.sub(name, printed)
    return printed
