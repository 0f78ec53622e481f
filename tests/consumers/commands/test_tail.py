"""`trimaran tail`."""

import json

import coredis
import pytest
import trio

from consumers.commands import tail
from consumers.partitions import agree
from tests.consumers.commands.commands import Kept, lines

Client = coredis.Redis[bytes]


async def tailed(client: Client, *words: str, send: list[tuple[str, bytes]], shard: bool = False) -> list[str]:
    """What `tail` prints of what is published once it listens."""
    got: list[str] = []

    async def run() -> None:
        got.extend(await lines(tail, client, *words, "--count", str(len(send))))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            for channel, data in send:
                while not await (client.spublish(channel, data) if shard else client.publish(channel, data)):
                    await trio.sleep(0.01)
    return got


async def test_a_channel(client: Client) -> None:
    sent = [("news", b"hello"), ("news", b"two\nlines\x1b[1m"), ("news", b"\xff"), ("news", "\u00e9".encode())]
    assert await tailed(client, "news", send=sent) == ["hello", "two\\nlines\\x1b[1m", "\\xff", "\u00e9"]


async def test_a_pattern_and_a_shard_channel(client: Client) -> None:
    assert await tailed(client, "--pattern", "n*", send=[("news", b"x"), ("n", b"y")]) == ["news\tx", "n\ty"]
    assert await tailed(client, "--shard", "s", send=[("s", b"x")], shard=True) == ["x"]


async def test_messages_as_json(client: Client) -> None:
    got = await tailed(client, "--pattern", "n*", "--json", send=[("news", b"x\n"), ("news", b"\xff")])
    assert [json.loads(line) for line in got] == [
        {"channel": "news", "pattern": "n*", "data": "x\n"},
        {"channel": "news", "pattern": "n*", "data_base64": "/w=="},
    ]


async def filled(client: Client, count: int) -> list[str]:
    async with client.pipeline(transaction=False) as pipeline:
        added = [pipeline.xadd("orders", {"n": str(number)}) for number in range(count)]
    return [(await one).decode() for one in added]  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "asked"), [(0, 5), (3, 5), (5, 5), (6, 5), (20, 0), (350, 120), (300, 300)])
async def test_the_last_entries_of_a_stream(client: Client, count: int, asked: int) -> None:
    identifiers = await filled(client, count)
    expected = [f"{identifier}\tn={number}" for number, identifier in enumerate(identifiers)]
    got = await lines(tail, client, "--stream", "--no-follow", "-n", str(asked), "orders")
    assert got == expected[max(0, count - asked) :]


async def test_a_stream_is_followed(client: Client) -> None:
    await filled(client, 3)
    output = Kept()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                await lines(tail, client, "orders", "-n", "1", "--count", "3", output=output)

            nursery.start_soon(run)
            while len(output.lines) < 1:
                await trio.sleep(0.01)
            await client.xadd("orders", {b"a\tb": b"\x00", b"c": b"d"})
            await client.xadd("orders", {"last": "1"})
    assert [line.partition("\t")[2] for line in output.lines] == ["n=2", "a\\tb=\\x00\tc=d", "last=1"]


async def test_entries_as_json(client: Client) -> None:
    identifier = await client.xadd("orders", {b"a": b"x", b"b": b"\xff"})
    (line,) = await lines(tail, client, "orders", "--no-follow", "--json")
    assert identifier is not None
    assert json.loads(line) == {"id": identifier.decode(), "fields": {"a": "x", "b_base64": "/w=="}}


async def test_a_lost_connection_is_told(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    output = Kept()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await lines(tail, client, "news", "--json", output=output)

        nursery.start_soon(run)
        with trio.fail_after(60):
            while not (await client.pubsub_numsub("news"))[b"news"]:
                await trio.sleep(0.01)
            for subscriber in await client.client_list():
                if subscriber["sub"]:
                    await client.client_kill(identifier=subscriber["id"])
            while not output.lines:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert json.loads(output.lines[0])["gap"] == "reconnected"


async def test_all_partitions_of_a_stream(client: Client) -> None:
    await agree(client, "orders", 3)
    for n in range(12):
        await client.xadd(f"orders:{{{n % 3}}}", {"n": str(n)}, identifier=f"{n + 1}-0")
    expected = [f"orders:{{{n % 3}}}\t{n + 1}-0\tn={n}" for n in range(12)]
    assert await lines(tail, client, "--no-follow", "-n", "5", "orders") == expected[-5:]
    assert await lines(tail, client, "--count", "3", "orders") == expected[2:5]
    got: list[str] = []

    async def run() -> None:
        got.extend(await lines(tail, client, "-n", "1", "--count", "2", "--json", "orders"))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            while not got:
                await client.xadd("orders:{1}", {"n": "x"})
                await trio.sleep(0.01)
    line = json.loads(got[1])
    assert (line["stream"], line["fields"]) == ("orders:{1}", {"n": "x"})


async def test_a_channel_beside_a_key_that_has_nothing_to_do_with_partitions(client: Client) -> None:
    await client.hset("news:partitions", {"a": "b"})
    assert await tailed(client, "news", send=[("news", b"x")]) == ["x"]
