"""Partitions over the nodes of a cluster, of Redis and of Valkey, and behind Sentinel: one program for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from coredis.typing import Key

from consumers.addresses import client_from_url
from consumers.streams import (
    Consumer,
    Message,
    PartitionedReplay,
    Producer,
    Reject,
    dead_letters,
    partition_depths,
    partition_streams,
    redrive,
)
from tests.consumers.clusters import several_nodes, started_cluster, tell
from tests.consumers.sentinel import NAME, sentinel_of
from tests.consumers.servers import RedisServer, executable
from tests.consumers.streams.running import SOON, until
from tests.oracle.servers import OracleMissing, find_valkey

PARTITIONS = 8


def _valkey() -> Path:
    try:
        return find_valkey()[0]
    except OracleMissing:
        pytest.skip("no valkey-server")


def _redis() -> Path:
    path = executable("redis-newest") or executable("redis-older")
    if path is None:
        pytest.skip("no redis-server")
    return path


@pytest.mark.parametrize("kind", ["redis", "valkey"])
async def test_members_share_partitions_on_three_nodes(kind: str) -> None:
    with several_nodes(3, _valkey() if kind == "valkey" else _redis()) as nodes:
        async with started_cluster(nodes) as client:
            await _members_come_and_go(client)
            replay = PartitionedReplay(client, "orders", partitions=PARTITIONS)
            async with replay.open() as entries:
                assert len([entry async for entry in entries]) == 121
            # every node has some of them
            sizes = [int(tell(node, "DBSIZE")[1:]) for node in nodes]
            assert min(sizes) > 0 and sum(sizes) >= PARTITIONS
            assert len({Key(name).slot * 3 // 16384 for name in partition_streams("orders", PARTITIONS)}) == 3


@contextmanager
def _sentinel() -> Iterator[str]:
    server = RedisServer(_redis())
    try:
        server.start()
        with sentinel_of(server) as port:
            yield f"redis+sentinel://127.0.0.1:{port}/{NAME}/0"
    finally:
        server.stop()


async def test_members_share_partitions_behind_sentinel() -> None:
    with _sentinel() as url:
        async with client_from_url(url) as client:
            await _members_come_and_go(client)


async def _members_come_and_go(client: Any) -> None:
    """Two members share what is published; one goes; an entry dies, and comes back."""
    seen: dict[str, list[int]] = {}
    refuse = True

    async def handler(message: Message[dict[str, str]]) -> None:
        n = int(message.data["n"])
        if n == 7 and refuse:
            raise Reject("seven")
        seen.setdefault(message.data["customer"], []).append(n)

    producer = Producer(client, "orders", partitions=PARTITIONS, key="customer")
    one, other = (
        Consumer(
            client, stream="orders", group="billing", consumer=name, partitions=PARTITIONS, order_by="customer",
            dead_letter="orders.dead", ack_wait=5, block=0.5, retry=SOON,
        )
        for name in "ab"
    )  # fmt: skip
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tasks:
            await tasks.start(one.run, handler)
            await tasks.start(other.run, handler)
            ids = await producer.publish_many({"customer": f"c{n % 20}", "n": n} for n in range(60))
            assert len(ids) == 60
            await until(lambda: len(one.owned) == len(other.owned) == PARTITIONS // 2)
            await producer.publish_many({"customer": f"c{n % 20}", "n": n} for n in range(60, 120))
            await until(lambda: sum(map(len, seen.values())) == 119)
            await one.drain()
            await until(lambda: len(other.owned) == PARTITIONS)
            depths = await partition_depths(
                client, "orders", "billing", partitions=PARTITIONS, dead_letter="orders.dead"
            )
            assert depths.dead == 1
            refuse = False
            redriven = 0
            for name in partition_streams("orders.dead", PARTITIONS):
                assert [letter.reason async for letter in dead_letters(client, name)] in ([], ["seven"])
                redriven += await redrive(client, name)
            assert redriven == 1
            await until(lambda: sum(map(len, seen.values())) == 120)
            await other.drain()
    assert seen.pop("c7") == [27, 47, 67, 87, 107, 7]
    assert seen == {f"c{c}": list(range(c, 120, 20)) for c in range(20) if c != 7}
