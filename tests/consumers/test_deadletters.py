"""Dead letters: listed with where they come from, and given back to it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consumers.connection import open_link
from consumers.deadletters import dead_letter_command
from consumers.names import decoded, encoded
from consumers.streams import Consumer, Message, Producer, Reject, dead_letters, redrive
from tests.consumers.streams.running import Client, dead, entries_of, running, until


async def _bury(client: Client, entries: int, group: str = "billing", **options: Any) -> None:
    """Have this many entries rejected by a group."""

    async def handler(message: Message) -> None:
        raise Reject(f"number {message.data['n']}")

    await Producer(client, "orders").publish_many({"n": n} for n in range(entries))
    consumer = Consumer(client, stream="orders", group=group, consumer="a", dead_letter="orders.dead", **options)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == entries)


async def test_dead_letters_are_listed(client: Client) -> None:
    await _bury(client, 250)
    await client.xadd("orders.dead", {"something": "else"})
    letters = [letter async for letter in dead_letters(client, "orders.dead")]
    assert len(letters) == 250
    first = letters[0]
    assert (first.stream, first.group, first.consumer) == ("orders", "billing", "a")
    assert first.reason.startswith("number ") and first.delivery_count == 1 and first.time > 1.7e9
    assert {letter.fields["n"] for letter in letters} == {b"%d" % n for n in range(250)}
    assert [letter async for letter in dead_letters(client, "nosuch")] == []


def test_a_reason_that_is_no_valid_text_can_be_sent() -> None:
    origin = ("s", "1-1", "g", "c")
    command = dead_letter_command(
        "dlq", origin=origin, values=[], reason="open: \udcff \ud800", deliveries=1, maxlen=None
    )
    assert command[command.index(b"dead-reason") + 1] == b"open: ? ?"


async def test_redriven_entries_are_handled_again_by_their_group_alone(client: Client) -> None:
    await _bury(client, 6)
    assert await redrive(client, "orders.dead", where=lambda letter: letter.fields["n"] != b"3", count=4) == 4
    assert await redrive(client, "orders.dead", where=lambda letter: letter.fields["n"] != b"3") == 1
    assert len(await dead(client)) == 1
    billing: list[str] = []
    shipping: list[str] = []

    def into(seen: list[str]) -> Any:
        async def handler(message: Message) -> None:
            assert message.delivery_count == 1
            seen.append(message.data["n"])

        return handler

    one = Consumer(client, stream="orders", group="billing", consumer="a")
    other = Consumer(client, stream="orders", group="shipping", consumer="a")
    async with running(one, into(billing)), running(other, into(shipping)):
        await until(lambda: one.statistics.acknowledged == 5 and other.statistics.acknowledged == 11)
    assert sorted(billing) == ["0", "1", "2", "4", "5"]
    assert sorted(shipping) == ["0", "1", "2", "3", "4", "5"]


async def test_an_entry_that_dies_again_names_its_last_origin(client: Client) -> None:
    await _bury(client, 1)
    await redrive(client, "orders.dead")

    async def handler(message: Message) -> None:
        raise Reject("again")

    consumer = Consumer(client, stream="orders", group="billing", consumer="b", dead_letter="orders.dead")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1)
    (letter,) = [letter async for letter in dead_letters(client, "orders.dead")]
    assert letter.reason == "again" and letter.fields == {"n": b"0"} and letter.consumer == "b"
    (_, (last, _)) = await entries_of(client, "orders")
    assert letter.entry_id == last


async def test_redriving_to_another_stream(client: Client) -> None:
    await _bury(client, 2)
    assert await redrive(client, "orders.dead", to="orders.again") == 2
    assert await client.xlen("orders.again") == 2 and await client.xlen("orders") == 2
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.data["n"])

    # its groups are not those of the stream that the entries came from
    consumer = Consumer(client, stream="orders.again", group="repair", consumer="a")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 2)
    assert sorted(seen) == ["0", "1"]


async def test_names_that_are_not_utf8_come_back_as_they_were(client: Client) -> None:
    origin, group, dead_stream = b"\xfforders", b"\xfebilling", b"\xfddead"
    fields = {
        b"\xfc": b"\xfb",
        b"dead-stream": origin,
        b"dead-id": b"5-5",
        b"dead-group": group,
        b"dead-reason": b"\xfa",
    }
    for _ in range(2):
        await client.xadd(dead_stream, fields)
    (letter, _) = [one async for one in dead_letters(client, dead_stream)]
    assert (encoded(letter.stream), encoded(letter.group), letter.reason) == (origin, group, "\ufffd")
    assert await redrive(client, decoded(dead_stream), count=1) == 1
    assert await redrive(client, dead_stream, to=decoded(b"\xf9")) == 1
    (entry,) = await client.xrange(origin)
    assert dict(entry.field_values) == {b"\xfc": b"\xfb", b"redriven-id": b"5-5", b"redriven-group": group}
    assert await client.xlen(b"\xf9") == 1 and await client.xlen(dead_stream) == 0


async def test_fields_of_one_name_come_back_in_their_order(client: Client) -> None:
    values: list[str | bytes] = ["tag", "a", "n", "1", "tag", "b"]
    async with open_link(client, "orders.dead") as link:
        command = dead_letter_command(
            "orders.dead", origin=("orders", "5-5", "billing", "a"), values=[encoded(one) for one in values],
            reason="", deliveries=1, maxlen=None,
        )  # fmt: skip
        await link.execute([command])
        (letter,) = [one async for one in dead_letters(client, "orders.dead")]
        assert letter.fields == {"tag": b"b", "n": b"1"}
        assert await redrive(client, "orders.dead") == 1
        ((_, back),) = (await link.execute([(b"XRANGE", "orders", b"-", b"+")]))[0]
    assert back[:6] == [b"tag", b"a", b"n", b"1", b"tag", b"b"]


async def test_a_value_that_reads_like_the_redriven_field_is_just_a_value(client: Client) -> None:
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.data["word"])

    await client.xadd("orders", {"word": "redriven-group"})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 1)
    assert seen == ["redriven-group"]


async def test_the_dead_letter_stream_is_kept_to_a_length(client: Client) -> None:
    await _bury(client, 500, dead_letter_maxlen=20)
    assert 20 <= await client.xlen("orders.dead") < 500


async def test_without_a_dead_letter_stream_the_entry_is_dropped_with_an_error_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(message: Message) -> None:
        raise Reject("no good")

    id = await Producer(client, "orders").publish({"n": 1})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    about: Any = record
    assert (about.stream, about.id, about.delivery_count, about.reason) == ("orders", id, 1, "no good")
    assert not await client.exists(["orders.dead"])


async def _at_the_same_time(client: Client, work: Callable[[], Awaitable[Any]]) -> Any:
    """What `work` returns, while a consumer dead-letters at once whatever comes back."""

    async def handler(message: Message) -> None:
        raise Reject("again")

    consumer = Consumer(client, stream="orders", group="billing", consumer="b", dead_letter="orders.dead")
    async with running(consumer, handler):
        return await work()


async def test_redriving_does_not_chase_what_dies_again(client: Client) -> None:
    await _bury(client, 250)
    assert await _at_the_same_time(client, lambda: redrive(client, "orders.dead")) == 250
    assert await client.xlen("orders") == 500
    assert {letter.fields["n"] for letter in [one async for one in dead_letters(client, "orders.dead")]} == {
        b"%d" % n for n in range(250)
    }


async def test_a_listing_ends_where_the_stream_ended_when_it_began(client: Client) -> None:
    await _bury(client, 3)
    listed = 0
    async for letter in dead_letters(client, "orders.dead"):
        listed += 1
        values = {"dead-stream": letter.stream, "dead-id": letter.entry_id}
        for _ in range(200 if listed < 10 else 0):
            await client.xadd("orders.dead", values)
    assert listed == 3
