"""Bits of strings: what is changed in place, what is propagated, errors."""

import pytest

from tests.broker.effects import contents, journal, lines, replay
from tests.broker.inprocess import running


async def test_bits_are_set_in_place() -> None:
    async with running() as broker:
        client = await broker.client()
        data = broker.broker.keyspace.databases[0].data
        await client.call("SET k a")
        assert await client.call("SETBIT k 0 1") == b":0\r\n"
        kept = data[b"k"]
        assert kept == bytearray(b"\xe1")
        assert await client.call("SETBIT k 79 1") == b":0\r\n"
        assert await client.call("SETBIT k 79 1") == b":1\r\n"
        assert data[b"k"] is kept
        assert kept == b"\xe1" + bytes(8) + b"\x01"
        assert await client.call("BITOP NOT k k") == b":10\r\n"
        assert await client.call("SETBIT k 7 1") == b":0\r\n"
        assert data[b"k"] == b"\x1f" + b"\xff" * 8 + b"\xfe"
        assert kept == b"\xe1" + bytes(8) + b"\x01"


async def test_only_changes_are_propagated() -> None:
    async with running() as broker, running() as other:
        client = await broker.client()
        seen = journal(broker.broker)
        for command in (
            "SETBIT k 9 1", "SETBIT k 9 1", "SETBIT k 100 0", "GETBIT k 9", "BITCOUNT k", "BITPOS k 1",
            "BITOP OR d k nothing", "BITOP AND nothing nowhere", "BITOP AND d nowhere", "SETBIT k x 1",
        ):  # fmt: skip
            await client.call(command)
        assert lines(seen) == ["SETBIT k 9 1", "SETBIT k 100 0", "BITOP OR d k nothing", "BITOP AND d nowhere"]
        await replay(seen, other)
        assert contents(other.broker) == contents(broker.broker)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SETBIT k -1 1", b"ERR bit offset is not an integer or out of range"),
        ("SETBIT k 8388608 1", b"ERR bit offset is not an integer or out of range"),
        ("GETBIT k 8388608", b"ERR bit offset is not an integer or out of range"),
        ("SETBIT k 1 2", b"ERR bit is not an integer or out of range"),
        ("SETBIT l 1 1", b"WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("BITCOUNT k 1", b"ERR syntax error"),
        ("BITCOUNT k 1 2 BITS", b"ERR syntax error"),
        ("BITCOUNT k x 2", b"ERR value is not an integer or out of range"),
        ("BITPOS k 2", b"ERR The bit argument must be 1 or 0."),
        ("BITOP NAND d k", b"ERR syntax error"),
        ("BITOP NOT d k k", b"ERR BITOP NOT must be called with a single source key."),
        ("BITOP diff1 d k", b"ERR BITOP DIFF1 must be called with at least two source keys."),
        ("BITOP OR d k l", b"WRONGTYPE Operation against a key holding the wrong kind of value"),
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
