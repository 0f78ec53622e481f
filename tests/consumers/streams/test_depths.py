"""partition_depths: what waits, is pending and dead, over all partitions."""

from typing import Any

import pytest

from consumers.streams import Depths, Producer, partition_depths, partition_streams
from tests.consumers.streams.running import Client

pytestmark = pytest.mark.both_loops


async def test_figures_are_added_up(client: Client) -> None:
    async def depths(**options: Any) -> Depths:
        return await partition_depths(client, "orders", "billing", partitions=3, **options)

    assert await depths() == Depths(None, 0, 0)
    await Producer(client, "orders", partitions=3).publish_many({"n": n} for n in range(9))
    assert await depths() == Depths(None, 0, 0)
    for name in partition_streams("orders", 3):
        await client.xgroup_create(name, "billing", "0")
    assert await depths() == Depths(9, 0, 0)
    await client.xreadgroup("billing", "a", streams={"orders:{1}": ">"}, count=2)
    await Producer(client, "orders.dead", partitions=3).publish_many({"n": n} for n in range(4))
    assert await depths(dead_letter="orders.dead") == Depths(7, 2, 4)
