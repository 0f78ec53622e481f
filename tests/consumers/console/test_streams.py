"""The figures of streams and groups."""

import coredis

from consumers.console.streams import GroupFigures, StreamFigures, Streams, summed
from consumers.streams import Producer

Client = coredis.Redis[bytes]


async def test_streams_and_groups_are_measured(client: Client) -> None:
    for number in range(3):
        await client.xadd("orders", {"n": str(number)})
    await client.xadd("\xff", {"a": "b"})
    await client.set("text", "no stream")
    await client.xgroup_create("orders", "billing", "0")
    await client.xgroup_create("orders", "idle", "$")
    await client.xreadgroup("billing", "worker", {"orders": ">"}, count=2)
    streams = Streams()
    await streams.look(client)
    assert streams.laps == 1
    orders, other = await streams.figures(client)
    assert (orders.name, orders.entries, orders.left_out) == (b"orders", 3, 0)
    billing, idle = orders.groups
    assert (billing.name, billing.consumers, billing.pending, billing.lag, billing.dead) == (b"billing", 1, 2, 1, None)
    assert billing.oldest is not None and 0 <= billing.oldest < 60
    assert (idle.pending, idle.lag, idle.oldest) == (0, 0, None)
    assert (other.name, other.groups) == ("\xff".encode(), [])
    await client.delete(["orders"])
    await client.set("\xff", "another type")
    assert await streams.figures(client) == []


async def test_a_look_is_bounded_and_goes_on(client: Client) -> None:
    async with client.pipeline(transaction=False) as pipeline:
        for number in range(3000):
            pipeline.set(f"key:{number}", "x")
        pipeline.xadd("s", {"a": "b"})
    streams = Streams()
    await streams.look(client, slices=1)
    assert streams.laps == 0
    for _ in range(10):
        await streams.look(client, slices=1)
    assert streams.laps >= 1
    assert [one.name for one in await streams.figures(client)] == [b"s"]


async def test_partitions_are_one_stream(client: Client) -> None:
    orders = Producer(client, "orders", partitions=3)
    await orders.publish_many([{"n": str(number)} for number in range(9)])
    for number in range(3):
        await client.xgroup_create(f"orders:{{{number}}}", "billing", "0")
    await client.xgroup_create("orders:{0}", "first", "0")
    await client.xreadgroup("billing", "worker", {"orders:{1}": ">"}, count=2)
    # not one of the three
    await client.xadd("orders:{3}", {"a": "b"})
    streams = Streams()
    await streams.look(client)
    other, whole = sorted(await streams.figures(client), key=lambda one: one.entries)
    assert (other.name, other.partitions, other.entries) == (b"orders:{3}", None, 1)
    assert (whole.name, whole.partitions, whole.entries) == (b"orders", 3, 9)
    billing, first = whole.groups
    assert (billing.name, billing.pending, billing.lag, billing.consumers) == (b"billing", 2, 7, 1)
    assert billing.oldest is not None
    # what the other partitions hold it may still get
    assert (first.name, first.lag) == (b"first", None) and (whole.pending, whole.lag) == (2, 7)
    await client.delete([f"orders:{{{number}}}" for number in range(3)])
    assert [one.name for one in await streams.figures(client)] == [b"orders:{3}"]


def test_figures_of_partitions_are_added_up() -> None:
    def part(entries: int, lag: int | None, oldest: float | None, dead: int | None, left_out: int = 0) -> StreamFigures:
        group = GroupFigures(name=b"g", consumers=1, pending=2, lag=lag, oldest=oldest, dead=dead)
        return StreamFigures(name=b"x", entries=entries, groups=[group], left_out=left_out)

    empty = StreamFigures(name=b"y", entries=0, groups=[], left_out=0)
    whole = summed(b"s", 8, [part(3, 1, 5.0, None), part(4, 2, None, 7, 1), empty])
    assert whole == StreamFigures(
        name=b"s", entries=7, left_out=1, partitions=8,
        groups=[GroupFigures(name=b"g", consumers=2, pending=4, lag=3, oldest=5.0, dead=7)],
    )  # fmt: skip
    assert summed(b"s", 8, [part(3, None, None, None), part(3, 1, None, None)]).lag is None
    assert summed(b"s", 8, []).groups == []
