"""A server of each kind in a folder of its own, to which the same is done; they may end and start again."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.broker_process import BrokerProcess
from tests.oracle import servers
from tests.oracle.background import until
from tests.oracle.wire import CLOSED, Connection

SECONDS = 60.0


class One:
    """A server that may end and start again, in its folder."""

    def __init__(self, program: Path | None, folder: Path, options: Sequence[str]) -> None:
        """`program`: a redis-server; None for the broker."""
        self.folder = folder
        folder.mkdir()
        self._command = [
            str(program) if program else "serve",
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--save",
            "",
            *options,
        ]
        self._command += ["--enable-debug-command", "yes", "--enable-protected-configs", "yes"]
        self._is_ours = program is None
        self._process: subprocess.Popen[bytes] | BrokerProcess

    def start(self) -> None:
        port = self.port = servers.free_port()
        path, command = self.folder.parent / f"{self.folder.name}.log", [*self._command, "--port", str(port)]
        if self._is_ours:
            self._process = BrokerProcess(command, path)
        else:
            with path.open("ab") as log:
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.connection = Connection(("127.0.0.1", port))
                if self.connection.call("DBSIZE").startswith(b":"):
                    return
                self.connection.close()
            time.sleep(0.02)
        raise AssertionError(path.read_text()[-3000:])

    def connect(self) -> None:
        """A connection as a new client has it, in place of the one there was."""
        self.connection.close()
        self.connection = Connection(("127.0.0.1", self.port))

    def call(self, command: str) -> bytes:
        """The reply, with folders and times that are told made the same everywhere."""
        reply = self.connection.call(*command.split())
        reply = re.sub(rb"\$\d+\r\n" + re.escape(bytes(self.folder)), b"$#\r\n<folder>", reply)
        return re.sub(rb"(_time\r\n:)[1-9]\d*", rb"\1<time>", reply)

    def state(self) -> str:
        reply = self.call("BACKUP STATUS")
        return reply.split(b"\r\n")[4].decode() if reply.startswith(b"*") else ""  # such as LOADING

    def wait(self, state: str) -> None:
        deadline = time.monotonic() + SECONDS
        while self.state() != state:
            assert time.monotonic() < deadline, self.call("BACKUP STATUS")
            time.sleep(0.02)

    def info(self) -> list[bytes]:
        fields = rb"(?:backup_in_progress|aof_enabled|aof_rewrite_scheduled|aof_last_bgrewrite_status):.*"
        return re.findall(fields, self.connection.call("INFO", "persistence"))

    def backup_files(self) -> list[str]:
        folder = self.folder / "backupdir"
        return sorted(os.listdir(folder)) if folder.is_dir() else ["<no folder>"]

    def children(self) -> list[int]:
        found = []
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def kill(self) -> None:
        self._process.kill()
        self.wait_for_end()

    def shut_down(self) -> None:
        assert self.connection.call("SHUTDOWN") == CLOSED
        self.wait_for_end()

    def wait_for_end(self) -> None:
        self.connection.close()
        self._process.wait(SECONDS)

    def stop(self) -> None:
        if self._process.poll() is None:
            self.kill()


class Two:
    """A server of each kind, to which the same is done."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.theirs = One(servers.find_reference()[0], folder / "theirs", options)
        self.ours = One(None, folder / "ours", options)
        self.both = (self.theirs, self.ours)
        for one in self.both:
            one.start()

    def stop(self) -> None:
        for one in self.both:
            one.stop()

    def empty(self) -> None:
        """Leave no data and no backup; saves and rewrites end."""
        for one in self.both:
            one.connect()
            for command in ("BACKUP ABORT", "BACKUP CLEANUP", "FLUSHALL", "CONFIG SET appendonly yes"):
                one.call(command)
            one.call("CONFIG SET rdb-key-save-delay 0")
        quiet(self)
        for one in self.both:
            shutil.rmtree(one.folder / "backupdir", ignore_errors=True)
        self.compare()

    def do(self, *commands: str) -> bytes:
        """Send the commands to both, and compare the replies; returns the last one."""
        reply = b""
        for command in commands:
            reply = self.theirs.call(command)
            assert self.ours.call(command) == reply, command
        return reply

    def each(self, act: Callable[[One], object]) -> None:
        """Do this with both, and compare what it returns."""
        theirs, ours = act(self.theirs), act(self.ours)
        assert ours == theirs

    def wait(self, state: str) -> None:
        self.each(lambda one: one.wait(state))
        self.do("BACKUP STATUS")

    def compare(self) -> None:
        """Compare all that a backup shows."""
        self.do("BACKUP STATUS", "BACKUP LIST", "CONFIG GET appendonly")
        self.each(One.info)
        self.each(One.backup_files)

    def start_backup(self) -> None:
        self.do("BACKUP START")
        self.wait("incrementing")


def quiet(p: Two) -> None:
    """Wait until neither has a child, or will start one."""
    for one in p.both:
        until(one.connection, "rdb_bgsave_in_progress:0", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0")


def forked(p: Two) -> list[int]:
    """The process IDs of their children, once each has one."""
    deadline = time.monotonic() + SECONDS
    while not all(found := [one.children() for one in p.both]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [children[0] for children in found]


def end_children(p: Two) -> None:
    """Kill those that there are: a save or a rewrite need not take its time."""
    for one in p.both:
        for child in one.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
