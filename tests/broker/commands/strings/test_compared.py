"""DELEX, DELIFEQ, DIGEST, LCS."""

import pytest

from tests.broker.effects import journal, lines
from tests.broker.inprocess import running

ABC = "78af5f94892f3950"  # XXH3-64 of "abc"


@pytest.mark.parametrize(
    ("command", "reply", "effects"),
    [
        ("DELEX s", b":1", ["DEL s"]),
        ("DELEX l", b":1", ["DEL l"]),
        ("DELEX s IFEQ abc", b":1", ["DEL s"]),
        ("DELEX s IFNE abc", b":0", []),
        (f"DELEX s ifdeq {ABC.upper()}", b":1", ["DEL s"]),
        (f"DELEX s IFDNE {ABC}", b":0", []),
        ("DELEX no IFEQ abc", b":0", []),
        ("DELEX s IFEQ", b"-ERR wrong number of arguments for 'delex' command", []),
        ("DELEX s BOGUS a", b"-ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE", []),
        ("DELEX l IFEQ a", b"-ERR Key should be of string type if conditions are specified", []),
        ("DELEX s IFDEQ abc", b"-ERR must be exactly 16 hexadecimal characters", []),
        ("DELIFEQ s abc", b":1", ["DEL s"]),
        ("DELIFEQ s abd", b":0", []),
        ("DELIFEQ no abc", b":0", []),
        ("DELIFEQ l a", b"-WRONGTYPE Operation against a key holding the wrong kind of value", []),
        ("DIGEST s", b"$16\r\n" + ABC.encode(), []),
        ("DIGEST no", b"$-1", []),
        ("LCS s s LEN", b":3", []),
        ("LCS s l", b"-ERR The specified keys must contain string values", []),
    ],
)
async def test_compared(command: str, reply: bytes, effects: list[str]) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET s abc")
        await client.call("RPUSH l a")
        seen = journal(broker.broker)
        assert await client.call(command) == reply + b"\r\n"
        assert lines(seen) == effects


async def test_lcs_is_bounded() -> None:
    async with running({"proto-max-bulk-len": "1048576"}) as broker:
        client = await broker.client()
        await client.call("SET", "a", "x" * 600)
        await client.call("SET", "b", "y" * 600)
        assert (await client.call("LCS a b")).startswith(b"-ERR Insufficient memory")
