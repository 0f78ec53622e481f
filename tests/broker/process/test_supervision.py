"""What a supervisor is told, over a real datagram socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from broker.process.supervision import SYSTEMD, UPSTART, Supervision, supervisor_of, watchdog_seconds


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


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "x"}, 0.0),
    ],
)
def test_the_watchdogs_interval(environment: dict[str, str], seconds: float) -> None:
    assert watchdog_seconds(environment, 7) == seconds


def test_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[-1])
    address = str(tmp_path / "s")
    with supervisor(address) as listening:
        listening.setblocking(False)
        supervision = Supervision(SYSTEMD, address, watchdog=20)
        received = 0
        for now in (100.0, 101.0, 104.9, 105.0, 106.0):
            times.append(now)
            supervision.alive()
            with suppress(BlockingIOError):
                assert listening.recv(1000) == b"WATCHDOG=1"
                received += 1
        assert received == 2
        Supervision(SYSTEMD, address).alive()
        Supervision("", address, watchdog=20).alive()
        with pytest.raises(BlockingIOError):
            listening.recv(1000)


def test_a_long_start_and_a_reload(tmp_path: Path) -> None:
    address = str(tmp_path / "s")
    with supervisor(address) as listening:
        supervision = Supervision(SYSTEMD, address)
        supervision.starting("Loading the data")
        assert listening.recv(1000) == b"STATUS=Loading the data\nEXTEND_TIMEOUT_USEC=30000000"
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        supervision.reloading()
        said = dict(line.split("=") for line in listening.recv(1000).decode().splitlines())
        assert said["RELOADING"] == "1"
        assert before <= int(said["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


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
            env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"},
        ) as process,
    ):

        def told() -> bytes:
            """The next message that is no sign of life."""
            while True:
                message = listening.recv(1000)
                if message != b"WATCHDOG=1":
                    return message

        assert told() == b"STATUS=Loading the data"
        while b"READY=1" not in (message := told()):
            assert message.startswith(b"STATUS=")
        assert process.poll() is None
        while listening.recv(1000) != b"WATCHDOG=1":
            pass
        process.send_signal(signal.SIGHUP)
        assert told().startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert told() == b"STATUS=Ready to accept connections\nREADY=1"
        process.send_signal(signal.SIGTERM)
        ends = [told() for _ in range(2)]
        assert process.wait(60) == 0
    assert ends == [b"STATUS=Saving data and shutting down", b"STOPPING=1"]
