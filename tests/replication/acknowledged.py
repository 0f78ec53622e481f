"""Clients of a set under Sentinel, which remember what was confirmed: written, and acknowledged by a replica (WAIT 1).

Writers use redis-py's Sentinel client; a consumer of `consumers.streams` with coredis's reads what they add to a
stream.
"""

import contextlib
import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import coredis
import redis
import redis.sentinel
import trio
from coredis.connection import TCPLocation
from redis.backoff import NoBackoff
from redis.retry import Retry

from consumers.retry import Backoff
from consumers.streams import Consumer, Message
from tests.oracle.wire import parse
from tests.replication.nodes import Node, until
from tests.replication.sentinels import NAME

__all__ = ["Confirmed", "Load", "Writer", "direct_clients"]

STREAM = "jobs"
GROUP = "workers"
WRITERS = 3
REPLICAS = 1
WAIT_MILLISECONDS = 300
ANSWER_SECONDS = 2.0
BREATH = 0.005
"""Seconds between two writes, so that a long test doesn't fill the servers."""

PAUSE = 0.02
"""Seconds between two attempts while there is no master."""


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """A write that a replica has acknowledged."""

    key: str
    number: int
    moment: float
    """When, in seconds since 1970, as the servers' logs have it."""
    server: int
    """The port of the master that was written to."""


class Writer:
    """Sets a key of its own and adds an entry to the stream, again and again, through one of several clients.

    After a failure the next client is tried.
    """

    def __init__(self, name: str, clients: Sequence["redis.Redis[bytes]"]) -> None:
        self.name = name
        self.sent = 0
        self.confirmed: list[Confirmed] = []
        self.failures: dict[str, int] = {}
        """Attempts that failed, by the kind of error."""
        self._clients = [*clients]

    def work(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self._write()
            except (redis.RedisError, OSError) as error:
                kind = type(error).__name__
                self.failures[kind] = self.failures.get(kind, 0) + 1
                self._clients.append(self._clients.pop(0))
                time.sleep(PAUSE)
        for client in self._clients:
            client.close()

    def _write(self) -> None:
        self.sent += 1
        key = f"{self.name}:{self.sent}"
        with self._clients[0].pipeline(transaction=False) as pipeline:
            pipeline.set(key, self.sent)
            pipeline.xadd(STREAM, {"key": key})
            pipeline.wait(REPLICAS, WAIT_MILLISECONDS)
            *_, replicas = pipeline.execute()
        if replicas >= REPLICAS:
            self.confirmed.append(Confirmed(key, self.sent, time.time(), self._port()))
        time.sleep(BREATH)

    def _port(self) -> int:
        """Where the current client is connected to; it has one connection."""
        pool = self._clients[0].connection_pool
        if isinstance(pool, redis.sentinel.SentinelConnectionPool):
            address = pool.master_address
            assert address is not None
            return int(address[1])
        return int(pool.connection_kwargs["port"])


def direct_clients(*ports: int) -> "list[redis.Redis[bytes]]":
    """A client for each of several servers."""
    retry = Retry(NoBackoff(), 0)
    return [redis.Redis("127.0.0.1", port, socket_timeout=ANSWER_SECONDS, retry=retry) for port in ports]


class Load:
    """Writers and one consumer, which work within the block. With Sentinels, they ask these for the master."""

    def __init__(self, ports: Sequence[int], logs: Callable[[], str]) -> None:
        """ports: of the Sentinels."""
        self._ports = ports
        self._logs = logs
        self._sentinel = redis.sentinel.Sentinel([("127.0.0.1", port) for port in ports], socket_timeout=0.5)
        self.writers = [Writer(f"writer{number}", [self._sentinel_client()]) for number in range(WRITERS)]
        self.handled: set[str] = set()
        self._forgotten: set[str] = set()
        self._stopping = threading.Event()

    def _sentinel_client(self) -> "redis.Redis[bytes]":
        return self._sentinel.master_for(NAME, socket_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0))

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        logging.getLogger("consumers").setLevel(logging.CRITICAL)  # it reports each lost connection
        threads = [threading.Thread(target=one.work, args=(self._stopping,), daemon=True) for one in self.writers]
        if self._ports:
            threads.append(threading.Thread(target=trio.run, args=(self._consume,), daemon=True))
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(60)
            for client in self._sentinel.sentinels:
                client.close()
            logging.getLogger("consumers").setLevel(logging.NOTSET)
        assert not any(thread.is_alive() for thread in threads)

    async def _consume(self) -> None:
        places = [TCPLocation("127.0.0.1", port) for port in self._ports]
        async with (
            coredis.Sentinel(places, stream_timeout=1) as sentinel,
            sentinel.primary_for(NAME, stream_timeout=ANSWER_SECONDS) as client,
            trio.open_nursery() as nursery,
        ):
            consumer = Consumer(client, stream=STREAM, group=GROUP, block=0.5, ack_wait=3, retry=Backoff(0.1, 2, 1))
            nursery.start_soon(consumer.run, self._handle)
            while not self._stopping.is_set():
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()

    async def _handle(self, message: Message) -> None:
        self.handled.add(message.data["key"])

    # What must have come of it

    def confirmed(self) -> int:
        """How many writes were confirmed."""
        return sum(len(writer.confirmed) for writer in self.writers)

    def until_writing(self, count: int = 20) -> None:
        """Wait until so many more writes were confirmed."""
        before = self.confirmed()
        until(lambda: self.confirmed() >= before + count, self._describe)

    def _describe(self) -> str:
        return f"writes are confirmed: {[writer.failures for writer in self.writers]}\n{self._logs()}"

    def longest_gap(self, begin: float) -> float:
        """The longest time since `begin`, as time.time() counts, in which no write was confirmed."""
        moments = sorted(write.moment for write in self._all_confirmed() if write.moment >= begin)
        return max(after - before for before, after in itertools.pairwise([begin, *moments]))

    def lost(self, master: Node, since: float = 0.0) -> list[Confirmed]:
        """What was confirmed, since then, and is not on this server: keys, or entries of the stream."""
        expected = [write for write in self._expected() if write.moment >= since]  # before anything is read
        first = max(0, int((since - ANSWER_SECONDS) * 1000))
        with contextlib.closing(master.connect()) as connection:
            entries = parse(connection.call("XRANGE", STREAM, first, "+")).items
            added = {entry.items[1].items[1].text.decode() for entry in entries}
            values: list[bytes] = []
            for at in range(0, len(expected), 1000):
                keys = [write.key for write in expected[at : at + 1000]]
                values += [value.text for value in parse(connection.call("MGET", *keys)).items]
        return [
            write
            for write, value in zip(expected, values, strict=True)
            if value != b"%d" % write.number or write.key not in added
        ]

    def forget(self, writes: Iterable[Confirmed]) -> None:
        """Don't expect these any longer."""
        self._forgotten |= {write.key for write in writes}

    def _all_confirmed(self) -> list[Confirmed]:
        return [write for writer in self.writers for write in writer.confirmed.copy()]

    def _expected(self) -> list[Confirmed]:
        return [write for write in self._all_confirmed() if write.key not in self._forgotten]

    def until_handled(self) -> None:
        """Wait until the consumer has handled every confirmed entry."""
        keys = {write.key for write in self._expected()}
        until(
            lambda: keys <= self.handled,
            lambda: f"{len(keys - self.handled)} of {len(keys)} confirmed entries are handled",
        )
