"""Real processes that are asked to end at awkward moments: what was answered is there afterwards."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle.wire import Connection

PATIENCE = 60.0
WRITERS = 8
KEYS = 200_000
ROUNDS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS") or 2)

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found by /proc")


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Those that a test makes; they are ended with it."""
    made: list[Process] = []
    yield made
    for process in made:
        process.kill()


def broker(processes: list[Process], folder: Path, **directives: str) -> Process:
    processes.append(Process(folder, **{"save": "", **directives}))
    return processes[-1]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def children(process: Process) -> list[int]:
    words = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(word) for word in words]


def stopped_child(process: Process) -> int:
    """The child, held where it is so that its work does not end."""
    until(lambda: bool(children(process)))
    (child,) = children(process)
    os.kill(child, signal.SIGSTOP)
    return child


def filled(process: Process) -> Connection:
    process.start()
    connection = process.connect()
    assert connection.call("DEBUG", "POPULATE", KEYS) == b"+OK\r\n"
    return connection


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("temp-*")]


def write_until_closed(connection: Connection, number: int, written: list[int]) -> None:
    while connection.call("SET", f"{number}:{written[number]}", "v") == b"+OK\r\n":
        written[number] += 1


@pytest.mark.parametrize("asked", ["signal", "command"])
def test_what_was_answered_before_the_end_is_there(asked: str, tmp_path: Path, processes: list[Process]) -> None:
    process = broker(processes, tmp_path, appendonly="yes", appendfsync="always")
    process.start()
    for _ in range(ROUNDS):
        connections = [process.connect() for _ in range(WRITERS)]
        assert connections[0].call("FLUSHALL") == b"+OK\r\n"
        written = [0] * WRITERS
        threads = [
            threading.Thread(target=write_until_closed, args=(connection, number, written))
            for number, connection in enumerate(connections)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        if asked == "command":
            connection = process.connect()
            connection.call("SHUTDOWN", "NOSAVE")
            connection.close()
            assert process.ended() == 0
        else:
            assert process.terminate() == 0
        for thread in threads:
            thread.join(PATIENCE)
        process.start()
        connection = process.connect()
        for number, count in enumerate(written):
            keys = [f"{number}:{n}" for n in range(count)]
            assert not keys or connection.call("EXISTS", *keys) == b":%d\r\n" % count, number
        for each in (connection, *connections):
            each.close()


@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_asked_to_end_while_it_loads_it_ends_and_changes_no_file(
    appendonly: str, tmp_path: Path, processes: list[Process]
) -> None:
    process = broker(processes, tmp_path, appendonly=appendonly, aof_use_rdb_preamble="no")
    connection = filled(process)
    connection.call("BGREWRITEAOF" if appendonly == "yes" else "SAVE")
    until(lambda: b"aof_rewrite_in_progress:0" in connection.call("INFO", "persistence"))
    connection.close()
    assert process.terminate() == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.suffix != ".lock"}
    ended = threading.Event()

    def end() -> None:
        # The broker answers while it loads: from then on it knows what to do with a signal.
        while not ended.is_set():
            try:
                early = process.connect()
            except OSError:
                time.sleep(0.001)
                continue
            if early.call("PING").startswith(b"-LOADING"):
                process.signal_end()
                ended.set()
            early.close()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(AssertionError, match="did not start"):
        process.start()
    ended.set()
    thread.join(PATIENCE)
    assert process.ended() == 0
    assert {path: path.read_bytes() for path in before} == before
    process.start()
    connection = process.connect()
    assert connection.call("DBSIZE") == b":%d\r\n" % KEYS
    connection.close()


@pytest.mark.parametrize("work", ["BGREWRITEAOF", "BGSAVE"])
def test_a_child_at_work_does_not_hold_up_the_end(work: str, tmp_path: Path, processes: list[Process]) -> None:
    process = broker(processes, tmp_path, appendonly="yes")
    connection = filled(process)
    for number in range(100):
        connection.call("RPUSH", "list", number)
    assert connection.call(work).startswith(b"+")
    until(lambda: bool(names(tmp_path)))
    child = stopped_child(process)
    connection.call("RPUSH", "list", "after the fork")
    # A broker that waited for its child, which has been stopped, would never end.
    assert process.terminate() == 0
    assert not Path(f"/proc/{child}").exists()
    assert names(tmp_path) == []
    connection.close()
    process.start()
    connection = process.connect()
    assert connection.call("LLEN", "list") == b":101\r\n"
    connection.close()
    assert names(tmp_path) == []


def test_the_first_append_only_file_must_be_there_before_the_end(tmp_path: Path, processes: list[Process]) -> None:
    process = broker(processes, tmp_path)
    connection = filled(process)
    assert connection.call("CONFIG", "SET", "appendonly", "yes") == b"+OK\r\n"
    child = stopped_child(process)
    process.signal_end()
    until(lambda: "not shutting down" in process.log())
    for words in (["SHUTDOWN"], ["SHUTDOWN", "NOSAVE"]):
        assert connection.call(*words) == b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n"
    assert connection.call("SET", "k", "v") == b"+OK\r\n"
    os.kill(child, signal.SIGCONT)
    until(lambda: b"aof_rewrite_in_progress:0" in connection.call("INFO", "persistence"))
    connection.close()
    assert process.terminate() == 0
    again = broker(processes, tmp_path, appendonly="yes")
    again.start()
    connection = again.connect()
    assert connection.call("DBSIZE") == b":%d\r\n" % (KEYS + 1)
    connection.close()


def test_switched_to_and_fro_and_rewritten_often_no_descriptor_is_left_open(
    tmp_path: Path, processes: list[Process]
) -> None:
    process = broker(processes, tmp_path)
    process.start()
    connection = process.connect()

    def idle() -> bool:
        info = connection.call("INFO", "persistence")
        return b"aof_rewrite_in_progress:0" in info and b"rdb_bgsave_in_progress:0" in info

    def open_files() -> int:
        return len(os.listdir(f"/proc/{process.pid}/fd"))

    before = open_files()
    for _ in range(6):
        for words in (
            ["CONFIG", "SET", "appendonly", "yes"], ["SET", "k", "v"], ["BGREWRITEAOF"], ["BGSAVE"], ["SAVE"],
            ["CONFIG", "SET", "appendonly", "no"], ["CONFIG", "SET", "appendonly", "yes"],
            ["CONFIG", "SET", "appendonly", "no"],
        ):  # fmt: skip
            assert connection.call(*words).startswith(b"+"), words
            until(idle)
    # The locks of both kinds of files are new, and are kept.
    until(lambda: open_files() <= before + 2)
    # The threads of Trio's pool come and go.
    assert len(os.listdir(f"/proc/{process.pid}/task")) < 8
    connection.close()
