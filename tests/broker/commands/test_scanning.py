"""Cursors, options and replies of the SCAN family; whole replies are compared in tests/oracle."""

import pytest

from broker.commands.scanning import (
    INVALID_CURSOR,
    NOVALUES_ELSEWHERE,
    glob_of,
    scan_cursor,
    scan_elements,
    scan_reply,
)
from protocol.errors import NOT_INTEGER, SYNTAX, CommandError
from tests.broker.inprocess import Client, running
from tests.oracle.wire import parse


@pytest.mark.parametrize(("text", "cursor"), [(b"0", 0), (b"18446744073709551615", 2**64 - 1), (b"+7", 7)])
def test_cursor(text: bytes, cursor: int) -> None:
    assert scan_cursor(text) == cursor


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"18446744073709551616"])
def test_invalid_cursor(text: bytes) -> None:
    with pytest.raises(CommandError) as caught:
        scan_cursor(text)
    assert caught.value.text == INVALID_CURSOR


def test_globs() -> None:
    glob = glob_of(b"a*")
    assert glob is not None and glob.pattern == b"a*"
    assert glob_of(b"*") is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("COUNT 0", SYNTAX),
        ("COUNT x", NOT_INTEGER),
        ("COUNT", SYNTAX),
        ("MATCH", SYNTAX),
        ("TYPE set", SYNTAX),
        ("NOVALUES", NOVALUES_ELSEWHERE),
    ],
)
async def test_errors_of_options(words: str, error: bytes) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SADD", "k", "a")
        assert await client.call("SSCAN", "k", "0", *words.split()) == b"-" + error + b"\r\n"


def test_elements_are_filtered_after_they_were_counted() -> None:
    glob = glob_of(b"[ac]")
    assert scan_elements(lambda cursor, count: (5, [b"a", b"b", b"c"][:count]), (), False, 9, glob, 3) == (
        5,
        [b"a", b"c"],
    )
    assert scan_elements(lambda cursor, count: (5, []), [b"c", b"b"], True, 9, glob, 3) == (0, [b"c"])


def test_reply() -> None:
    assert scan_reply(12, [b"a", b""]) == b"*2\r\n$2\r\n12\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n"


async def _scan(client: Client, command: str, count: int, stride: int) -> list[bytes]:
    """All that a complete iteration returns; every `stride`-th text of a reply is an element."""
    found: list[bytes] = []
    cursor = b"0"
    for _ in range(1000):
        reply = parse(await client.call(command, "k", cursor, "COUNT", count))
        cursor = reply.items[0].text
        texts = [item.text for item in reply.items[1].items]
        assert len(texts) <= count * stride
        found += texts[::stride]
        if cursor == b"0":
            return found
    raise AssertionError("the scan does not end")


@pytest.mark.parametrize(("add", "scan", "stride"), [("SADD", "SSCAN", 1), ("HSET", "HSCAN", 2), ("ZADD", "ZSCAN", 2)])
async def test_a_large_collection_is_returned_in_steps(add: str, scan: str, stride: int) -> None:
    async with running() as broker:
        client = await broker.client()
        names = [f"m{number}" for number in range(1000)]
        for name in names:
            if add == "SADD":
                await client.call(add, "k", name)
            else:
                await client.call(add, "k", *((name, "v") if add == "HSET" else ("1", name)))
        found = await _scan(client, scan, 7, stride)
        assert sorted(found) == sorted(name.encode() for name in names)
