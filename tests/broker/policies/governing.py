"""A broker with stream-extensions whose time is Trio's, for tests of policies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.process.clock import TrioClock
from tests.broker.inprocess import Broker, Client, running
from tests.oracle.wire import Node, parse

__all__ = ["GROUP", "dead_letters", "governing", "group_facts", "ids", "pending"]

GROUP = ("XADD s 1-1 a 1", "XADD s 2-1 a 2", "XADD s 3-1 a 3", "XGROUP CREATE s g 0")
"""A stream of three entries, and a group that has read none."""


@asynccontextmanager
async def governing(*setup: str, **directives: str) -> AsyncIterator[tuple[Broker, Client]]:
    """Run a broker; yields it with a client that has executed the commands `setup`."""
    settings = {"stream-extensions": "yes"} | {name.replace("_", "-"): value for name, value in directives.items()}
    async with running(settings, clock=TrioClock()) as broker:
        client = await broker.client()
        for line in setup:
            reply = await client.call(line)
            assert not reply.startswith(b"-"), (line, reply)
        yield broker, client


def ids(reply: bytes) -> list[str]:
    """The IDs in a reply of XREADGROUP for one stream, of XRANGE or of XPENDING; [] for nil."""
    node = parse(reply)
    if not node.items:
        return []
    entries = node.items[0].items[1].items if node.items[0].items and node.items[0].items[1].items else node.items
    if not entries[0].items or not entries[0].items[0].text:
        return []
    return [entry.items[0].text.decode() for entry in entries]


async def pending(client: Client, *, key: str = "s", group: str = "g") -> list[tuple[str, str, int, int]]:
    """ID, consumer, idle time and number of deliveries of each pending entry."""
    rows = parse(await client.call("XPENDING", key, group, "-", "+", 1000)).items
    return [(_text(row.items[0]), _text(row.items[1]), int(row.items[2].text), int(row.items[3].text)) for row in rows]


async def dead_letters(client: Client, key: str = "dlq") -> list[dict[str, str]]:
    """The fields of each dead letter."""
    found = []
    for entry in parse(await client.call("XRANGE", key, "-", "+")).items:
        words = [_text(word) for word in entry.items[1].items]
        found.append(dict(zip(words[::2], words[1::2], strict=True)))
    return found


async def group_facts(client: Client, key: str = "s") -> dict[str, Node]:
    """What XINFO GROUPS says of the first group."""
    [row] = parse(await client.call("XINFO", "GROUPS", key)).items
    return {_text(name): value for name, value in zip(row.items[::2], row.items[1::2], strict=True)}


def _text(node: Node) -> str:
    return node.text.decode()
