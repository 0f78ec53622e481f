"""One stream: its entries, newest first, its groups and their pending entries, a bounded part at a time.

What XINFO tells is passed on field by field, since servers differ in what they have: Trimaran has policies there.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from coredis.exceptions import ConnectionError, RedisError

from consumers.connecting import Client, Command, Reply
from consumers.connection import open_link
from consumers.console.asking import BYTES, SLICE, ask, pairs, transaction
from consumers.console.server import Server, Unreachable
from consumers.console.values import View, line, view
from consumers.deadletters import DeadLetter, read_letter, redrive, way_back
from consumers.transactions import Ask

__all__ = [
    "Consumer", "Entry", "Group", "Pending", "StreamDetails", "consumers_of", "details", "entries", "entry",
    "field_views", "follow", "newest", "pending", "pending_entry", "redrive_all", "redrive_one",
]  # fmt: skip

GROUPS = 200
"""Groups that are shown."""

CONSUMERS = 200
"""Consumers of a group that are shown: those that were active last."""

CONSUMERS_READ = 10_000
"""XINFO CONSUMERS has no limit of its own; beyond so many it is not sent."""

FIELDS = 20
"""Fields of an entry in a list."""

REDRIVEN = 1000
"""Dead letters that are redriven at once."""

FOLLOWED = 50
"""Entries that a viewer is sent at once: the newest."""

PAUSE = 0.25
"""Seconds between two looks for a viewer, at least."""

BLOCK_SECONDS = 10

_HIDDEN = frozenset((b"radix-tree-keys", b"radix-tree-nodes", b"first-entry", b"last-entry", b"groups"))
_ID = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")

EARLIEST_MS, LATEST_MS = 10**11, 253_402_300_799_000
"""IDs between are times, the first in 1973, the last in 9999."""


@dataclass(frozen=True, slots=True)
class Entry:
    """fields: names and values in order. letter: what it says if it is a dead letter."""

    id: str
    fields: tuple[tuple[bytes, bytes], ...]
    letter: DeadLetter | None = None

    @property
    def time(self) -> float | None:
        """When it was added, in seconds since 1970, if its ID is a time."""
        milliseconds = int(self.id.partition("-")[0])
        return milliseconds / 1000 if EARLIEST_MS < milliseconds < LATEST_MS else None


@dataclass(frozen=True, slots=True)
class Group:
    """facts: the fields of XINFO GROUPS, by name."""

    name: bytes
    consumers: int
    pending: int
    lag: int | None
    last_delivered: str
    facts: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """facts: the fields of XINFO STREAM, by name. groups: at most GROUPS of `total_groups`. size: bytes of memory."""

    facts: list[tuple[str, str]]
    groups: list[Group]
    total_groups: int
    size: int | None
    ttl: float | None


@dataclass(frozen=True, slots=True)
class Consumer:
    """idle, inactive: seconds since it has asked for entries, and since it was given some; None: unknown."""

    name: bytes
    pending: int
    idle: float
    inactive: float | None


@dataclass(frozen=True, slots=True)
class Pending:
    """An entry that was delivered and not acknowledged. idle: seconds since its last delivery."""

    id: str
    consumer: bytes
    idle: float
    deliveries: int


def is_id(text: str) -> bool:
    """Whether the text is an entry's ID."""
    return _ID.fullmatch(text) is not None


async def _asked(client: Client, command: Command) -> Reply:
    (reply,) = await ask(client, [command])
    if isinstance(reply, RedisError):
        raise reply
    return reply


async def entries(
    client: Client, key: bytes, after: str | None, limit: int, *, down_to: str = "-"
) -> tuple[list[Entry], str | None]:
    """Return up to `limit` entries older than `after`, newest first, and what to pass as `after` for the next page.

    Fewer if they are large. down_to: where to stop, as XREVRANGE takes it. Raises ValueError for an `after` that is no
    ID, and the server's refusal.
    """
    if after is not None and not is_id(after):
        raise ValueError(f"{after!r} is not an entry's ID")
    found: list[Entry] = []
    total, more = 0, True
    while more and len(found) < limit and total < BYTES:
        wanted = min(SLICE, limit - len(found))
        begin = f"({found[-1].id}" if found else "+" if after is None else f"({after}"
        some = await _asked(client, (b"XREVRANGE", key, begin, down_to, b"COUNT", wanted))
        found += [_entry(one) for one in some]
        total += sum(len(part) for one in some for part in one[1])
        more = len(some) == wanted
    return found, found[-1].id if found and more else None


def _entry(reply: Reply) -> Entry:
    id, values = reply
    return Entry(id.decode(), tuple(zip(values[::2], values[1::2], strict=True)), read_letter(id, values))


async def entry(client: Client, key: bytes, id: str) -> Entry | None:
    """Return one entry; None if there is none. Raises the server's refusal."""
    if not is_id(id):
        return None
    found = await _asked(client, (b"XRANGE", key, id, id))
    return _entry(found[0]) if found else None


def field_views(one: Entry, most: int, limit: int) -> list[tuple[bytes, View]]:
    """Return the first fields of an entry, decoded, each with at most `limit` characters."""
    return [(name, view(value, limit)) for name, value in one.fields[:most]]


# The stream and its groups.


