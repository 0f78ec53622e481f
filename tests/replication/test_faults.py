"""What both ends must survive: links that end at any byte, ends that never read, garbage, and restarts at once."""

import contextlib
import random
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.oracle.wire import encode
from tests.replication.contents import same_contents
from tests.replication.nodes import Node, nodes, until
from tests.replication.proxy import Proxy
from tests.replication.test_links import CONTROLS, write
from tests.replication.writes import Writes

MEBI = 1 << 20
PAIRS = [("trimaran", "trimaran"), ("trimaran", "redis-7.0"), ("redis-8", "trimaran")]
if CONTROLS:
    PAIRS += [("redis-7.0", "redis-7.0")]

CUTS = (0, 1, 7, 9, 12, 15, 19, 22, 29, 60, 90, 95, 100, 110, 200, 1000, 10_000, 20_000)
"""After how many of the master's bytes a connection ends: within each of its answers, and then within its file."""

SYNCS = 15

FULL_DISK = 400_000
"""Bytes of a file that fit; what is logged is less."""


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_a_link_that_ends_at_any_byte(kinds: tuple[str, str], tmp_path: Path) -> None:
    with nodes(tmp_path, *kinds) as (master, replica), Proxy(master.port) as between:
        write(master, Writes(1), 500)
        master.call("DEBUG", "POPULATE", 2000, "key", 100)
        for limit in CUTS:
            between.cut_after = limit
            before = between.connections
            replica.follow(between.port)
            until(lambda: between.connections > before and not between.open_connections(), replica.log)  # noqa: B023
            # so that it doesn't wait before it tries again
            assert replica.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
            until(lambda: master.info()["connected_slaves"] == "0", master.log)
        between.cut_after = None
        replica.follow(between.port)
        replica.until_in_sync()
        write(master, Writes(2), 200)
        same_contents(master, replica)


def test_a_replica_that_never_reads(tmp_path: Path) -> None:
    """It is disconnected at its output limit; what is kept for it isn't kept twice, and nobody else waits."""
    limit = "4mb 0 0"
    with nodes(tmp_path, "trimaran", "trimaran", repl_backlog_size="1mb") as (master, replica):
        master.call("CONFIG", "SET", "client-output-buffer-limit", f"replica {limit}")
        replica.follow(master.port)
        replica.until_in_sync()
        with contextlib.closing(pretend_replica(master)) as deaf:
            until(lambda: master.info()["connected_slaves"] == "2", master.log)
            before = master.resident()
            for number in range(40):
                assert master.call("SET", "large", bytes([65 + number % 26]) * MEBI) == b"+OK\r\n"
            until(lambda: master.info()["connected_slaves"] == "1", lambda: f"{master.info()}\n{master.log()}")
            assert master.resident() - before < 30 * MEBI
            assert ends(deaf)
        same_contents(master, replica)


def pretend_replica(master: Node) -> socket.socket:
    """A connection that has asked for everything, said that it has got it, and never reads."""
    sock = socket.create_connection(("127.0.0.1", master.port), timeout=30)
    for command in ("PING", "REPLCONF listening-port 1", "REPLCONF capa eof capa psync2", "PSYNC ? -1"):
        sock.sendall(encode(command))
    # the first bytes of the file: then it has been made
    got = b""
    while b"\r\n$" not in got:
        got += sock.recv(4096)
    sock.sendall(encode("REPLCONF ACK 1"))
    return sock


def ends(sock: socket.socket) -> bool:
    """Whether the other side has closed the connection, behind what it had sent."""
    sock.settimeout(20)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 16):
            pass
    return True


HEADER = b"+FULLRESYNC " + b"a" * 40 + b" 100\r\n"
EMPTY_FILE = bytes.fromhex("524544495330303131ff") + bytes(8)  # a checksum of zeros isn't verified

GARBAGE: dict[str, list[bytes]] = {
    "nothing": [b""],
    "no protocol": [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "a line without an end": [b"+" + b"x" * 200_000],
    "no answer to PSYNC": [b"+PONG\r\n", b"+OK\r\n" * 3, b":1\r\n"],
    "FULLRESYNC without an offset": [b"+PONG\r\n", b"+OK\r\n" * 3, b"+FULLRESYNC x\r\n"],
    "FULLRESYNC with a bad offset": [b"+PONG\r\n", b"+OK\r\n" * 3, b"+FULLRESYNC " + b"a" * 40 + b" x\r\n"],
    "CONTINUE without a past": [
        b"+PONG\r\n",
        b"+OK\r\n" * 3,
        b"+CONTINUE " + b"b" * 40 + b"\r\n" + b"*1\r\n$4\r\nPING\r\n",
    ],
    "a bad size": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$x\r\n"],
    "a negative size": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$-5\r\n"],
    "an enormous size": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$99999999999999999999999\r\nREDIS0011"],
    "no file": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$20\r\n" + b"x" * 20],
    "a file of the future": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\nREDIS9999\xff" + bytes(8)],
    "a file cut short": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$12\r\nREDIS0011\xfe\x00\x00"],
    "a delimiter cut short": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$EOF:abc\r\n" + EMPTY_FILE],
    "an unknown command": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE, encode("NONSENSE a b")],
    "a command that fails": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE, encode("LPUSH")],
    "a stream of noise": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE, b"*1\r\n:5\r\n"],
    "too many arguments": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE, b"*1000000000\r\n"],
    "too long an argument": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE, b"*1\r\n$9999999999\r\n"],
    "an EXEC alone": [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE, encode("EXEC")],
}


