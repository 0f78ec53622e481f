"""Keys by pattern, and what is stored in one, a bounded part at a time.

No command reads elements up to a number of bytes. How many are read at once therefore depends on their mean size, as
MEMORY USAGE estimates it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command, Reply
from consumers.console.asking import BYTES, ask, has_command
from consumers.console.scanning import scan

__all__ = ["CHUNK", "WHOLE", "Element", "Row", "StoredKey", "bytes_of", "elements", "escaped", "find", "stored_key"]

SAMPLES = 5
"""Elements from which MEMORY USAGE estimates a key's size."""

WHOLE = 1 << 20
"""Bytes up to which a string is read whole, to be decoded."""

CHUNK = 8 * 1024
"""Bytes of a larger string on one page."""

ROUNDS = 10
"""Calls of HSCAN or SSCAN for one page."""

LENGTHS = {
    "string": b"STRLEN", "list": b"LLEN", "hash": b"HLEN", "set": b"SCARD", "zset": b"ZCARD", "stream": b"XLEN",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A key in a list; None is what the server does not tell. size: bytes of memory. ttl: seconds, None for no end."""

    name: bytes
    type: str | None
    size: int | None
    ttl: float | None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """length: elements, or bytes of a string; None for types that are unknown here."""

    name: bytes
    type: str
    encoding: str | None
    size: int | None
    ttl: float | None
    length: int | None


@dataclass(frozen=True, slots=True)
class Element:
    """name: a field, a member, or an index in a list. ttl: seconds, of a hash's field."""

    name: bytes
    value: bytes | None = None
    score: float | None = None
    ttl: float | None = None


def escaped(text: bytes) -> bytes:
    """Return the pattern that only this text matches."""
    return b"".join(b"\\" + text[i : i + 1] if text[i] in b"*?[]\\^-" else text[i : i + 1] for i in range(len(text)))


async def find(
    client: Client, pattern: bytes, type: str, after: str | None, limit: int
) -> tuple[list[Row], str | None]:
    """Return about `limit` keys in the order of their names, and the position of the next page; None at the end.

    Raises ValueError for another position, and the server's refusal.
    """
    names, position = await scan(client, pattern, after, limit, type)
    # a key may be found twice
    wanted = sorted(set(names))
    commands: list[Command] = [
        command
        for name in wanted
        for command in ((b"TYPE", name), (b"MEMORY", b"USAGE", name, b"SAMPLES", SAMPLES), (b"PTTL", name))
    ]
    replies = iter(await ask(client, commands))
    rows = []
    for name in wanted:
        kind, size, ttl = next(replies), next(replies), next(replies)
        if kind != b"none":
            rows.append(Row(name, _word(kind), size if isinstance(size, int) else None, _seconds(ttl)))
    return rows, position


def _word(reply: Reply) -> str | None:
    return reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else None


def _seconds(reply: Reply) -> float | None:
    return reply / 1000 if isinstance(reply, int) and reply >= 0 else None


async def stored_key(client: Client, name: bytes) -> StoredKey | None:
    """Return what is known of a key; None if there is none. Raises the server's refusal to tell its type."""
    kind, encoding, size, ttl = await ask(
        client,
        [(b"TYPE", name), (b"OBJECT", b"ENCODING", name), (b"MEMORY", b"USAGE", name, b"SAMPLES", 10 * SAMPLES),
         (b"PTTL", name)],
    )  # fmt: skip
    if isinstance(kind, RedisError):
        raise kind
    if kind == b"none":
        return None
    type = str(_word(kind))
    length = None
    if type in LENGTHS:
        (length,) = await ask(client, [(LENGTHS[type], name)])
    return StoredKey(
        name, type, _word(encoding), size if isinstance(size, int) else None, _seconds(ttl),
        length if isinstance(length, int) else None,
    )  # fmt: skip


async def _asked(client: Client, command: Command) -> Reply:
    (reply,) = await ask(client, [command])
    if isinstance(reply, RedisError):
        raise reply
    return reply


async def bytes_of(client: Client, key: StoredKey, offset: int | None) -> tuple[bytes, int | None]:
    """Return a string's bytes from an offset on, and the offset of what follows; None at the end.

    Without an offset, all of a string of up to WHOLE bytes.
    """
    whole = offset is None and (key.length or 0) <= WHOLE
    begin, size = offset or 0, WHOLE if whole else CHUNK
    data = await _asked(client, (b"GETRANGE", key.name, begin, begin + size - 1))
    after = begin + len(data)
    return data, after if after < (key.length or 0) and data else None


async def elements(client: Client, key: StoredKey, after: str | None, limit: int) -> tuple[list[Element], str | None]:
    """Return up to about `limit` elements of a list, set, sorted set or hash, and the position of the next page.

    None at the end. Raises ValueError for another position, KeyError for another type, and the server's refusal.
    """
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) <= 20):
        raise ValueError(f"{after!r} is not a position in a key")
    return await _READERS[key.type](client, key, int(after or 0), limit)


