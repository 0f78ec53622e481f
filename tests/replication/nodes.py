"""A server of any kind as a process, alone or in a chain of masters and replicas."""

import contextlib
import functools
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.broker_process import BrokerProcess
from tests.oracle.conftest import skip_loudly
from tests.oracle.servers import ROOT, OracleMissing, _candidates, _version_of, find_valkey, free_port
from tests.oracle.wire import CLOSED, SILENT, Connection, parse

__all__ = [
    "KINDS", "Node", "digest", "executable", "in_step", "info", "nodes", "require", "until", "until_in_step",
    "until_same",
]  # fmt: skip

KINDS = ("trimaran", "redis-7.0", "redis-8", "valkey")
PATIENCE = 60.0
"""Seconds to wait for anything, on a machine that does much else."""

WITHOUT_PAUSES = {
    "save": "", "enable-debug-command": "yes", "repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1",
}  # fmt: skip


@functools.cache
def executable(kind: str) -> Path | None:
    """The server's program; None if this machine has none. Not for "trimaran"."""
    if kind == "valkey":
        with contextlib.suppress(OracleMissing):
            return find_valkey()[0]
        return None
    wanted = (7, 0) if kind == "redis-7.0" else (8,)
    for path in _candidates():
        if path.name == "redis-server" and _version_of(path)[: len(wanted)] == wanted:
            return path
    return None


def require(*kinds: str) -> None:
    """Skip the test if a server that it needs is not on this machine."""
    for kind in kinds:
        if kind != "trimaran" and executable(kind) is None:
            skip_loudly(f"no server of the kind {kind}")


def until(condition: Callable[[], object], what: Callable[[], str] | str = "", seconds: float = PATIENCE) -> None:
    """Poll until the condition is true; AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.01)


class Node:
    """One folder and one port, and at most one process at a time that uses them. It starts with the block.

    Without a `folder` for its own, that is a temporary one.
    """

    def __init__(self, kind: str, folder: Path | None = None, **directives: str) -> None:
        require(kind)
        self.kind = kind
        self._temporary = None if folder else Path(tempfile.mkdtemp(prefix="trimaran-replication-"))
        self.folder = (folder or self._temporary or Path()) / f"{kind}-{free_port()}"
        self.folder.mkdir()
        self.port = free_port()
        path = executable(kind) if kind != "trimaran" else None
        self._command = [str(path)] if path else ["serve"]
        self._command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        given = WITHOUT_PAUSES | {name.replace("_", "-"): value for name, value in directives.items()}
        for name, value in given.items():
            # a directive of several words is several arguments for all of these servers
            self._command += [f"--{name}", *(value.split() or [""])]
        self._process: subprocess.Popen[bytes] | BrokerProcess | None = None
        self._control: Connection | None = None
        self._clients: list[Connection] = []

    def __enter__(self) -> "Node":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for client in self._clients:
            client.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def announce(self, port: int) -> None:
        """Before the start: others reach it at this port."""
        self._command += ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", str(port)]

    # Its process

    def start(self, *further: str) -> None:
        """Start it with further words of a command line; return when it answers."""
        self.launch(*further)
        until(lambda: self.answers() or not self.alive(), lambda: f"{self.kind} has not started\n{self.log()}")
        assert self.alive(), self.log()

    def launch(self, *further: str) -> None:
        """Start it without waiting."""
        if self.kind == "trimaran":
            self._process = BrokerProcess([*self._command, *further], self.folder / "log")
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *further], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def answers(self) -> bool:
        try:
            connection = self.connect()
        except OSError:
            return False
        answer = connection.call("PING")
        connection.close()
        return answer == b"+PONG\r\n" or answer.startswith((b"-MASTERDOWN", b"-NOAUTH"))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """End it like a crash; nothing of it is running when this returns."""
        self._forget_control()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def terminate(self) -> None:
        """Ask it to end, and wait until it has."""
        self._forget_control()
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(PATIENCE) == 0, self.log()

    def suspend(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """The end of its output."""
        return (self.folder / "log").read_bytes()[-4000:].decode("utf-8", "replace")

    def logged(self) -> str:
        """All of its output."""
        return (self.folder / "log").read_text(errors="replace")

    def resident(self) -> int:
        """Bytes of memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * 4096

    def descriptors(self) -> int:
        """How many files and connections are open."""
        return len([*Path(f"/proc/{self.pid}/fd").iterdir()])

    # As a client sees it

    def connect(self, timeout: float = 30.0) -> Connection:
        """A client, which is closed at the end of the block."""
        self._clients.append(Connection(("127.0.0.1", self.port), timeout))
        return self._clients[-1]

    def call(self, *command: str | bytes | int | float) -> bytes:
        """One command on a connection that is kept, and opened again after it was lost."""
        if self._control is None or not self._control.usable:
            self._control = self.connect()
        reply = self._control.call(*command)
        if reply in (CLOSED, SILENT):
            self._forget_control()
        return reply

    def _forget_control(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def info(self, section: str = "replication") -> dict[str, str]:
        """The fields of a section of INFO; none if it doesn't answer."""
        try:
            text = parse(self.call("INFO", section)).text.decode()
        except OSError:
            return {}
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def follow(self, port: int) -> None:
        """REPLICAOF; returns without waiting."""
        reply = self.call("REPLICAOF", "127.0.0.1", port)
        assert reply.startswith(b"+OK"), (reply, self.log())

    def in_sync(self) -> bool:
        """Whether it is a replica whose link is up."""
        return self.info().get("master_link_status") == "up"

    def until_in_sync(self, seconds: float = PATIENCE) -> None:
        until(self.in_sync, lambda: f"{self.kind} is in sync: {self.info()}\n{self.log()}", seconds)

    def offset(self) -> int:
        """The position in the stream up to which it has executed, or written as a master."""
        info = self.info()
        return int(info.get("slave_repl_offset") or info.get("master_repl_offset") or -1)

    def counted(self, field: str, section: str = "stats") -> int:
        return int(self.info(section)[field])


@contextlib.contextmanager
def nodes(folder: Path, *kinds: str, **directives: str) -> Iterator[list[Node]]:
    """Running servers of these kinds, all with the same further directives."""
    require(*kinds)
    with contextlib.ExitStack() as running:
        yield [running.enter_context(Node(kind, folder, **directives)) for kind in kinds]


# As the clients see it that a test has connected


def info(connection: Connection, section: str = "replication") -> dict[str, str]:
    """The fields of a section of INFO."""
    lines = parse(connection.call("INFO", section)).text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def in_step(leader: Connection, follower: Connection) -> bool:
    """Whether a replica has executed all that its master has streamed."""
    theirs, ours = info(leader), info(follower)
    return (
        ours.get("master_link_status") == "up"
        and theirs["master_replid"] == ours["master_replid"]
        and theirs["master_repl_offset"] == ours["slave_repl_offset"]
    )


def until_in_step(leader: Connection, follower: Connection) -> None:
    until(lambda: in_step(leader, follower), lambda: f"in step: {info(leader)} {info(follower)}")


def digest(connection: Connection) -> bytes:
    """A digest of all data of a server."""
    return connection.call("DEBUG", "DIGEST")


def until_same(leader: Connection, follower: Connection) -> None:
    """Wait until a replica holds what its master holds. A key may expire between two looks."""
    until(
        lambda: in_step(leader, follower) and digest(leader) == digest(follower),
        lambda: f"the same: {info(leader)} {info(follower)}",
    )
