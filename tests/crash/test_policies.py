"""kill -9 while the policy of a group redelivers entries and buries them: none is lost, none early, none dead twice.

With ORDERBY and MAXINFLIGHT, also none before its turn, and never too many at a time.
"""

import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.oracle.wire import CLOSED, SILENT, Connection, Node, parse

ROUNDS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS") or 3)
ACK_WAIT = 150
LAST_SECONDS = 30 + 5 * ROUNDS
ADDED = 100
"""Entries of a round at most: a fast producer adds more than could die in order, three waits each, before the end."""
VALUES = 5
MAX_INFLIGHT = 4


class Work:
    """What the clients know of the entries, over all rounds: the IDs of those added, acknowledged and delivered."""

    def __init__(self) -> None:
        self.good: set[bytes] = set()
        self.poison: set[bytes] = set()
        self.acknowledged: set[bytes] = set()
        self.asked_at: dict[bytes, float] = {}
        self.early: list[tuple[bytes, float]] = []
        # By value: the good ones, in order. Then those that may be acknowledged, and entries delivered too early.
        self.of_value: dict[bytes, list[bytes]] = {}
        self.acknowledging: set[bytes] = set()
        self.before_their_turn: list[tuple[bytes, bytes]] = []
        self.lock = threading.Lock()

    def produce(self, connection: Connection) -> None:
        chance = random.Random(0)
        for _ in range(ADDED):
            poison = chance.random() < 0.2
            value = b"%d" % chance.randrange(VALUES)
            reply = connection.call("XADD", "jobs", "*", "poison" if poison else "good", "1", "value", value)
            if reply in (CLOSED, SILENT):
                return
            if reply.startswith(b"$"):
                id = parse(reply).text
                with self.lock:
                    (self.poison if poison else self.good).add(id)
                    if not poison:
                        self.of_value.setdefault(value, []).append(id)

    def consume(self, connection: Connection) -> None:
        while True:
            asked = time.time()
            reply = connection.call(
                "XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "BLOCK", "500", "STREAMS", "jobs", ">"
            )
            if reply in (CLOSED, SILENT):
                return
            entries = _entries(reply)
            now = time.time()
            with self.lock:
                for id, _, value in entries:
                    self.before_their_turn += [
                        (earlier, id)
                        for earlier in self.of_value.get(value, [])
                        if _key(earlier) < _key(id) and earlier not in self.acknowledging
                    ]
                    before = self.asked_at.get(id)
                    if before is not None and now - before < ACK_WAIT / 1000 - 0.002:
                        self.early.append((id, now - before))
                    self.asked_at[id] = asked
            done = [id for id, poison, _ in entries if not poison]
            if done:
                with self.lock:
                    self.acknowledging.update(done)
                reply = connection.call("XACK", "jobs", "g", *done)
                if reply in (CLOSED, SILENT):
                    return
                if reply == b":%d\r\n" % len(done):
                    with self.lock:
                        self.acknowledged.update(done)


def _entries(reply: bytes) -> list[tuple[bytes, bool, bytes]]:
    """The ID of each entry, whether it is one that is never acknowledged, and its last value."""
    node = parse(reply)
    found: list[Node] = [entry for stream in node.items for entry in stream.items[1].items]
    return [
        (entry.items[0].text, entry.items[1].items[0].text == b"poison", entry.items[1].items[-1].text)
        for entry in found
    ]


def _key(id: bytes) -> tuple[int, int]:
    milliseconds, _, number = id.partition(b"-")
    return int(milliseconds), int(number)


