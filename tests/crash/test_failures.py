"""Real processes on a disk that takes no more, or that another process uses."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle.wire import Connection

LIMIT = 200_000
VALUE = "x" * 1000
FULL = b"-MISCONF Errors writing to the AOF file: File too large\r\n"
PATIENCE = 60.0


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Those that a test makes; they are ended with it."""
    made: list[Process] = []
    yield made
    for process in made:
        process.kill()


def heal(process: Process) -> None:
    """There is room again."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def until(connection: Connection, line: bytes) -> None:
    deadline = time.monotonic() + PATIENCE
    while line not in connection.call("INFO", "persistence"):
        assert time.monotonic() < deadline, line
        time.sleep(0.02)


@pytest.mark.parametrize("policy", ["always", "everysec"])
def test_a_full_disk_refuses_writes_and_nothing_that_was_answered_is_lost(
    policy: str, tmp_path: Path, processes: list[Process]
) -> None:
    process = Process(tmp_path, appendonly="yes", save="", appendfsync=policy)
    processes.append(process)
    process.start(longest_file=LIMIT)
    writer, other = process.connect(), process.connect()
    answered = 0
    while other.call("PING") == b"+PONG\r\n":
        writer.send(f"*3\r\n$3\r\nSET\r\n$6\r\nk{answered:05}\r\n$1000\r\n{VALUE}\r\n".encode())
        if policy == "always":
            # The client whose write found the disk full waits; who comes later is told.
            deadline = time.monotonic() + PATIENCE
            while not writer.waiting() and other.call("PING") == b"+PONG\r\n":
                assert time.monotonic() < deadline
            if not writer.waiting():
                break
        assert writer.receive() == b"+OK\r\n"
        answered += 1
    assert 100 < answered < LIMIT // 1000
    assert other.call("SET", "refused", "1") == other.call("PING") == FULL
    assert other.call("GET", "k00000").endswith(b"x\r\n")
    heal(process)
    until(other, b"aof_last_write_status:ok")
    if policy == "always":
        assert writer.receive() == b"+OK\r\n"
        answered += 1
    assert other.call("SET", "after", "1") == b"+OK\r\n"
    for connection in (writer, other):
        connection.close()
    process.kill()
    process.start()
    connection = process.connect()
    assert connection.call("DBSIZE") == b":%d\r\n" % (answered + 1)
    assert connection.call("EXISTS", "refused") == b":0\r\n"
    connection.close()


def test_a_rewrite_and_a_save_without_room_fail_and_leave_nothing(tmp_path: Path, processes: list[Process]) -> None:
    process = Process(tmp_path, appendonly="yes", save="3600 1", rdbcompression="no", auto_aof_rewrite_percentage="0")
    processes.append(process)
    process.start()
    connection = process.connect()
    for number in range(400):
        connection.call("SET", f"k{number}", VALUE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert connection.call("BGREWRITEAOF").startswith(b"+")
    until(connection, b"aof_last_bgrewrite_status:err")
    until(connection, b"aof_rewrite_in_progress:0")
    assert connection.call("BGSAVE").startswith(b"+")
    until(connection, b"rdb_last_bgsave_status:err")
    assert connection.call("SET", "k", "v").startswith(b"-MISCONF Redis is configured to save RDB snapshots")
    assert connection.call("GET", "k1").startswith(b"$1000")
    # The new increment of the rewrite that failed is there, and in the manifest.
    left = sorted(path.name for path in tmp_path.rglob("*") if not path.name.endswith(".incr.aof"))
    assert left == [name for name in names if not name.endswith(".incr.aof")]
    heal(process)
    assert connection.call("BGSAVE").startswith(b"+")
    until(connection, b"rdb_last_bgsave_status:ok")
    assert connection.call("SET", "k", "v") == b"+OK\r\n"
    assert connection.call("BGREWRITEAOF").startswith(b"+")
    until(connection, b"aof_last_bgrewrite_status:ok")
    connection.close()
    process.kill()
    process.start()
    connection = process.connect()
    assert connection.call("DBSIZE") == b":401\r\n"
    connection.close()


def test_sigterm_without_room_for_the_last_save_is_refused(tmp_path: Path, processes: list[Process]) -> None:
    process = Process(tmp_path, save="3600 1", rdbcompression="no")
    processes.append(process)
    process.start(longest_file=10_000)
    connection = process.connect()
    connection.call("SET", "k", "x" * 50_000)
    process.signal_end()
    deadline = time.monotonic() + PATIENCE
    while "not shutting down" not in process.log():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert connection.call("STRLEN", "k") == b":50000\r\n"
    heal(process)
    connection.close()
    assert process.terminate() == 0
    process.start()
    connection = process.connect()
    assert connection.call("STRLEN", "k") == b":50000\r\n"
    connection.close()


def test_a_second_process_on_the_same_files_does_not_start(tmp_path: Path, processes: list[Process]) -> None:
    first, second = (Process(tmp_path, appendonly="yes", save="") for _ in range(2))
    processes += [first, second]
    first.start()
    with pytest.raises(
        AssertionError, match=rf"another broker \(pid [0-9]+\) keeps its append-only file in {tmp_path}/appendonlydir"
    ):
        second.start()
    first.kill()
    second.start()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the child is found by /proc")
def test_a_child_that_outlives_its_broker_replaces_nothing(tmp_path: Path, processes: list[Process]) -> None:
    process = Process(tmp_path, save="")
    processes.append(process)
    process.start()
    connection = process.connect()
    connection.call("DEBUG", "POPULATE", 400_000)
    connection.call("SET", "k", "old")
    assert connection.call("BGSAVE") == b"+Background saving started\r\n"
    (child,) = (int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    while not list(tmp_path.glob("temp-*")):
        time.sleep(0.001)
    os.kill(child, signal.SIGSTOP)
    connection.close()
    process.kill()
    process.start()
    try:
        connection = process.connect()
        assert connection.call("EXISTS", "k") == b":0\r\n", "the child was done before it could be stopped"
        connection.call("SET", "k", "new")
        assert connection.call("SAVE") == b"+OK\r\n"
    finally:
        os.kill(child, signal.SIGCONT)
    while runs(child):
        time.sleep(0.02)
    assert connection.call("DEBUG", "RELOAD", "NOSAVE") == b"+OK\r\n"
    assert connection.call("GET", "k") == b"$3\r\nnew\r\n"
    connection.close()
    assert not list(tmp_path.glob("temp-*"))


def runs(pid: int) -> bool:
    """Whether the process is there, and more than a zombie that nobody asks about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
