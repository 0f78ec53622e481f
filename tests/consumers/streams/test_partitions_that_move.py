"""Slots that move key by key to other nodes of a cluster while members of a group share the partitions there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import coredis
import pytest
from coredis.typing import Key

from consumers.partitions import members_key
from consumers.streams import (
    Consumer,
    Message,
    Producer,
    Reject,
    dead_letters,
    partition_depths,
    partition_of,
    partition_streams,
)
from tests.consumers.clusters import Migration, several_nodes, started_cluster
from tests.consumers.servers import RedisServer
from tests.consumers.streams.running import SOON, until

PARTITIONS = 6
CUSTOMERS = 24

Nodes = tuple[RedisServer, ...]
Cluster = coredis.RedisCluster[Any]


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[Nodes, Cluster]]:
    with several_nodes(3) as nodes:
        async with started_cluster(nodes) as client:
            yield nodes, client


class Books:
    """What was published, and what handlers were given of it, by customer."""

    def __init__(self, client: Cluster) -> None:
        self.seen: dict[str, list[int]] = {f"c{n}": [] for n in range(CUSTOMERS)}
        self.published = 0
        self._busy: set[str] = set()
        self._publishing = anyio.Lock()
        self._producer = Producer(client, "orders", partitions=PARTITIONS, key="customer")

    async def publish(self) -> None:
        """One more entry of each customer."""
        async with self._publishing:
            n = self.published
            await self._producer.publish_many({"customer": customer, "n": n} for customer in self.seen)
            self.published += 1

    async def publish_until(self, stop: anyio.Event) -> None:
        while not stop.is_set():
            await self.publish()
            await anyio.sleep(0.01)

    async def handle(self, message: Message[dict[str, str]]) -> None:
        customer, n = message.data["customer"], int(message.data["n"])
        assert customer not in self._busy
        self._busy.add(customer)
        try:
            await anyio.sleep(0.001)
            if customer == "c3" and n % 5 == 2 and message.delivery_count == 1:
                raise ValueError("once")
            if customer == "c5" and n % 7 == 3:
                raise Reject("never")
            self.seen[customer].append(n)
        finally:
            self._busy.discard(customer)

    def progress(self) -> Callable[[], bool]:
        """Return a condition: something has been handled since."""
        before = sum(map(len, self.seen.values()))
        return lambda: sum(map(len, self.seen.values())) > before

    def rejected(self) -> list[int]:
        return [n for n in range(self.published) if n % 7 == 3]

    def expected(self, customer: str) -> list[int]:
        gone = self.rejected() if customer == "c5" else []
        return [n for n in range(self.published) if n not in gone]

    def complete(self) -> bool:
        return all(len(set(found)) == len(self.expected(customer)) for customer, found in self.seen.items())


def member(client: Cluster, name: str) -> Consumer[Any]:
    return Consumer(
        client, stream="orders", group="billing", consumer=name, partitions=PARTITIONS, order_by="customer",
        dead_letter="orders.dead", ack_wait=5, block=0.5, retry=SOON,
    )  # fmt: skip


async def checked(client: Cluster, books: Books) -> None:
    """Everything was handled, in the order of each customer, and nothing is left."""
    await until(books.complete, 60)
    for customer, found in books.seen.items():
        # an acknowledgement that was lost has its entry delivered again
        assert list(dict.fromkeys(found)) == books.expected(customer), customer
    dead = [
        (letter.stream, int(letter.fields["n"]))
        for name in partition_streams("orders.dead", PARTITIONS)
        async for letter in dead_letters(client, name)
    ]
    home = partition_streams("orders", PARTITIONS)[partition_of("c5", PARTITIONS)]
    assert list(dict.fromkeys(dead)) == [(home, n) for n in books.rejected()]

    async def depths() -> bool:
        found = await partition_depths(client, "orders", "billing", partitions=PARTITIONS)
        return (found.waiting, found.pending) == (0, 0)

    with anyio.fail_after(30):
        while not await depths():
            await anyio.sleep(0.05)


async def moved(nodes: Nodes, books: Books, slot: int, between: Callable[[], Awaitable[object]] | None = None) -> int:
    """Move a slot key by key, with entries published in between; returns how many keys it had."""
    migration = Migration(nodes, slot)
    await books.publish()
    keys = migration.left()
    for key in keys:
        migration.move(key)
        # what comes now is asked for at the new place, before the slot is there
        progress = books.progress()
        await books.publish()
        await until(progress, 30)
    if between is not None:
        await between()
    migration.end()
    return len(keys)


async def test_members_go_on_while_their_partitions_move(cluster: tuple[Nodes, Cluster]) -> None:
    nodes, client = cluster
    books = Books(client)
    one, other = member(client, "a"), member(client, "b")
    async with anyio.create_task_group() as tasks:
        await tasks.start(one.run, books.handle)
        await tasks.start(other.run, books.handle)
        await until(lambda: len(one.owned) == len(other.owned) == PARTITIONS // 2, 30)
        while books.published < 5:
            await books.publish()
        await until(books.complete, 30)
        stop = anyio.Event()
        tasks.start_soon(books.publish_until, stop)
        # those of both members, of which one has dead letters beside it
        for partition in sorted({*list(one.owned)[:1], *list(other.owned)[:1], partition_of("c5", PARTITIONS)}):
            name = partition_streams("orders", PARTITIONS)[partition]
            assert await moved(nodes, books, Key(name).slot) in (1, 2)
        stop.set()
        await checked(client, books)
        assert {one.statistics.acknowledged > 0, other.statistics.acknowledged > 0} == {True}
        await one.drain()
        await other.drain()


async def test_a_partition_changes_hands_while_it_moves(cluster: tuple[Nodes, Cluster]) -> None:
    nodes, client = cluster
    books = Books(client)
    one, other = member(client, "a"), member(client, "b")
    async with anyio.create_task_group() as tasks:
        await tasks.start(one.run, books.handle)
        await tasks.start(other.run, books.handle)
        await until(lambda: len(one.owned) == len(other.owned) == PARTITIONS // 2, 30)
        await books.publish()
        partition = min(one.owned)

        async def handed_over() -> None:
            await one.drain()
            await until(lambda: len(other.owned) == PARTITIONS, 30)
            await books.publish()
            await until(books.complete, 30)

        await moved(nodes, books, Key(partition_streams("orders", PARTITIONS)[partition]).slot, handed_over)
        await books.publish()
        await checked(client, books)
        await other.drain()


async def test_the_leases_move(cluster: tuple[Nodes, Cluster]) -> None:
    """Members keep their partitions while the hash moves in which they share them out, and one joins meanwhile."""
    nodes, client = cluster
    books = Books(client)
    one, other = member(client, "a"), member(client, "b")
    async with anyio.create_task_group() as tasks:
        await tasks.start(one.run, books.handle)
        await until(lambda: len(one.owned) == PARTITIONS, 30)
        epochs = one.owned
        await books.publish()

        async def joined() -> None:
            assert one.owned == epochs
            await tasks.start(other.run, books.handle)
            await until(lambda: len(one.owned) == len(other.owned) == PARTITIONS // 2, 30)

        assert await moved(nodes, books, Key(members_key("orders", "billing")).slot, joined) == 1
        await books.publish()
        await checked(client, books)
        await one.drain()
        await other.drain()
