"""Somebody who follows a page: a folder, the programs of an installation, and the servers that the page starts."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.docs.programs import SECONDS, environment, pytest_options

WRAPPERS = {"python": "", "trimaran": "-m broker", "pytest": f"-m pytest -p no:asyncio {' '.join(pytest_options())}"}


class Reader:
    """One server runs at a time, on a port of its own, which redis-cli and REDIS_URL mean. `variables` are for all."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        programs = folder / "bin"
        programs.mkdir()
        for name, arguments in WRAPPERS.items():
            self._program(programs / name, f'"{sys.executable}" {arguments}')
        self._program(programs / "redis-cli", f"{shutil.which('redis-cli')} -p {self.port} --no-raw")
        self._environment = {**environment(f"redis://127.0.0.1:{self.port}"), **variables}
        self._environment["PATH"] = f"{programs}{os.pathsep}{self._environment['PATH']}"
        self._server: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def _program(path: Path, command: str) -> None:
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)

    def type(self, line: str) -> str:
        """Run a line in a shell, and return what it prints."""
        with open(self.folder / "printed", "w+b") as printed:
            shell = self._start(["sh", "-c", line], printed)
            assert shell.wait(SECONDS) == 0, line
            printed.seek(0)
            return printed.read().decode()

    def serve(self, line: str) -> None:
        """End the server that runs, as Ctrl-C does, and start another, which can be reached when this returns.

        The line need not name the port.
        """
        self.end()
        words = shlex.split(line)
        if "--port" not in words:
            words += ["--port", str(self.port)]
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

    def end(self) -> None:
        """End the server, if it still runs, as Ctrl-C does."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(SECONDS)

    def leave(self) -> None:
        """End all that was started, and what goes on in the background of a shell."""
        self.end()
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
