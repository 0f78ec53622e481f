"""Publishing: one entry, many in a round trip, trimming, values of a codec."""

from datetime import UTC, datetime
from typing import Any

import coredis
import pytest

from consumers.codecs import JsonCodec, MsgpackCodec
from consumers.streams import Producer
from tests.consumers.streams.running import Client, entries_of


async def test_publish_returns_the_id(client: Client) -> None:
    id = await Producer(client, "orders").publish({"customer": "a", "amount": 3, "raw": b"\xff"})
    expected = {b"customer": b"a", b"amount": b"3", b"raw": b"\xff"}
    assert await entries_of(client, "orders") == [(id, expected)]


async def test_publish_many_keeps_the_order_over_several_pipelines(client: Client) -> None:
    ids = await Producer(client, "orders").publish_many({"n": n} for n in range(2500))
    entries = await entries_of(client, "orders")
    assert [id for id, _ in entries] == ids and len(set(ids)) == 2500
    assert [int(fields[b"n"]) for _, fields in entries] == list(range(2500))
    assert await Producer(client, "orders").publish_many([]) == []


async def test_a_limit_trims_the_stream(client: Client) -> None:
    await Producer(client, "exact", maxlen=10, exact=True).publish_many({"n": n} for n in range(300))
    assert await client.xlen("exact") == 10
    await Producer(client, "about", maxlen=10).publish_many({"n": n} for n in range(300))
    assert 10 <= await client.xlen("about") < 300
    with pytest.raises(ValueError):
        Producer(client, "orders", maxlen=-1)


@pytest.mark.parametrize("codec", [JsonCodec(), MsgpackCodec("payload")])
async def test_values_of_a_codec(client: Client, codec: Any) -> None:
    value = {"who": "\u00fc", "list": [1, 2.5, None, True]}
    await Producer(client, "orders", codec=codec).publish(value)
    ((_, fields),) = await entries_of(client, "orders")
    assert codec.decode({name.decode(): data for name, data in fields.items()}) == value


async def test_a_value_without_fields_and_a_key_of_another_type_are_refused(client: Client) -> None:
    with pytest.raises(ValueError):
        await Producer(client, "orders").publish({})
    await client.set("text", "x")
    with pytest.raises(coredis.exceptions.WrongTypeError):
        await Producer(client, "text").publish({"n": 1})


async def test_a_client_that_decodes_makes_no_difference(server_url: str) -> None:
    async with coredis.Redis.from_url(server_url, decode_responses=True) as decoding:
        producer = Producer(decoding, "orders")
        assert isinstance(await producer.publish({"n": 1}), str)
        assert all(isinstance(id, str) for id in await producer.publish_many([{"n": 1}]))


def test_msgpack_keeps_datetimes() -> None:
    codec = MsgpackCodec()
    now = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    assert codec.decode({k: v if isinstance(v, bytes) else v.encode() for k, v in codec.encode([now]).items()}) == [now]
