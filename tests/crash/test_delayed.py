"""kill -9 while entries are delayed: what was answered is added once, not before it is due, and not if cancelled."""

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

from tests.crash.process import Process
from tests.oracle.wire import CLOSED, SILENT, Connection, parse

ROUNDS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS") or 3)
LAST_SECONDS = 30


class Work:
    """What clients know of the entries, over all rounds: when those are due that were answered, and the cancelled."""

    def __init__(self) -> None:
        self.due: dict[bytes, int] = {}
        self.cancelled: set[bytes] = set()
        self.maybe_cancelled: set[bytes] = set()
        self.lock = threading.Lock()

    def produce(self, connection: Connection, name: str) -> None:
        chance = random.Random(name)
        number = 0
        while True:
            number += 1
            value = f"{name}-{number}"
            delay = chance.choice([1, 20, 200, 700])
            reply = connection.call("XADD", "jobs", "DELAY", str(delay), "MAXLEN", "~", "1000000", "*", "n", value)
            if reply in (CLOSED, SILENT):
                return
            handle = parse(reply).text
            assert handle.startswith(b"@"), reply
            with self.lock:
                self.due[value.encode()] = int(handle[1:].partition(b"-")[0])
            if chance.random() < 0.1:
                self.cancel(connection, value.encode(), handle)

    def cancel(self, connection: Connection, value: bytes, handle: bytes) -> None:
        reply = connection.call("XDEL", "jobs", handle)
        with self.lock:
            if reply == b":1\r\n":
                self.cancelled.add(value)
            elif reply in (CLOSED, SILENT):
                self.maybe_cancelled.add(value)


def _added(connection: Connection) -> list[tuple[bytes, int]]:
    """The value of each entry of the stream, and the time in its ID."""
    entries = parse(connection.call("XRANGE", "jobs", "-", "+")).items
    return [(entry.items[1].items[1].text, int(entry.items[0].text.partition(b"-")[0])) for entry in entries]


def _delayed(connection: Connection) -> int:
    return int(connection.call("ZCARD", "~delayed:{jobs}:jobs")[1:])


def test_kills(tmp_path: Path) -> None:
    process = Process(tmp_path, appendonly="yes", appendfsync="always", stream_extensions="yes", save="")
    work = Work()
    chance = random.Random(1)
    process.start()
    for number in range(ROUNDS):
        connections = [process.connect() for _ in range(3)]
        threads = [
            threading.Thread(target=work.produce, args=[connection, f"{number}.{at}"])
            for at, connection in enumerate(connections)
        ]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.2, 0.8))
        process.kill()
        for thread, connection in zip(threads, connections, strict=True):
            thread.join()
            connection.close()
        process.start()
    connection = process.connect()
    deadline = time.monotonic() + LAST_SECONDS
    while _delayed(connection) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _delayed(connection)
    added = _added(connection)
    connection.close()
    process.kill()
    counts = Counter(value for value, _ in added)
    assert set(counts.values()) == {1}, "added twice"
    assert not work.cancelled & counts.keys(), "added although cancelled"
    lost = work.due.keys() - counts.keys() - work.cancelled - work.maybe_cancelled
    assert not lost, "neither added nor delayed"
    assert [value for value, time_added in added if time_added < work.due.get(value, 0)] == [], "added too early"
    assert len(added) > 10 * ROUNDS and len(work.cancelled) > ROUNDS


def test_a_promoted_replica_goes_on(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    (tmp_path / "replica").mkdir()
    master = Process(tmp_path / "master", stream_extensions="yes", save="", repl_diskless_sync_delay="0")
    master.start()
    replica = Process(
        tmp_path / "replica", stream_extensions="yes", save="", replicaof=f"127.0.0.1 {master.port}",
    )  # fmt: skip
    replica.start()
    connection, other = master.connect(), replica.connect()
    try:
        deadline = time.monotonic() + LAST_SECONDS
        while b"master_link_status:up" not in other.call("INFO", "replication") and time.monotonic() < deadline:
            time.sleep(0.02)
        connection.call("XADD", "jobs", "DELAY", "1", "*", "n", "0")
        while not _added(connection) and time.monotonic() < deadline:
            time.sleep(0.01)
        now = int(time.time() * 1000)
        for number in range(1, 6):
            handle = parse(connection.call("XADD", "jobs", "AT", str(now + 2500 - number), "*", "n", str(number))).text
        assert connection.call("XDEL", "jobs", handle) == b":1\r\n"
        connection.call("XADD", "jobs", "DELAY", "600000", "*", "n", "late")
        assert connection.call("WAIT", "1", "10000") == b":1\r\n"
        master.kill()
        while time.time() * 1000 < now + 2700:
            time.sleep(0.05)
        assert [value for value, _ in _added(other)] == [b"0"]  # a replica waits for its master
        assert _delayed(other) == 5
        assert other.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        while len(_added(other)) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [value for value, _ in _added(other)] == [b"0", b"4", b"3", b"2", b"1"]
        assert _delayed(other) == 1
    finally:
        connection.close()
        other.close()
        master.kill()
        replica.kill()
