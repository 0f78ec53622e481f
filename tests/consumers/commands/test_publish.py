"""`trimaran publish`."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import aclosing

import coredis
import pytest
import trio

from consumers.commands import publish
from consumers.commands.running import CommandError
from consumers.fanout import Message, subscribe
from consumers.partitions import partition_of
from consumers.streams import Producer
from tests.consumers.commands.commands import lines, prepared

Client = coredis.Redis[bytes]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Put something on standard input, and end it there."""
    ours, theirs = os.pipe()

    def put(data: bytes) -> None:
        os.write(theirs, data)
        os.close(theirs)

    with os.fdopen(ours, "rb") as file:
        monkeypatch.setattr("sys.stdin", file)
        yield put


async def test_a_message(client: Client) -> None:
    async with subscribe(client, "news", shard_channels=["s"]) as messages:
        assert await lines(publish, client, "news", "hello world") == ["1"]
        assert await lines(publish, client, "news", "--json", "hello") == ['{"receivers": 1}']
        assert await lines(publish, client, "--shard", "s", "x") == ["1"]
        assert await lines(publish, client, "other", "") == ["0"]
        assert [(await anext(messages)).text for _ in range(3)] == ["hello world", "hello", "x"]


async def test_lines_of_standard_input_are_messages(client: Client, typed: Callable[[bytes], None]) -> None:
    typed(b"one\ntwo\n\nlast")
    async with subscribe(client, "news") as messages:
        assert await lines(publish, client, "news") == ["4"]
        assert [await anext(messages) for _ in range(4)] == [
            Message("news", data) for data in (b"one", b"two", b"", b"last")
        ]


async def test_an_entry(client: Client) -> None:
    (identifier,) = await lines(publish, client, "--stream", "orders", "customer=7", "note=a=b", "empty=")
    (line,) = await lines(publish, client, "--json", "--stream", "orders", "n=2")
    entries = await client.xrange("orders")
    assert [entry.identifier for entry in entries] == [identifier.encode(), json.loads(line)["id"].encode()]
    assert dict(entries[0].field_values) == {b"customer": b"7", b"note": b"a=b", b"empty": b""}


async def test_lines_of_standard_input_are_entries(client: Client, typed: Callable[[bytes], None]) -> None:
    typed(b'{"a": "x", "b": 2}\n\n{"a": [1]}\n')
    assert await lines(publish, client, "--stream", "orders", "--json") == ['{"published": 2}']
    entries = await client.xrange("orders")
    assert [dict(entry.field_values) for entry in entries] == [{b"a": b"x", b"b": b"2"}, {b"a": b"[1]"}]


@pytest.mark.parametrize("line", [b"hello", b"[]", b"{}", b"7"])
async def test_a_line_that_is_no_entry_ends_it(client: Client, typed: Callable[[bytes], None], line: bytes) -> None:
    typed(line + b"\n")
    with pytest.raises(CommandError, match="not a JSON object"):
        await lines(publish, client, "--stream", "orders")
    assert await client.exists(["orders"]) == 0


async def test_the_stream_is_kept_short(client: Client, typed: Callable[[bytes], None]) -> None:
    typed(b'{"a": "x"}\n' * 1000)
    await lines(publish, client, "--stream", "orders", "--maxlen", "100")
    assert 100 <= await client.xlen("orders") < 300


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "name a CHANNEL or a --stream"),
        (["news", "two", "words"], "put it in quotes"),
        (["--stream", "orders", "word"], "'word' is not FIELD=VALUE"),
        (["--stream", "orders", "--maxlen", "0", "a=b"], "'0' is not a number above zero"),
    ],
)
def test_mistakes(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        prepared(publish, words)
    assert exit.value.code == 2
    assert text in capsys.readouterr().err


async def test_a_line_may_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [b"on", b"e\ntwo", b"\n", b"\nend", b""]
    monkeypatch.setattr(os, "read", lambda descriptor, size: pieces.pop(0))
    with open(os.devnull, "rb") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        async with aclosing(publish._input()) as chunks:
            assert [chunk async for chunk in chunks] == [[b"one"], [b"two"], [b""], [b"end"]]


async def test_reading_standard_input_can_be_cancelled(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as waiting, os.fdopen(theirs, "wb", buffering=0) as writing:
        monkeypatch.setattr("sys.stdin", waiting)
        with trio.move_on_after(0.05) as scope:
            await lines(publish, client, "news")
        assert scope.cancelled_caught
        writing.write(b"\n")  # lets the thread that still reads go


async def test_an_entry_of_a_stream_with_partitions(client: Client, typed: Callable[[bytes], None]) -> None:
    await client.set("orders:partitions", "4")
    with pytest.raises(CommandError, match="orders has 4 partitions: --partition-by names the field"):
        await lines(publish, client, "--stream", "orders", "customer=7")
    with pytest.raises(CommandError, match="an entry has no field customer"):
        await lines(publish, client, "--stream", "orders", "--partition-by", "customer", "total=7")
    with pytest.raises(CommandError, match="--partition-by is for streams with partitions"):
        await lines(publish, client, "--stream", "plain", "--partition-by", "customer", "customer=7")
    assert not await client.exists(["orders", "plain"])
    await lines(publish, client, "--stream", "orders", "--partition-by", "customer", "customer=7")
    typed(b'{"customer": 7}\n{"customer": "ann"}\n')
    assert await lines(publish, client, "--stream", "orders", "--partition-by", "customer") == ["2"]
    # where a producer puts them
    await Producer(client, "orders", partitions=4, key="customer").publish({"customer": 7})
    assert await client.xlen(f"orders:{{{partition_of(7, 4)}}}") == 3
    assert await client.xlen(f"orders:{{{partition_of('ann', 4)}}}") == 1
