"""Producers and workers on one stream with a consumer group, and what must hold for it whenever the broker dies."""

import random
import threading
from dataclasses import dataclass, field

from tests.oracle.wire import CLOSED, SILENT, Connection, Node, encode, parse

STREAM = "jobs"
GROUP = "workers"

Id = tuple[int, int]


@dataclass
class Group:
    """The actual state: the entries, the pending ones with their consumer, and the group's counters."""

    entries: dict[Id, bytes] = field(default_factory=dict)
    pending: dict[Id, bytes] = field(default_factory=dict)
    last_delivered: Id = (0, 0)
    entries_read: int = 0
    lag: int = 0
    added: int = 0
    by_consumer: int = 0


class WorkQueue:
    """What the clients of one stream know about it: what the broker has confirmed, and what they have requested."""

    def __init__(self) -> None:
        self.before = Group()
        self._lock = threading.Lock()
        self._jobs = 0
        self.acknowledgements: set[Id] = set()
        """All entries for which XACK was ever sent."""
        self._begin()

    def _begin(self) -> None:
        self.offered: set[bytes] = set()
        self.added: dict[Id, bytes] = {}
        self.taken: dict[Id, bytes] = {}
        self.acknowledged: set[Id] = set()

    def create(self, connection: Connection) -> None:
        connection.call("XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM")

    def produce(self, connection: Connection, chance: random.Random) -> None:
        """Add jobs until the connection ends."""
        while True:
            with self._lock:
                self._jobs += 1
                job = b"%d" % self._jobs
            self.offered.add(job)
            reply = _call(connection, "XADD", STREAM, "*", "job", job)
            if not reply.startswith(b"$"):
                return
            self.added[_id(parse(reply).text)] = job

    def consume(self, connection: Connection, chance: random.Random) -> None:
        """Take jobs and acknowledge most of them, until the connection ends."""
        name = b"w%d" % chance.randrange(3)
        while True:
            count = chance.randrange(1, 5)
            reply = _call(
                connection, "XREADGROUP", "GROUP", GROUP, name, "COUNT", count, "BLOCK", 20, "STREAMS", STREAM, ">"
            )
            if reply in (CLOSED, SILENT):
                return
            entries = [_id(item.items[0].text) for one in parse(reply).items for item in one.items[1].items]
            self.taken |= dict.fromkeys(entries, name)
            done = [entry for entry in entries if chance.random() < 0.8]
            if done:
                self.acknowledgements |= set(done)
                words = [b"%d-%d" % entry for entry in done]
                if not _call(connection, "XACK", STREAM, GROUP, *words).startswith(b":"):
                    return
                self.acknowledged |= set(done)

    # The expected outcome

    def verify(self, connection: Connection, *, nothing_lost: bool) -> None:
        """Compare the actual state with what is known, and adopt it as known."""
        now = read(connection)
        delivered = {entry for entry in now.entries if entry <= now.last_delivered}
        assert now.added == len(now.entries)
        counted = (now.entries_read, now.lag, now.last_delivered)
        assert counted[:2] == (len(delivered), len(now.entries) - len(delivered)), (counted, len(now.entries))
        assert now.pending.keys() <= delivered and now.by_consumer == len(now.pending)
        assert delivered - now.pending.keys() <= self.acknowledgements, "delivered, not pending, and never acknowledged"
        known = {**self.before.entries, **self.added}
        for entry in now.entries.keys() - known.keys():
            assert now.entries[entry] in self.offered
        if nothing_lost:
            self._verify_facts(now, known)
        self.before = now
        self._begin()

    def _verify_facts(self, now: Group, known: dict[Id, bytes]) -> None:
        assert now.entries.items() >= known.items(), "an entry is lost"
        assert now.last_delivered >= max([self.before.last_delivered, *self.taken])
        for entry, consumer in {**self.before.pending, **self.taken}.items():
            if entry in self.acknowledged:
                assert entry not in now.pending, "an acknowledgement is lost"
            elif entry not in self.acknowledgements:
                assert now.pending.get(entry) == consumer, "a delivery is lost"


def read(connection: Connection) -> Group:
    """The stream and its group."""
    entries = parse(connection.call("XRANGE", STREAM, "-", "+")).items
    pending = parse(connection.call("XPENDING", STREAM, GROUP, "-", "+", "1000000")).items
    group = _fields(parse(connection.call("XINFO", "GROUPS", STREAM)).items[0])
    consumers = [_fields(one) for one in parse(connection.call("XINFO", "CONSUMERS", STREAM, GROUP)).items]
    return Group(
        {_id(entry.items[0].text): entry.items[1].items[1].text for entry in entries},
        {_id(entry.items[0].text): entry.items[1].text for entry in pending},
        _id(group[b"last-delivered-id"]),
        max(0, int(group[b"entries-read"])),  # a null's text is -1: nothing has been delivered yet
        int(group[b"lag"]),
        int(_fields(parse(connection.call("XINFO", "STREAM", STREAM)))[b"entries-added"]),
        sum(int(consumer[b"pending"]) for consumer in consumers),
    )


def _call(connection: Connection, *words: str | bytes | int) -> bytes:
    try:
        connection.send(encode(words))
    except OSError:
        return CLOSED
    return connection.receive()


def _fields(node: Node) -> dict[bytes, bytes]:
    return {name.text: value.text for name, value in zip(node.items[::2], node.items[1::2], strict=True)}


def _id(text: bytes) -> Id:
    milliseconds, _, sequence = text.partition(b"-")
    return int(milliseconds), int(sequence)