async def details(client: Client, key: bytes) -> StreamDetails | None:
    """Return what the server knows about a stream; None if there is none. Raises the server's refusal."""
    kind, stream, groups, size, ttl = await ask(
        client,
        [(b"TYPE", key), (b"XINFO", b"STREAM", key), (b"XINFO", b"GROUPS", key), (b"MEMORY", b"USAGE", key),
         (b"PTTL", key)],
    )  # fmt: skip
    if kind == b"none":
        return None
    for reply in (kind, stream, groups):
        if isinstance(reply, RedisError):
            raise reply
    return StreamDetails(
        facts=_facts(pairs(stream)), groups=[_group(pairs(one)) for one in groups[:GROUPS]],
        total_groups=len(groups), size=size if isinstance(size, int) else None,
        ttl=ttl / 1000 if isinstance(ttl, int) and ttl >= 0 else None,
    )  # fmt: skip


def _facts(found: Mapping[bytes, Any]) -> list[tuple[str, str]]:
    return [
        (name.decode("utf-8", "backslashreplace"), _told(value)) for name, value in found.items() if name not in _HIDDEN
    ]


def _told(value: Reply) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else line(value)


def _group(found: Mapping[bytes, Any]) -> Group:
    return Group(
        name=found[b"name"], consumers=found[b"consumers"], pending=found[b"pending"], lag=found.get(b"lag"),
        last_delivered=_told(found[b"last-delivered-id"]), facts=_facts(found),
    )  # fmt: skip


async def consumers_of(client: Client, key: bytes, group: Group) -> list[Consumer] | None:
    """Return the consumers that were active last; None if there are too many to ask for. Raises RedisError."""
    if group.consumers > CONSUMERS_READ:
        return None
    found = [pairs(one) for one in await _asked(client, (b"XINFO", b"CONSUMERS", key, group.name))]
    found.sort(key=lambda one: int(one[b"idle"]))
    return [
        Consumer(
            name=one[b"name"], pending=one[b"pending"], idle=one[b"idle"] / 1000,
            inactive=one[b"inactive"] / 1000 if one.get(b"inactive", -1) >= 0 else None,
        )
        for one in found[:CONSUMERS]
    ]  # fmt: skip


async def pending(
    client: Client, key: bytes, group: bytes, after: str | None, limit: int
) -> tuple[list[Pending], str | None]:
    """Return up to `limit` pending entries newer than `after`, oldest first, and `after` of the next page.

    Raises ValueError for an `after` that is no ID, and the server's refusal.
    """
    if after is not None and not is_id(after):
        raise ValueError(f"{after!r} is not an entry's ID")
    found = await _pending(client, key, group, "-" if after is None else f"({after}", "+", limit)
    return found, found[-1].id if len(found) == limit else None


async def pending_entry(client: Client, key: bytes, group: bytes, id: str) -> Pending | None:
    """Return one pending entry; None if it is not pending. Raises the server's refusal."""
    found = await _pending(client, key, group, id, id, 1) if is_id(id) else []
    return found[0] if found else None


async def _pending(client: Client, key: bytes, group: bytes, begin: str, end: str, limit: int) -> list[Pending]:
    reply = await _asked(client, (b"XPENDING", key, group, begin, end, limit))
    return [Pending(id.decode(), name, idle / 1000, count) for id, name, idle, count in reply]


# Dead letters.


async def redrive_one(client: Client, key: bytes, id: str) -> str | None:
    """Return a dead letter to where it came from, and that stream's name; None if there is no such letter (any more).

    Raises the server's refusal.
    """

    async def decide(ask: Ask) -> tuple[Sequence[Command], str | None]:
        (found,) = await ask([(b"XRANGE", key, id, id)])
        letter = _entry(found[0]).letter if found else None
        if letter is None:
            return [], None
        return way_back(key, letter, letter.stream), letter.stream

    return await transaction(client, [key], decide) if is_id(id) else None


async def redrive_all(client: Client, key: bytes) -> int:
    """Return the oldest dead letters, up to REDRIVEN, to where they came from, and how many. Raises RedisError."""
    return await redrive(client, key, count=REDRIVEN)


# Following.


async def newest(client: Client, key: bytes) -> str:
    """Return the ID of the newest entry; 0-0 if there is none."""
    found, _ = await entries(client, key, None, 1)
    return found[0].id if found else "0-0"


async def follow(server: Server, key: bytes, push: Callable[[list[Entry], bool], Awaitable[None]]) -> str:
    """Push the entries that are added from now on, newest first, until it is cancelled or fails; returns why it failed.

    The flag says that there were more than FOLLOWED, or more than a page reads, since the last time. An empty list is
    pushed at the start, and now and then while nothing is added. Waits on a connection of its own.
    """
    try:
        async with server.client() as client, open_link(client, key) as link:
            last = await newest(client, key)
            await push([], False)
            while True:
                wait: Command = (b"XREAD", b"COUNT", 1, b"BLOCK", BLOCK_SECONDS * 1000, b"STREAMS", key, last)
                reply = await link.read(wait, limit=BLOCK_SECONDS + 5.0)
                if isinstance(reply, RedisError):
                    raise reply
                found, more = await entries(client, key, None, FOLLOWED, down_to=f"({last}") if reply else ([], None)
                last = found[0].id if found else last
                await push(found, more is not None)
                await anyio.sleep(PAUSE)
    except (RedisError, ConnectionError, Unreachable, OSError) as error:
        return str(error) or type(error).__name__
