"""HyperLogLog commands: what is kept, propagated and refused."""

import pytest

from tests.broker.effects import contents, journal, lines, replay
from tests.broker.inprocess import running

NOT_ONE = b"-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n"
CORRUPTED = b"-INVALIDOBJ Corrupted HLL object detected\r\n"


async def test_only_changes_are_propagated() -> None:
    async with running() as broker, running() as other:
        client = await broker.client()
        seen = journal(broker.broker)
        changing = ["PFADD k a b", "PFCOUNT k", "PFADD k c", "PFMERGE d k", "PFDEBUG TODENSE d", "PFDEBUG GETREG k"]
        for command in (
            changing[0], "PFADD k a", changing[1], "PFCOUNT k", "PFCOUNT k d", *changing[2:5], "PFDEBUG TODENSE d",
            "PFDEBUG ENCODING k", "PFDEBUG DECODE k", changing[5], "PFDEBUG GETREG k", "PFCOUNT nothing",
        ):  # fmt: skip
            await client.call(command)
        assert lines(seen) == changing
        await replay(seen, other)
        assert contents(other.broker) == contents(broker.broker)


async def test_a_value_moves_by_get_and_set() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PFADD k", *(f"element:{n}" for n in range(500)))
        assert await client.call("PFADD", "k", *(f"element:{n}" for n in range(500))) == b":1\r\n"
        estimated = await client.call("PFCOUNT k")
        value = (await client.call("GET k")).partition(b"\r\n")[2][:-2]
        await client.call("SET", "copy", value)
        assert await client.call("PFCOUNT copy") == estimated
        assert await client.call("PFADD copy element:7") == b":0\r\n"
        assert await client.call("PFCOUNT copy k") == estimated


@pytest.mark.parametrize("value", [b"", b"HYLL", b"HYLL\x02" + bytes(11), b"HYLL\0" + bytes(11), b"x" * 20])
async def test_other_strings_are_refused(value: bytes) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET", "k", value)
        for command in ("PFADD k a", "PFCOUNT k", "PFCOUNT k k", "PFMERGE k", "PFMERGE d k", "PFDEBUG ENCODING k"):
            assert await client.call(command) == NOT_ONE
        assert await client.call("DBSIZE") == b":1\r\n"


async def test_a_broken_value_is_refused_and_kept_as_it_is() -> None:
    # The registers end before those of most elements; `b"8"` and some others still find theirs.
    value = b"HYLL\x01" + bytes(10) + b"\x80" + b"\x60\x00"
    async with running() as broker:
        client = await broker.client()
        await client.call("SET", "k", value)
        for command in (
            "PFCOUNT k",
            "PFCOUNT k k",
            "PFMERGE d k",
            "PFMERGE k",
            "PFDEBUG TODENSE k",
            "PFDEBUG GETREG k",
        ):
            assert await client.call(command) == CORRUPTED
        for n in range(50):
            await client.call("SET", "k", value)
            added = await client.call("PFADD", "k", n)
            await client.call("SET", "k", value)
            assert await client.call("PFADD", "k", n, "a") == CORRUPTED
            assert (await client.call("GET k")).endswith(value + b"\r\n")
            if added == b":1\r\n":
                break
        else:
            pytest.fail("no element has a register that is there")


async def test_the_inside() -> None:
    async with running({"hll-sparse-max-bytes": "0"}) as broker:
        client = await broker.client()
        await client.call("PFADD k")
        assert await client.call("PFDEBUG DECODE k") == b"$7\r\nZ:16384\r\n"
        await client.call("PFADD k a")
        assert await client.call("PFDEBUG ENCODING k") == b"+dense\r\n"
        assert await client.call("PFDEBUG DECODE k") == b"-ERR HLL encoding is not sparse\r\n"
        registers = (await client.call("PFDEBUG GETREG k")).split(b"\r\n")
        assert (registers[0], registers[1 + 12711]) == (b"*16384", b":2")
        assert await client.call("PFDEBUG SIMD on") == b"+disabled\r\n"
        assert await client.call("PFDEBUG SIMD maybe") == b"-ERR Argument must be ON or OFF\r\n"
        assert await client.call("PFDEBUG WHAT k") == b"-ERR Unknown PFDEBUG subcommand 'WHAT'\r\n"
        assert await client.call("PFDEBUG WHAT nothing") == b"-ERR The specified key does not exist\r\n"


async def test_the_self_test() -> None:
    for limit in ("0", "3000", "20000"):
        async with running({"hll-sparse-max-bytes": limit}) as broker:
            client = await broker.client()
            assert await client.call("PFSELFTEST") == b"+OK\r\n"
            assert await client.call("DBSIZE") == b":0\r\n"