def _affordable(key: StoredKey, limit: int) -> int:
    """Return how many elements may be read at once."""
    mean = (key.size or 0) / max(1, key.length or 0)
    return max(1, min(limit, int(BYTES / max(1.0, mean))))


async def _list(client: Client, key: StoredKey, begin: int, limit: int) -> tuple[list[Element], str | None]:
    wanted = _affordable(key, limit)
    found = await _asked(client, (b"LRANGE", key.name, begin, begin + wanted - 1))
    return [Element(b"%d" % (begin + n), one) for n, one in enumerate(found)], _following(key, begin, len(found))


async def _sorted_set(client: Client, key: StoredKey, begin: int, limit: int) -> tuple[list[Element], str | None]:
    wanted = _affordable(key, limit)
    found = await _asked(client, (b"ZRANGE", key.name, begin, begin + wanted - 1, b"WITHSCORES"))
    return [Element(one, score=float(score)) for one, score in found], _following(key, begin, len(found))


def _following(key: StoredKey, begin: int, count: int) -> str | None:
    end = begin + count
    return str(end) if count and end < (key.length or 0) else None


async def _set(client: Client, key: StoredKey, cursor: int, limit: int) -> tuple[list[Element], str | None]:
    found, after = await _scanned(client, b"SSCAN", key, cursor, limit)
    return [Element(one) for one in dict.fromkeys(found)], after


async def _hash(client: Client, key: StoredKey, cursor: int, limit: int) -> tuple[list[Element], str | None]:
    found, after = await _scanned(client, b"HSCAN", key, cursor, 2 * limit)
    pairs = dict(zip(found[::2], found[1::2], strict=True))
    ends: Reply = None
    if pairs and await has_command(client, b"HPTTL"):
        (ends,) = await ask(client, [(b"HPTTL", key.name, b"FIELDS", len(pairs), *pairs)])
    ttls = ends if isinstance(ends, list) else [None] * len(pairs)
    return [Element(name, pairs[name], ttl=_seconds(ttl)) for name, ttl in zip(pairs, ttls, strict=True)], after


async def _scanned(
    client: Client, verb: bytes, key: StoredKey, cursor: int, limit: int
) -> tuple[list[bytes], str | None]:
    found: list[bytes] = []
    total = 0
    for _ in range(ROUNDS):
        reply = await _asked(client, (verb, key.name, cursor, b"COUNT", _affordable(key, limit)))
        cursor = int(reply[0])
        found += reply[1]
        total += sum(map(len, reply[1]))
        if cursor == 0 or len(found) >= limit or total >= BYTES:
            break
    return found, str(cursor) if cursor else None


_READERS: dict[str, Callable[[Client, StoredKey, int, int], Awaitable[tuple[list[Element], str | None]]]] = {
    "list": _list, "set": _set, "zset": _sorted_set, "hash": _hash,
}  # fmt: skip
