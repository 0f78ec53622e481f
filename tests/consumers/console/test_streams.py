"""The figures of streams and groups."""

import coredis

from consumers.console.streams import Streams

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
