"""PartitionedReplay: all partitions in one sequence, up to an end or following, and on from where a reader stopped."""

from typing import Any

import anyio
import pytest

from consumers.partitions import partition_of
from consumers.streams import ConsumerError, PartitionedReplay, Producer, Start
from tests.consumers.streams.running import Client, until

pytestmark = pytest.mark.both_loops


async def _read(replay: PartitionedReplay[Any]) -> list[str]:
    async with replay.open() as entries:
        return [entry.data["n"] async for entry in entries]


async def test_partitions_are_merged_by_the_times_of_their_entries(client: Client) -> None:
    for n in range(30):
        await client.xadd(f"orders:{{{n % 3}}}", {"n": str(n)}, identifier=f"{n + 1}-0")
    replay = PartitionedReplay(client, "orders", partitions=3, batch=4)
    assert await _read(replay) == [str(n) for n in range(30)]
    assert replay.positions == {"orders:{0}": "28-0", "orders:{1}": "29-0", "orders:{2}": "30-0"}
    assert await _read(PartitionedReplay(client, "orders", partitions=3, start="20-0")) == [
        str(n) for n in range(20, 30)
    ]
    with pytest.raises(ConsumerError, match="has 3 partitions, not 4"):
        await _read(PartitionedReplay(client, "orders", partitions=4))


async def test_a_reader_goes_on_where_another_one_stopped(client: Client) -> None:
    for n in range(12):
        await client.xadd(f"orders:{{{n % 3}}}", {"n": str(n)}, identifier=f"{n + 1}-0")
    first = PartitionedReplay(client, "orders", partitions=3)
    async with first.open() as entries:
        got = [(await anext(entries)).data["n"] for _ in range(5)]
    got += await _read(PartitionedReplay(client, "orders", partitions=3, start=first.positions))
    assert got == [str(n) for n in range(12)]


async def test_following_all_partitions(client: Client) -> None:
    producer = Producer(client, "orders", partitions=4, key="customer")
    await producer.publish({"customer": "x", "n": "old"})
    seen: dict[str, list[int]] = {}
    replay = PartitionedReplay(client, "orders", partitions=4, start=Start.END, follow=True, block=0.5)

    async def read() -> None:
        async with replay.open() as entries:
            async for entry in entries:
                seen.setdefault(entry.data["customer"], []).append(int(entry.data["n"]))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            # its reads wait
            await until(lambda: "$" not in replay.positions.values())
            await anyio.sleep(0.1)
            await producer.publish_many({"customer": f"c{n % 7}", "n": str(n)} for n in range(70))
            await until(lambda: sum(map(len, seen.values())) == 70)
            tasks.cancel_scope.cancel()
    assert seen == {f"c{c}": list(range(c, 70, 7)) for c in range(7)}
    assert len({partition_of(f"c{c}", 4) for c in range(7)}) > 1


async def test_positions_of_unknown_partitions_are_refused(client: Client) -> None:
    with pytest.raises(ValueError, match=r"no partition orders:\{7\}"):
        PartitionedReplay(client, "orders", partitions=3, start={"orders:{7}": "1-0"})
