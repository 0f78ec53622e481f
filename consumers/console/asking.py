"""Commands to a server that belong together, in round trips of bounded size; in a cluster, to the nodes that they need.

A read that may be answered with more than expected has a bound here as well: elements of lists come in slices until a
number of bytes is reached, since no command of the server has such a limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import ConnectionError, RedisError, WrongTypeError
from coredis.pool import ClusterConnectionPool

from consumers import names
from consumers.connecting import Client, Command, Reply, slot_of
from consumers.connection import open_link, send_batch
from consumers.transactions import Ask, Decision, Transactions

__all__ = [
    "BATCH",
    "BYTES",
    "ask",
    "ask_node",
    "encoded",
    "has_command",
    "integer",
    "known",
    "nodes",
    "pairs",
    "sliced",
    "text",
    "transaction",
]

BATCH = 500
"""Commands in one round trip."""

BYTES = 4 << 20
"""How much of a collection's elements is read for one page, apart from the last slice."""

SLICE = 10
"""Elements that are read at once: one may have a size of megabytes."""

CONTAINERS = frozenset((b"MEMORY", b"OBJECT", b"XGROUP", b"XINFO"))
"""Commands whose subcommand stands before the key."""

T = TypeVar("T")


async def ask(client: Client, commands: Sequence[Command]) -> list[Reply]:
    """Return the replies in order, error replies as RedisError objects. Raises ConnectionError.

    The first argument of each command is its key, or the one after the subcommand for those of CONTAINERS. Texts are
    sent as `encoded` has them.
    """
    replies: list[Reply] = []
    for begin in range(0, len(commands), BATCH):
        replies += await _batch(client, _without_text(commands[begin : begin + BATCH]))
    return replies


def encoded(text: str) -> bytes:
    """Return what was stored: surrogates that stand for bytes become these, others, as JSON may contain, "?"."""
    try:
        return names.encoded(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _without_text(commands: Sequence[Command]) -> list[Command]:
    """The client would drop the connection for a text that is not UTF-8."""
    return [tuple(encoded(one) if isinstance(one, str) else one for one in command) for command in commands]


async def _batch(client: Client, commands: Sequence[Command]) -> list[Reply]:
    pool: Any = client.connection_pool
    if not isinstance(pool, ClusterConnectionPool):
        return await _send(client, None, commands)
    places: dict[Any, list[int]] = {}
    for index, command in enumerate(commands):
        key = command[2] if command[0] in CONTAINERS else command[1]
        slot = slot_of(client, key if isinstance(key, bytes) else str(key)) or 0
        places.setdefault(pool.cluster_layout.node_for_slot(slot), []).append(index)
    found: dict[int, Reply] = {}
    for node, indices in places.items():
        replies = await _send(client, node, [commands[index] for index in indices])
        found |= dict(zip(indices, replies, strict=True))
    return [found[index] for index in range(len(commands))]


async def ask_node(client: Client, node: Any, commands: Sequence[Command]) -> list[Reply]:
    """Return the replies of one of nodes()."""
    return await _send(client, node, _without_text(commands))


async def _send(client: Client, node: Any, commands: Sequence[Command]) -> list[Reply]:
    async with _acquired(client, node) as connection:
        waiting = send_batch(connection, commands, None)
    replies = list(await waiting)
    for reply in replies:
        if isinstance(reply, BaseException) and (
            not isinstance(reply, RedisError) or isinstance(reply, ConnectionError)
        ):
            raise ConnectionError(f"connection lost: {reply}") from reply
    return replies


@asynccontextmanager
async def _acquired(client: Client, node: Any) -> AsyncIterator[BaseConnection]:
    pool: Any = client.connection_pool
    async with pool.acquire() if node is None else pool.acquire(node=node) as connection:
        yield connection


def nodes(client: Client) -> list[Any]:
    """The nodes that together have all keys: primaries of a cluster, or None for the one server."""
    pool: Any = client.connection_pool
    if not isinstance(pool, ClusterConnectionPool):
        return [None]
    primaries: list[Any] = list(pool.cluster_layout.primaries)
    return sorted(primaries, key=lambda node: (TCPLocation(node.host, node.port).host, node.port))


async def has_command(client: Client, name: bytes) -> bool:
    """Whether the server has a command, and says so.

    Asked before a command that older servers lack is sent with a key: they quote the arguments in their error reply,
    and coredis (6.9) drops the connection if that is not UTF-8.
    """
    (reply,) = await ask(client, [(b"COMMAND", b"INFO", name)])
    if not isinstance(reply, list) or len(reply) != 1:
        return False
    return reply[0] is not None and reply[0] != []


def known(reply: Reply) -> Reply:
    """A reply; None for an error that says that a key has another type. Raises other error replies."""
    if isinstance(reply, WrongTypeError):
        return None
    if isinstance(reply, RedisError):
        raise reply
    return reply


def integer(reply: Reply) -> int:
    """A count; 0 if there is no such key, or it has another type. Raises other error replies."""
    found = known(reply)
    return found if isinstance(found, int) else 0


def pairs(reply: Reply) -> Mapping[Any, Any]:
    """Return a map that a server may send as a list."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def text(data: bytes | str | None) -> str:
    """Stored bytes as text, from which `encoded` makes the same bytes again; undecodable ones are surrogates."""
    return names.decoded(data) if isinstance(data, bytes) else data or ""


async def sliced(count: int, size: Callable[[T], int], read: Callable[[int, int], Awaitable[list[T]]]) -> list[T]:
    """Read `count` elements in slices, fewer if they are large. read: takes the first one's number and how many."""
    found: list[T] = []
    total = 0
    while len(found) < count and total < BYTES:
        wanted = min(SLICE, count - len(found))
        some = await read(len(found), wanted)
        found += some
        total += sum(map(size, some))
        if len(some) < wanted:
            break
    return found


async def transaction(client: Client, watched: Sequence[str | bytes], decide: Decision[T]) -> T:
    """Run one transaction, see Transactions.run, on a connection of its own. Texts are sent as `encoded` has them."""
    keys = [encoded(one) if isinstance(one, str) else one for one in watched]

    async def decide_in_bytes(query: Ask) -> tuple[Sequence[Command], T]:
        commands, value = await decide(lambda some: query(_without_text(some)))
        return _without_text(commands), value

    async with open_link(client, keys[0]) as link:
        return await Transactions(link).run(keys, decide_in_bytes)