@pytest.mark.parametrize("ordered", [False, True])
def test_kills(ordered: bool, tmp_path: Path) -> None:
    process = Process(tmp_path, appendonly="yes", appendfsync="always", stream_extensions="yes", save="")
    work = Work()
    chance = random.Random(1)
    process.start()
    connection = process.connect()
    connection.call("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM")
    policy = ["XGROUP", "CFGSET", "jobs", "g", "ACKWAIT", str(ACK_WAIT), "MAXDELIVER", "3", "DEADLETTER", "dead"]
    if ordered:
        policy += ["ORDERBY", "value", "MAXINFLIGHT", str(MAX_INFLIGHT)]
    assert connection.call(*policy) == b"+OK\r\n"
    connection.close()
    for _ in range(ROUNDS):
        roles = [work.produce, work.consume, work.consume]
        connections = [process.connect() for _ in roles]
        threads = [
            threading.Thread(target=role, args=[connection])
            for role, connection in zip(roles, connections, strict=True)
        ]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.2, 0.8))
        process.kill()
        for thread, connection in zip(threads, connections, strict=True):
            thread.join()
            connection.close()
        process.start()
        if ordered:
            connection = process.connect()
            assert int(_facts(connection)[b"inflight"]) <= MAX_INFLIGHT
            connection.close()
    last = process.connect()
    consumer = threading.Thread(target=work.consume, args=[last])
    consumer.start()
    connection = process.connect()
    deadline = time.monotonic() + LAST_SECONDS
    while _pending_or_unread(connection) and time.monotonic() < deadline:
        time.sleep(0.05)
    dead = Counter(_dead_ids(connection))
    added = {entry.items[0].text for entry in parse(connection.call("XRANGE", "jobs", "-", "+")).items}
    assert not _pending_or_unread(connection)
    process.kill()
    consumer.join()
    last.close()
    connection.close()
    assert work.good | work.poison <= added  # what was answered is there
    assert set(dead.values()) <= {1}, "dead twice"
    assert work.poison <= dead.keys(), "neither dead nor pending"
    assert not work.acknowledged & dead.keys(), "acknowledged and dead"
    assert work.early == []
    if ordered:
        # A good entry dies if its consumer was killed, or slow, three times.
        assert [pair for pair in work.before_their_turn if pair[0] not in dead] == []
        assert len(work.of_value) == VALUES
    assert len(work.poison) > ROUNDS and len(work.acknowledged) > ROUNDS


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
        connection.call("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM")
        connection.call("XGROUP", "CFGSET", "jobs", "g", "ACKWAIT", "3000", "MAXDELIVER", "2", "DEADLETTER", "dead")
        for number in range(1, 5):
            connection.call("XADD", "jobs", f"{number}-1", "good", "1")
        read = ("XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "jobs", ">")
        assert len(_entries(connection.call(*read))) == 2
        assert connection.call("XNACK", "jobs", "g", "FATAL", "IDS", "1", "1-1") == b":1\r\n"
        connection.call("XCLAIM", "jobs", "g", "c", "0", "2-1", "IDLE", "1000", "RETRYCOUNT", "2")
        assert connection.call("WAIT", "1", "10000") == b":1\r\n"
        assert _dead_ids(other) == [b"1-1"]
        assert other.call("XGROUP", "CFGGET", "jobs", "g") == connection.call("XGROUP", "CFGGET", "jobs", "g")
        master.kill()
        time.sleep(2.2)
        assert _dead_ids(other) == [b"1-1"]  # a replica waits for its master
        assert other.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        while _dead_ids(other) != [b"1-1", b"2-1"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _dead_ids(other) == [b"1-1", b"2-1"]
        assert [id for id, *_ in _entries(other.call(*read))] == [b"3-1", b"4-1"]
    finally:
        connection.close()
        other.close()
        master.kill()
        replica.kill()


def test_a_promoted_replica_keeps_the_order(tmp_path: Path) -> None:
    for name in ("master", "replica"):
        (tmp_path / name).mkdir()
    master = Process(tmp_path / "master", stream_extensions="yes", save="", repl_diskless_sync_delay="0")
    master.start()
    replica = Process(
        tmp_path / "replica", stream_extensions="yes", save="", replicaof=f"127.0.0.1 {master.port}",
    )  # fmt: skip
    replica.start()
    connection, other = master.connect(), replica.connect()
    read = ("XREADGROUP", "GROUP", "g", "c", "COUNT", "5", "STREAMS", "jobs", ">")
    try:
        deadline = time.monotonic() + LAST_SECONDS
        while b"master_link_status:up" not in other.call("INFO", "replication") and time.monotonic() < deadline:
            time.sleep(0.02)
        connection.call("XGROUP", "CREATE", "jobs", "g", "0", "MKSTREAM")
        connection.call("XGROUP", "CFGSET", "jobs", "g", "ORDERBY", "value", "MAXINFLIGHT", "2")
        for number, value in enumerate("aabbca", 1):
            connection.call("XADD", "jobs", f"{number}-1", "good", "1", "value", value)
        assert [id for id, *_ in _entries(connection.call(*read))] == [b"1-1", b"3-1"]
        assert connection.call("XACK", "jobs", "g", "1-1") == b":1\r\n"
        assert connection.call("WAIT", "1", "10000") == b":1\r\n"
        assert [_facts(other)[name] for name in (b"inflight", b"parked")] == [b"1", b"1"]
        master.kill()
        assert other.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        assert [id for id, *_ in _entries(other.call(*read))] == [b"2-1"]
        assert _entries(other.call(*read)) == []
        other.call("XACK", "jobs", "g", "3-1")
        other.call("XGROUP", "CFGSET", "jobs", "g", "MAXINFLIGHT", "0")
        assert [id for id, *_ in _entries(other.call(*read))] == [b"4-1", b"5-1"]
        other.call("XACK", "jobs", "g", "2-1")
        assert [id for id, *_ in _entries(other.call(*read))] == [b"6-1"]
    finally:
        connection.close()
        other.close()
        master.kill()
        replica.kill()


def _pending_or_unread(connection: Connection) -> bool:
    facts = _facts(connection)
    return facts[b"pending"] != b"0" or facts[b"lag"] != b"0"


def _facts(connection: Connection) -> dict[bytes, bytes]:
    """What XINFO GROUPS says of the group."""
    [group] = parse(connection.call("XINFO", "GROUPS", "jobs")).items
    names = [item.text for item in group.items[::2]]
    return dict(zip(names, [item.text for item in group.items[1::2]], strict=True))


def _dead_ids(connection: Connection) -> list[bytes]:
    found = []
    for entry in parse(connection.call("XRANGE", "dead", "-", "+")).items:
        words = [word.text for word in entry.items[1].items]
        found.append(words[words.index(b"dead-id") + 1])
    return found
