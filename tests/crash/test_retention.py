"""kill -9 and promotion while streams obey limits and capture messages: nothing acknowledged is lost or comes back."""

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
MAX_LEN = 20


class Work:
    """What the clients know, over all rounds.

    `added` and `published` were answered, and so were the acknowledgements of `done`; `attempted` is what the broker
    was asked to acknowledge.
    """

    def __init__(self) -> None:
        self.added: set[bytes] = set()
        self.published: set[bytes] = set()
        self.attempted: set[bytes] = set()
        self.done: set[bytes] = set()
        self.numbers = 0

    def produce(self, connection: Connection) -> None:
        while True:
            self.numbers += 1
            number = b"%d" % self.numbers
            reply = connection.call("XADD", "jobs", "*", "number", number)
            if reply.startswith(b"$"):
                self.added.add(parse(reply).text)
            if connection.call("PUBLISH", "news.world", number) == b":1\r\n":
                self.published.add(number)
            if connection.call("XADD", "ring", "*", "number", number) in (CLOSED, SILENT):
                return

    def consume(self, connection: Connection) -> None:
        chance = random.Random(0)
        while True:
            reply = connection.call(
                "XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "BLOCK", "50", "STREAMS", "jobs", ">"
            )
            if reply in (CLOSED, SILENT):
                return
            read = [entry.items[0].text for stream in parse(reply).items for entry in stream.items[1].items]
            ids = [id for id in read if chance.random() < 0.7]
            if ids:
                chance.shuffle(ids)
                self.attempted.update(ids)
                if connection.call("XACK", "jobs", "g", *ids) == b":%d\r\n" % len(ids):
                    self.done.update(ids)


def ids_of(connection: Connection, key: str) -> set[bytes]:
    return {entry.items[0].text for entry in parse(connection.call("XRANGE", key, "-", "+")).items}


def messages(connection: Connection, key: str) -> list[bytes]:
    """The last value of each entry, in order."""
    return [entry.items[1].items[-1].text for entry in parse(connection.call("XRANGE", key, "-", "+")).items]


def configure(connection: Connection) -> None:
    for line in (
        "XGROUP CREATE jobs g 0 MKSTREAM",
        "XCFGSET jobs RETAIN WORKQUEUE",
        "XCFGSET news CHANNELS 1 news.*",
        f"XCFGSET ring MAXLEN {MAX_LEN}",
    ):
        assert connection.call(*line.split()) == b"+OK\r\n"


def test_kills(tmp_path: Path) -> None:
    process = Process(tmp_path, appendonly="yes", appendfsync="always", stream_extensions="yes", save="")
    work = Work()
    chance = random.Random(1)
    process.start()
    connection = process.connect()
    configure(connection)
    connection.close()
    for _ in range(ROUNDS):
        roles = [work.produce, work.consume]
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
        connection = process.connect()
        ring = messages(connection, "ring")
        connection.close()
        assert len(ring) <= MAX_LEN
    connection = process.connect()
    left = ids_of(connection, "jobs")
    news = Counter(messages(connection, "news"))
    pending = int(parse(connection.call("XPENDING", "jobs", "g")).items[0].text)
    groups = parse(connection.call("XINFO", "GROUPS", "jobs")).items[0]
    unread = int(groups.items[[item.text for item in groups.items].index(b"lag") + 1].text)
    connection.close()
    process.kill()
    assert not left & work.done, "acknowledged, and there again"
    assert work.added - work.attempted <= left, "lost"
    assert len(left) == pending + unread, "needed by no group, and still there"
    assert work.published <= news.keys(), "a message was lost"
    assert set(news.values()) == {1}, "captured twice"
    assert len(work.done) > ROUNDS and len(work.published) > ROUNDS and len(left) > 0


def test_a_promoted_replica_goes_on(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    (tmp_path / "replica").mkdir()
    master = Process(tmp_path / "master", stream_extensions="yes", save="", repl_diskless_sync_delay="0")
    master.start()
    replica = Process(
        tmp_path / "replica", stream_extensions="yes", save="", replicaof=f"127.0.0.1 {master.port}",
    )  # fmt: skip
    replica.start()
    connection, other, subscriber = master.connect(), replica.connect(), replica.connect()
    try:
        deadline = time.monotonic() + LAST_SECONDS
        while b"master_link_status:up" not in other.call("INFO", "replication") and time.monotonic() < deadline:
            time.sleep(0.02)
        configure(connection)
        assert connection.call("XCFGSET", "short", "MAXAGE", "2500").startswith(b"+")
        subscriber.call("SUBSCRIBE", "news.world")
        for number in range(MAX_LEN + 5):
            connection.call("XADD", "ring", "*", "number", str(number))
        connection.call("XADD", "short", "*", "number", "1")
        assert connection.call("PUBLISH", "news.world", "hello") == b":1\r\n"
        assert connection.call("WAIT", "1", "10000") == b":1\r\n"
        assert b"hello" in subscriber.receive()
        assert messages(other, "news") == [b"hello"]
        assert messages(other, "ring") == messages(connection, "ring")
        assert len(messages(other, "ring")) == MAX_LEN
        master.kill()
        time.sleep(2.7)
        assert messages(other, "short") == [b"1"]  # a replica waits for its master
        assert other.call("PUBLISH", "news.world", "nobody keeps this") == b":1\r\n"  # the subscriber
        assert other.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        while messages(other, "short") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert messages(other, "short") == []
        assert other.call("PUBLISH", "news.world", "again") == b":2\r\n"
        assert messages(other, "news") == [b"hello", b"again"]
        other.call("XADD", "ring", "*", "number", "last")
        assert len(messages(other, "ring")) == MAX_LEN
    finally:
        for each in (connection, other, subscriber):
            each.close()
        master.kill()
        replica.kill()
