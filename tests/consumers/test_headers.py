"""Fields of an entry that are not part of its value."""

from consumers.headers import without_headers
from consumers.streams import Consumer, Message, Producer, Replay
from tests.consumers.streams.running import Client, running, until


def test_only_the_publishers_fields_are_left() -> None:
    fields = {"n": b"1", "reply-token": b"t", "traceparent": b"p", "tracestate": b"s", "baggage": b"two bags"}
    assert without_headers(fields) == {"n": b"1", "baggage": b"two bags"}
    plain = {"n": b"1"}
    assert without_headers(plain) is plain


async def test_values_are_read_without_them(client: Client) -> None:
    read: list[tuple[dict[str, str], set[str]]] = []

    async def handler(message: Message) -> None:
        read.append((message.data, set(message.fields)))

    async with running(Consumer(client, stream="orders", group="billing"), handler):
        await Producer(client, "orders").publish({"n": "1", "traceparent": "p"})
        await until(lambda: read)
    assert read == [({"n": "1"}, {"n", "traceparent"})]
    async with Replay(client, "orders").open() as entries:
        assert [entry.data async for entry in entries] == [{"n": "1"}]