@contextlib.contextmanager
def bad_master(pieces: Callable[[], Iterator[bytes]]) -> Iterator[tuple[int, threading.Event]]:
    """Listens, and answers each connection with these pieces, each behind a read; its port, and whether it did once."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    connected: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connected[:] = [sock]
            sock.settimeout(2)
            with contextlib.suppress(OSError), sock:
                for piece in pieces():
                    sock.recv(1 << 16)
                    sock.sendall(piece)
                done.set()
                with contextlib.suppress(TimeoutError):
                    while sock.recv(1 << 16):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], done
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for sock in connected:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # its thread needn't wait for more
        thread.join(10)


def test_a_master_that_sends_garbage(tmp_path: Path) -> None:
    """The replica goes on, says that its link is down, and follows a real master when told to."""
    # a request that never ends is waited for as long as the master may be silent
    with nodes(tmp_path, "trimaran", "trimaran", repl_timeout="3") as (master, replica):
        write(master, Writes(1), 300)
        for name, pieces in GARBAGE.items():
            with bad_master(lambda: iter(pieces)) as (port, done):  # noqa: B023
                replica.follow(port)
                until(done.is_set, lambda: f"{name}\n{replica.log()}")  # noqa: B023
                until(lambda: not replica.in_sync(), lambda: f"{name}: {replica.info()}\n{replica.log()}")  # noqa: B023
                assert replica.alive() and replica.call("PING") == b"+PONG\r\n", name
        replica.follow(master.port)
        replica.until_in_sync()
        same_contents(master, replica)


def test_a_master_that_sends_noise(tmp_path: Path) -> None:
    chance = random.Random(1)
    with nodes(tmp_path, "trimaran", "trimaran") as (master, replica):
        write(master, Writes(1), 300)
        for _ in range(20):
            noise = [chance.randbytes(chance.randrange(1, 3000)) for _ in range(4)]
            start = [b"+PONG\r\n", b"+OK\r\n" * 3, HEADER + b"$18\r\n" + EMPTY_FILE][: chance.randrange(4)]
            with bad_master(lambda: iter(start + noise)) as (port, _):  # noqa: B023
                replica.follow(port)
                time.sleep(0.05)
                assert replica.alive() and replica.call("PING") == b"+PONG\r\n"
        replica.follow(master.port)
        replica.until_in_sync()
        same_contents(master, replica)


def test_a_replica_whose_disk_is_full(tmp_path: Path) -> None:
    """Neither the file of a full sync nor its own append-only file fits; once there is room, it has everything."""
    with nodes(tmp_path, "trimaran", "trimaran", appendonly="yes") as (master, replica):
        limit_files(replica, FULL_DISK)
        noise = random.Random(1)
        for number in range(8):
            master.call("SET", f"large:{number}", noise.randbytes(FULL_DISK // 4))
        replica.follow(master.port)
        time.sleep(1)
        assert replica.alive() and replica.call("PING").startswith((b"+PONG", b"-MISCONF")), replica.log()
        limit_files(replica, resource.RLIM_INFINITY)
        # on its own it tries again after a pause that has a test of its own
        assert replica.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        replica.follow(master.port)
        replica.until_in_sync()
        same_contents(master, replica)

        limit_files(replica, FULL_DISK)
        for number in range(8):
            master.call("SET", f"larger:{number}", noise.randbytes(FULL_DISK // 4))
        time.sleep(1)
        assert replica.alive() and replica.call("PING").startswith((b"+PONG", b"-MISCONF")), replica.log()
        limit_files(replica, resource.RLIM_INFINITY)
        replica.until_in_sync()
        same_contents(master, replica)
        until(lambda: replica.call("PING") == b"+PONG\r\n", replica.log)  # all that it has executed is in its files
        replica.terminate()
        replica.start("--replicaof", "127.0.0.1", str(master.port))
        replica.until_in_sync()
        same_contents(master, replica)


def limit_files(node: Node, size: int) -> None:
    """From now on, this process can't write beyond so many bytes of a file."""
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("gently", [True, False])
def test_both_ends_restart_at_once(gently: bool, tmp_path: Path) -> None:
    with nodes(tmp_path, "trimaran", "trimaran", appendonly="yes", appendfsync="always") as (master, replica):
        replica.follow(master.port)
        replica.until_in_sync()
        for number in range(2):
            write(master, Writes(number, {"fields", "newest"}), 500)
            same_contents(master, replica)
            for node in (master, replica):
                node.terminate() if gently else node.kill()
            replica.launch("--replicaof", "127.0.0.1", str(master.port))
            master.start()
            until(replica.answers, replica.log)
            replica.until_in_sync()
            same_contents(master, replica)


@pytest.mark.parametrize("kinds", [("trimaran", "redis-7.0"), ("redis-7.0", "trimaran")], ids="-".join)
def test_memory_is_flat(kinds: tuple[str, str], tmp_path: Path) -> None:
    """Full syncs, one after the other: neither end grows, and neither keeps descriptors or children."""
    ours = kinds.index("trimaran")
    with nodes(tmp_path, *kinds, repl_backlog_size="1mb") as both:
        master, replica = both
        master.call("DEBUG", "POPULATE", 20_000, "key", 100)
        resident: list[int] = []
        descriptors: list[int] = []
        for _ in range(SYNCS):
            replica.follow(master.port)
            replica.until_in_sync()
            until(lambda: master.info().get("slave0", "").find("state=online") > 0, master.log)
            resident.append(both[ours].resident())
            descriptors.append(both[ours].descriptors())
            # as a master for a moment, it writes what its old master has not
            replica.call("REPLICAOF", "NO", "ONE")
            replica.call("SET", "own", "x")
            until(lambda: master.info()["connected_slaves"] == "0", master.log)
        assert master.counted("sync_full") == SYNCS
        early, late = max(resident[3:8]), max(resident[-5:])
        assert late - early < 8 * MEBI, resident
        assert max(descriptors[-5:]) <= max(descriptors[3:8]) + 1, descriptors
