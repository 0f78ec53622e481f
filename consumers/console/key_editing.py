"""Changes of keys and their elements. Each is one transaction, which does nothing if what the user has seen is gone.

An element has a name, as in keys.Element: a field, a member, an index; a string is its own only element, with no name.
FIRST and LAST name the ends of a list, for what is added to it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from consumers.connecting import Client, Command, Reply
from consumers.console.asking import ask, has_command, transaction
from consumers.console.entered import OFFER_LIMIT
from consumers.errors import ConsumerError
from consumers.transactions import Ask

__all__ = ["ABSENT", "EDITABLE", "FIRST", "LAST", "Stale", "digest", "element", "put", "remove"]

EDITABLE = ("string", "hash", "list", "set", "zset")
FIRST, LAST = b"first", b"last"

ABSENT = "absent"
"""The digest of an element that is not there."""


class Stale(ConsumerError):
    """The key is not what the user has seen; the text says how, in one sentence."""


def digest(value: Reply) -> str:
    """Return what identifies an element's value, as element() returns it."""
    if value is None:
        return ABSENT
    data = value if isinstance(value, bytes) else repr(value).encode()
    return hashlib.sha256(data).hexdigest()[:32]


async def element(client: Client, key: bytes, type: str, name: bytes) -> Reply:
    """Return an element's value: bytes, a score, or 1 for a set's member. A string is cut beyond OFFER_LIMIT.

    None if there is none. Raises the server's refusal.
    """
    (reply,) = await ask(client, [_question(key, type, name)])
    if isinstance(reply, Exception):
        raise reply
    return _value(type, reply)


def _question(key: bytes, type: str, name: bytes) -> Command:
    match type:
        case "string":
            return (b"GETRANGE", key, 0, OFFER_LIMIT)
        case "hash":
            return (b"HGET", key, name)
        case "list":
            return (b"LINDEX", key, _index(name))
        case "set":
            return (b"SISMEMBER", key, name)
        case "zset":
            return (b"ZSCORE", key, name)
    raise Stale(f"Values of the type {type} can't be changed here.")


def _index(name: bytes) -> int:
    if not (name.isdigit() and len(name) < 19):
        raise Stale("A list has no such element.")
    return int(name)


def _value(type: str, reply: Reply) -> Reply:
    return None if type == "set" and reply == 0 else reply


async def put(
    client: Client, key: bytes, type: str, name: bytes, value: bytes, seen: str, *, new: bool = False
) -> None:
    """Store an element; of a sorted set, `value` is the score.

    seen: the digest of the value that it replaces. new: the key must not exist yet. Raises Stale, or the server's
    refusal.
    """

    expiring = type == "hash" and await has_command(client, b"HPEXPIRETIME")

    async def commands(ask: Ask) -> Sequence[Command]:
        match type:
            case "string":
                return [(b"SET", key, value, b"KEEPTTL")]
            case "hash":
                return await _set_field(ask, key, name, value, expiring=expiring)
            case "list" if name in (FIRST, LAST):
                return [(b"LPUSH" if name == FIRST else b"RPUSH", key, value)]
            case "list":
                return [(b"LSET", key, _index(name), value)]
            case "set":
                return [(b"SADD", key, name)]
        return [(b"ZADD", key, value, name)]

    await _change(client, key, type, name, seen, commands, new=new)


async def _set_field(ask: Ask, key: bytes, name: bytes, value: bytes, *, expiring: bool) -> Sequence[Command]:
    """HSET would drop the field's expiration."""
    ends = -1
    if expiring:
        (reply,) = await ask([(b"HPEXPIRETIME", key, b"FIELDS", 1, name)])
        # no list: there is no such key
        ends = reply[0] if isinstance(reply, list) else -1
    again: list[Command] = [(b"HPEXPIREAT", key, ends, b"FIELDS", 1, name)] if ends > 0 else []
    return [(b"HSET", key, name, value), *again]


async def remove(client: Client, key: bytes, type: str, name: bytes, seen: str) -> None:
    """Remove an element. Raises Stale, or the server's refusal."""

    async def commands(ask: Ask) -> Sequence[Command]:
        match type:
            case "hash":
                return [(b"HDEL", key, name)]
            case "list":
                # nothing removes by index: the element is replaced by one that is there only once
                mark = b"removed:" + secrets.token_bytes(16)
                return [(b"LSET", key, _index(name), mark), (b"LREM", key, 1, mark)]
            case "set":
                return [(b"SREM", key, name)]
            case "zset":
                return [(b"ZREM", key, name)]
        raise Stale("That is no element.")

    await _change(client, key, type, name, seen, commands)


async def _change(
    client: Client, key: bytes, type: str, name: bytes, seen: str, commands: Any, *, new: bool = False
) -> None:
    pushed = type == "list" and name in (FIRST, LAST)
    question = _question(key, type, name if not pushed else b"0")

    async def decide(ask: Ask) -> tuple[Sequence[Command], None]:
        ((kind),) = await ask([(b"TYPE", key)])
        expected = "none" if new else type
        if kind.decode("utf-8", "backslashreplace") != expected:
            raise Stale("There is such a key already." if new else f"There is no such {type} any more.")
        if not pushed and not new:
            (reply,) = await ask([question])
            if digest(_value(type, reply)) != seen:
                raise Stale(
                    "There is such an element already." if seen == ABSENT else "The value has changed meanwhile."
                )
        return await commands(ask), None

    await transaction(client, [key], decide)
