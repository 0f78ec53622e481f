"""Keyspace events: what happened to a key, in Redis's classes, and the flags that select them.

A command module declares its events as constants (`LPUSH = Event(LIST, b"lpush")`) and passes one with each change. The
directive notify-keyspace-events selects classes by letter.
"""

from typing import Final, Protocol

KEYSPACE: Final = 1 << 0  # K: sent on __keyspace@<db>__:<key>
KEYEVENT: Final = 1 << 1  # E: sent on __keyevent@<db>__:<event>
GENERIC: Final = 1 << 2  # g
STRING: Final = 1 << 3  # $
LIST: Final = 1 << 4  # l
SET: Final = 1 << 5  # s
HASH: Final = 1 << 6  # h
ZSET: Final = 1 << 7  # z
EXPIRED_CLASS: Final = 1 << 8  # x
EVICTED_CLASS: Final = 1 << 9  # e
STREAM: Final = 1 << 10  # t
KEY_MISS: Final = 1 << 11  # m
MODULE: Final = 1 << 12  # d
NEW: Final = 1 << 13  # n
OVERWRITTEN: Final = 1 << 14  # o
TYPE_CHANGED: Final = 1 << 15  # c
SUBKEYSPACE: Final = 1 << 16  # S: sent on __subkeyspace@<db>__:<key>, with the affected fields
SUBKEYEVENT: Final = 1 << 17  # T: sent on __subkeyevent@<db>__:<event>
SUBKEYSPACEITEM: Final = 1 << 18  # I: sent on __subkeyspaceitem@<db>__:<key>\n<field>, once per field
SUBKEYSPACEEVENT: Final = 1 << 19  # V: sent on __subkeyspaceevent@<db>__:<event>|<key>
SUBKEYS: Final = SUBKEYSPACE | SUBKEYEVENT | SUBKEYSPACEITEM | SUBKEYSPACEEVENT
ARRAY: Final = 1 << 20  # a: for a type not implemented here; the letter is accepted all the same
POLICY: Final = 1 << 21  # p: what the policies of streams do; only with `stream-extensions`
ACCESS_RECORDED: Final = 1 << 28
CHANGE_RECORDED: Final = 1 << 29
RECORDED: Final = ACCESS_RECORDED | CHANGE_RECORDED
"""Not events, and without a letter: what is stored, or changed, also goes to broker.keyspace.access. Where nobody
listens and nothing is recorded, one test of the mask covers both."""
CHANGE_TRACKED: Final = 1 << 30
"""Not an event either: clients may hold keys in their caches, and must be told of what is changed."""
NOT_EVENTS: Final = RECORDED | CHANGE_TRACKED
ALL: Final = GENERIC | STRING | LIST | SET | HASH | ZSET | EXPIRED_CLASS | EVICTED_CLASS | STREAM | MODULE

_LETTERS: Final = {
    b"g": GENERIC,
    b"$": STRING,
    b"l": LIST,
    b"s": SET,
    b"h": HASH,
    b"z": ZSET,
    b"x": EXPIRED_CLASS,
    b"e": EVICTED_CLASS,
    b"t": STREAM,
    b"d": MODULE,
    b"a": ARRAY,
    b"n": NEW,
    b"o": OVERWRITTEN,
    b"c": TYPE_CHANGED,
    b"K": KEYSPACE,
    b"E": KEYEVENT,
    b"m": KEY_MISS,
    b"p": POLICY,
    b"S": SUBKEYSPACE,
    b"T": SUBKEYEVENT,
    b"I": SUBKEYSPACEITEM,
    b"V": SUBKEYSPACEEVENT,
}


class Event:
    """One kind of event: its class, and the name that is sent."""

    __slots__ = ("flag", "name")

    def __init__(self, flag: int, name: bytes) -> None:
        self.flag = flag
        self.name = name


class Notifier(Protocol):
    """Sends events to subscribers; `mask` (notify-keyspace-events) says on which channels."""

    def notify(self, event: Event, key: bytes, database: int, mask: int) -> None:
        """Send an event for one key."""

    def notify_all(self, event: Event, keys: list[bytes], database: int, mask: int) -> None:
        """Send an event for several keys, in order."""

    def notify_fields(self, event: Event, key: bytes, database: int, fields: list[bytes], mask: int) -> None:
        """Send an event for some fields of a hash."""


DEL: Final = Event(GENERIC, b"del")
EXPIRED: Final = Event(EXPIRED_CLASS, b"expired")
EVICTED: Final = Event(EVICTED_CLASS, b"evicted")
FIELDS_EXPIRED: Final = Event(HASH, b"hexpired")
MISSED: Final = Event(KEY_MISS, b"keymiss")
CREATED: Final = Event(NEW, b"new")
REPLACED: Final = Event(OVERWRITTEN, b"overwritten")
RETYPED: Final = Event(TYPE_CHANGED, b"type_changed")


def parse_flags(text: bytes) -> int | None:
    """The mask for the letters of notify-keyspace-events, or None if one is unknown."""
    mask = 0
    for i in range(len(text)):
        letter = text[i : i + 1]
        if letter == b"A":
            mask |= ALL
        elif letter in _LETTERS:
            mask |= _LETTERS[letter]
        else:
            return None
    return mask


def format_flags(mask: int) -> bytes:
    """The letters for a mask, in the order CONFIG GET prints them."""
    out = b""
    rest = mask
    if mask & ALL == ALL:
        out, rest = b"A", mask & ~ALL
    return out + b"".join(letter for letter, flag in _LETTERS.items() if rest & flag)
