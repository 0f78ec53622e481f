"""Which streams are partitions of one, and which only look like that."""

import coredis
import pytest

from consumers.console.partitioned import numbers_of_partitions, whole_of
from consumers.partitions import record_dead_letters
from consumers.streams import Producer

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_what_the_library_has_divided_is_one(client: Client) -> None:
    await Producer(client, "orders", partitions=3).publish({"a": "b"})
    await record_dead_letters(client, "orders.dead", 3)
    names = [b"orders:{0}", b"orders:{2}", b"orders.dead:{1}", b"other"]
    numbers = await numbers_of_partitions(client, names)
    assert numbers == {b"orders": 3, b"orders.dead": 3}
    assert [whole_of(name, numbers) for name in names] == [
        (b"orders", 0), (b"orders", 2), (b"orders.dead", 1), None,
    ]  # fmt: skip


async def test_what_only_looks_like_it_is_not(client: Client) -> None:
    await client.set("orders:partitions", "3")
    numbers = await numbers_of_partitions(client, [b"orders:{0}"])
    for name in (
        b"orders:{3}",
        b"orders:{01}",
        b"orders:{}",
        b"orders:{x}",
        b"orders:{0}x",
        b"{a}orders:{0}",
        b"orders",
    ):
        assert whole_of(name, numbers) is None, name
    # nothing is stored, or something else
    names = [b"absent:{0}", b"text:{0}", b"large:{0}", b"none:{0}", b"long:{0}", b"hash:{0}", b"\xff:{0}"]
    for name, value in (("text", "many"), ("large", "1025"), ("none", "0"), ("long", "3" * 1000)):
        await client.set(f"{name}:partitions", value)
    await client.hset("hash:partitions", {"a": "b"})
    assert await numbers_of_partitions(client, names) == {}
    assert await numbers_of_partitions(client, []) == {}


async def test_a_stream_of_the_same_name_leaves_them_apart(client: Client) -> None:
    await client.set("orders:partitions", "3")
    await client.xadd("orders", {"a": "b"})
    assert await numbers_of_partitions(client, [b"orders:{0}"]) == {}


async def test_names_may_be_any_bytes(client: Client) -> None:
    await client.set(b"\xff\n:partitions", "2")
    assert await numbers_of_partitions(client, [b"\xff\n:{1}"]) == {b"\xff\n": 2}
