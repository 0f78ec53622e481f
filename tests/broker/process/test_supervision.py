"""What a supervisor is told, over a real datagram socket."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.process.supervision import SYSTEMD, UPSTART, Supervision, supervisor_of


@contextmanager
def supervisor(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.settimeout(20)
        yield listening


@pytest.mark.parametrize(
    ("wanted", "environment", "found"),
    [
        ("no", {"NOTIFY_SOCKET": "/s", "UPSTART_JOB": "j"}, ""),
        ("systemd", {"NOTIFY_SOCKET": "/s"}, SYSTEMD),
        ("systemd", {"UPSTART_JOB": "j"}, ""),
        ("systemd", {"NOTIFY_SOCKET": ""}, ""),
        ("upstart", {"NOTIFY_SOCKET": "/s", "UPSTART_JOB": "j"}, UPSTART),
        ("auto", {"NOTIFY_SOCKET": "/s"}, SYSTEMD),
        ("auto", {"NOTIFY_SOCKET": "/s", "UPSTART_JOB": "j"}, UPSTART),
        ("auto", {}, ""),
    ],
)
def test_who_supervises(wanted: str, environment: dict[str, str], found: str) -> None:
    assert supervisor_of(wanted, environment) == found


@pytest.mark.parametrize("abstract", [False, True])
def test_datagrams(abstract: bool, tmp_path: Path) -> None:
    if abstract and not sys.platform.startswith("linux"):
        pytest.skip("abstract names are Linux's")
    address = f"@trimaran-{os.getpid()}" if abstract else str(tmp_path / "s")
    with supervisor(address) as listening:
        supervision = Supervision(SYSTEMD, address)
        supervision.status("a\udcff")
        supervision.ready()
        supervision.stopping()
        assert [listening.recv(1000) for _ in range(3)] == [
            b"STATUS=a\\udcff", b"STATUS=Ready to accept connections\nREADY=1", b"STOPPING=1",
        ]  # fmt: skip


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "/" + "x" * 200, "a\0b"])
def test_nobody_who_listens_is_no_reason_to_fail(address: str) -> None:
    Supervision(SYSTEMD, address).ready()
    Supervision().ready()


def test_one_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    with supervisor(address):
        supervision = Supervision(SYSTEMD, address)
        for _ in range(1000):
            supervision.status("x" * 1000)


@pytest.mark.parametrize("wanted", ["systemd", "auto"])
def test_a_process_from_its_start_to_its_end(wanted: str, tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    words = ["--port", "0", "--unixsocket", str(tmp_path / "u"), "--dir", str(tmp_path), "--supervised", wanted]
    # A supervised process does not leave for the background: its supervisor would take it for dead.
    words += ["--appendonly", "yes", "--daemonize", "yes"]
    with (
        supervisor(address) as listening,
        subprocess.Popen(
            [sys.executable, "-m", "broker", "serve", *words],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "NOTIFY_SOCKET": address},
        ) as process,
    ):
        told = [listening.recv(1000)]
        while b"READY=1" not in told[-1]:
            told.append(listening.recv(1000))
        assert told[0] == b"STATUS=Loading the data"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        told = [listening.recv(1000) for _ in range(2)]
        assert process.wait(20) == 0
    assert told == [b"STATUS=Saving data and shutting down", b"STOPPING=1"]
