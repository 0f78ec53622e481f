"""OBJECT: encodings, reference counts and access times of values.

The encodings are those that Redis would choose for the same content; clients and monitoring tools read them, though
nothing here is stored that way. Redis never converts a hash, set or sorted set back once it has been large. Here the
answer depends on the current content alone: to know that a value had been larger, every command that adds would have
to check sizes and lengths, at 40 ns each.
"""

from __future__ import annotations

from typing import Any, Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.config import Config
from broker.keyspace.access import LFU
from broker.table.command import READONLY, RO, command, container, key
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from protocol.errors import CommandError
from protocol.numbers import parse_integer
from protocol.replies import ONE, bulk, integer

# Redis keeps a short string in one 64-byte block with its key; the header takes 16 bytes, the two lengths and
# terminators take 7.
_EMBEDDED: Final = 64 - 16 - 7

_SWITCHING: Final = (
    b" Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)
_NO_IDLE_TIME: Final = b"ERR An LFU maxmemory policy is selected, idle time not tracked." + _SWITCHING
_NO_FREQUENCY: Final = b"ERR An LFU maxmemory policy is not selected, access frequency not tracked." + _SWITCHING

_KEY: Final = (key(RO, at=2),)
_TIPS: Final = ("nondeterministic_output",)

container("OBJECT", group="generic", since="2.2.3", summary="A container for commands that inspect values.")
declare_help(
    "OBJECT",
    group="generic",
    since="6.2.0",
    usage={"ENCODING": "<key>", "FREQ": "<key>", "IDLETIME": "<key>", "REFCOUNT": "<key>"},
)


def _inspected_value(session: Client, name: bytes) -> Any:
    """Returns the value at a key. Counts as a hit or a miss, but not as an access, and fires no keymiss event."""
    keyspace = session.broker.keyspace
    value = session.db.get_untouched(name)
    if value is None:
        keyspace.misses += 1
    else:
        keyspace.hits += 1
    return value


@command("OBJECT|ENCODING", arity=3, flags=READONLY, keys=_KEY, group="generic", since="2.2.3",
         syntax="key", summary="Returns the name of the encoding that Redis would choose for a value.",
         complexity="O(1), for small collections O(N) for N elements", tips=_TIPS)  # fmt: skip
def object_encoding(session: Client, args: list[bytes]) -> bytes:
    value = _inspected_value(session, args[2])
    if value is None:
        return session.resp.null
    return bulk(encoding_of(value, len(args[2]), session.broker.config))


def encoding_of(value: Any, key_length: int, config: Config) -> bytes:
    """Returns the encoding that Redis would choose for a value whose key has that many bytes."""
    kind = value.__class__
    if kind is bytes:
        if parse_integer(value) is not None:
            return b"int"
        return b"embstr" if key_length + len(value) <= _EMBEDDED else b"raw"
    if kind is bytearray:
        return b"raw"
    if kind is List:
        encoding: bytes = value.encoding(config.list_max_listpack_size)
    elif kind is Hash:
        encoding = value.encoding(config.hash_max_listpack_entries, config.hash_max_listpack_value)
    elif kind is SortedSet:
        encoding = value.encoding(config.zset_max_listpack_entries, config.zset_max_listpack_value)
    elif kind is Set:
        encoding = value.encoding(
            config.set_max_intset_entries, config.set_max_listpack_entries, config.set_max_listpack_value
        )
    else:
        return b"stream"
    return encoding


@command("OBJECT|REFCOUNT", arity=3, flags=READONLY, keys=_KEY, group="generic", since="2.2.3",
         syntax="key", summary="Returns the number of references to a value, always 1.", complexity="O(1)",
         tips=_TIPS)  # fmt: skip
def object_refcount(session: Client, args: list[bytes]) -> bytes:
    return session.resp.null if _inspected_value(session, args[2]) is None else ONE


@command("OBJECT|IDLETIME", arity=3, flags=READONLY, keys=_KEY, group="generic", since="2.2.3",
         syntax="key",
         summary="Returns the seconds since the last access; recording begins with the first call.",
         complexity="O(1)", tips=_TIPS)  # fmt: skip
def object_idletime(session: Client, args: list[bytes]) -> bytes:
    access = session.broker.access
    # Before the lookup below counts as an access.
    access.begin_recording()
    if _inspected_value(session, args[2]) is None:
        return session.resp.null
    if access.recorded == LFU:
        raise CommandError(_NO_IDLE_TIME)
    return integer(access.idle_seconds(session.db, args[2]))


@command("OBJECT|FREQ", arity=3, flags=READONLY, keys=_KEY, group="generic", since="4.0.0",
         syntax="key", summary="Returns the access counter of a key, under an LFU policy.",
         complexity="O(1)", tips=_TIPS)  # fmt: skip
def object_freq(session: Client, args: list[bytes]) -> bytes:
    if _inspected_value(session, args[2]) is None:
        return session.resp.null
    access = session.broker.access
    if access.recorded != LFU:
        raise CommandError(_NO_FREQUENCY)
    return integer(access.frequency(session.db, args[2]))
