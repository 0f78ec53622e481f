"""Sockets that a supervisor has opened."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker.network.activation import passed_sockets

ROOT = Path(__file__).parents[3]

# What systemd does: the sockets become descriptors 3, 4, ... of the process that the variables name.
LAUNCHER = """
import os, sys
count = int(sys.argv[1])
passed = [int(word) for word in sys.argv[2:2 + count]]
for at, descriptor in enumerate(passed):
    os.dup2(descriptor, 100 + at)
for at in range(count):
    os.dup2(100 + at, 3 + at)
    os.close(100 + at)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}
os.execv(sys.executable, [sys.executable, "-m", "broker", "serve", *sys.argv[2 + count:]])
"""


def launch(sockets: Sequence[socket.socket], *words: str) -> subprocess.Popen[str]:
    numbers = [str(sock.fileno()) for sock in sockets]
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(len(numbers)), *numbers, *words],
        pass_fds=[sock.fileno() for sock in sockets], cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def ping(client: socket.socket) -> bytes:
    client.settimeout(20)
    client.sendall(b"PING\r\n")
    return client.recv(100)


def test_clients_connect_before_the_broker_runs(tmp_path: Path) -> None:
    path = str(tmp_path / "u")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.create_connection(tcp.getsockname()) as early,
        socket.socket(socket.AF_UNIX) as local,
    ):
        unix.bind(path)
        unix.listen()
        local.connect(path)
        # `port` and `unixsocket` are replaced: nothing else is opened.
        words = ["--dir", str(tmp_path), "--port", "1", "--unixsocket", str(tmp_path / "other")]
        with launch([tcp, unix], *words) as process:
            assert ping(early) == ping(local) == b"+PONG\r\n"
            early.sendall(b"CONFIG GET port\r\n")
            assert str(tcp.getsockname()[1]).encode() in early.recv(100)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"addresses=127.0.0.1:{tcp_port(output)}" in output
    assert not (tmp_path / "other").exists()
    assert os.path.exists(path), "the file belongs to the supervisor"


def tcp_port(output: str) -> str:
    return output.partition("Ready to accept connections tcp port=")[2].split()[0]


def test_what_is_no_listening_socket_ends_the_start(tmp_path: Path) -> None:
    for sock in (socket.socket(), socket.socket(type=socket.SOCK_DGRAM)):
        with sock, launch([sock], "--dir", str(tmp_path), "--port", "0") as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "descriptor 3 (LISTEN_FDS) is not a listening TCP or Unix socket" in output


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": "7"}],
)
def test_what_is_not_for_this_process_is_left_alone(environment: dict[str, str]) -> None:
    assert passed_sockets(environment, 7) == []
