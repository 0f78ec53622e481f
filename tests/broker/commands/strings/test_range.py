"""Strings changed in place."""

import pytest

from tests.broker.inprocess import running


async def test_a_string_is_changed_in_place() -> None:
    async with running() as broker:
        client = await broker.client()
        data = broker.broker.keyspace.databases[0].data
        await client.call("SET k abc")
        await client.call("APPEND k d")
        kept = data[b"k"]
        assert kept == bytearray(b"abcd")
        assert await client.call("APPEND k ef") == b":6\r\n"
        assert await client.call("SETRANGE k 8 z") == b":9\r\n"
        assert data[b"k"] is kept
        assert kept == b"abcdef\x00\x00z"
        assert await client.call("GETRANGE k -3 -1") == b"$3\r\n\x00\x00z\r\n"


async def test_what_was_changed_in_place_serves_everywhere() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET k 1")
        await client.call("APPEND k 0")
        for command, reply in (
            ("GET k", b"$2\r\n10\r\n"), ("STRLEN k", b":2\r\n"), ("TYPE k", b"+string\r\n"),
            ("OBJECT ENCODING k", b"$3\r\nraw\r\n"), ("COPY k copy", b":1\r\n"), ("APPEND k 0", b":3\r\n"),
            ("GET copy", b"$2\r\n10\r\n"), ("LCS k copy", b"$2\r\n10\r\n"), ("SET k x IFEQ 100 GET", b"$3\r\n100\r\n"),
            ("INCR copy", b":11\r\n"), ("APPEND copy 0", b":3\r\n"), ("INCRBYFLOAT copy 0.5", b"$5\r\n110.5\r\n"),
            ("APPEND copy 0", b":6\r\n"), ("GETDEL copy", b"$6\r\n110.50\r\n"),
        ):  # fmt: skip
            assert await client.call(command) == reply, command


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SETRANGE k -1 x", b"ERR offset is out of range"),
        ("SETRANGE k x x", b"ERR value is not an integer or out of range"),
        ("SETRANGE k 1048576 x", b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE no 9223372036854775807 x", b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("APPEND l x", b"WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
async def test_errors(command: str, error: bytes) -> None:
    async with running({"proto-max-bulk-len": "1048576"}) as broker:
        client = await broker.client()
        await client.call("SET k abc")
        await client.call("RPUSH l a")
        assert await client.call(command) == b"-" + error + b"\r\n"
        assert await client.call("GET k") == b"$3\r\nabc\r\n"
        assert await client.call("DBSIZE") == b":2\r\n"
