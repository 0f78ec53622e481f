"""The policy of a stream: how many entries it keeps and for how long, and which messages it captures.

It is stored as options with texts (`maxlen` -> `1000`), so that servers without policies keep them as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from protocol.numbers import parse_integer

MAXLEN: Final = b"maxlen"
MAXAGE: Final = b"maxage"
MAXBYTES: Final = b"maxbytes"
RETAIN: Final = b"retain"
DISCARD: Final = b"discard"
CHANNELS: Final = b"channels"
OPTIONS: Final = (MAXLEN, MAXAGE, MAXBYTES, RETAIN, DISCARD, CHANNELS)

LIMITS: Final = b"limits"
INTEREST: Final = b"interest"
WORKQUEUE: Final = b"workqueue"
OLD: Final = b"old"
NEW: Final = b"new"

MAX_CHANNELS: Final = 64
"""The number of patterns that a stream may capture."""


class StreamPolicy(NamedTuple):
    """0 and empty stand for an option that is not set.

    `max_age` is in milliseconds, `max_bytes` counts entries as clients read them. `retain` says whether entries that
    were acknowledged stay (LIMITS), and `discard` whether a full stream gives up its oldest entries or refuses new
    ones. `channels` are the patterns of channels whose messages are added to the stream.
    """

    max_len: int = 0
    max_age: int = 0
    max_bytes: int = 0
    retain: bytes = LIMITS
    discard: bytes = OLD
    channels: tuple[bytes, ...] = ()

    def texts(self) -> dict[bytes, bytes]:
        """Returns the options that are set, as they are stored."""
        texts = {
            MAXLEN: b"%d" % self.max_len,
            MAXAGE: b"%d" % self.max_age,
            MAXBYTES: b"%d" % self.max_bytes,
            RETAIN: self.retain,
            DISCARD: self.discard,
            CHANNELS: b"".join(b"%d:%b," % (len(pattern), pattern) for pattern in self.channels),
        }
        return {option: text for option, text in texts.items() if text not in (b"", b"0", LIMITS, OLD)}


def stream_policy_in(fields: Mapping[bytes, bytes]) -> StreamPolicy | None:
    """Returns the policy stored in a hash, None without one.

    What can't be part of one counts as not set: clients may have written there.
    """
    numbers = [parse_integer(fields.get(option, b"0")) or 0 for option in (MAXLEN, MAXAGE, MAXBYTES)]
    max_len, max_age, max_bytes = (max(number, 0) for number in numbers)
    retain = fields.get(RETAIN, LIMITS)
    policy = StreamPolicy(
        max_len,
        max_age,
        max_bytes,
        retain if retain in (INTEREST, WORKQUEUE) else LIMITS,
        NEW if fields.get(DISCARD) == NEW else OLD,
        _netstrings(fields.get(CHANNELS, b"")),
    )
    return None if policy == StreamPolicy() else policy


def _netstrings(text: bytes) -> tuple[bytes, ...]:
    """Returns the texts in a row of `<length>:<text>,`, () if that is not what it is."""
    found = []
    at = 0
    while at < len(text):
        colon = text.find(b":", at)
        length = parse_integer(text[at:colon]) if colon > at else None
        if length is None or length < 0 or text[colon + 1 + length : colon + 2 + length] != b",":
            return ()
        found.append(text[colon + 1 : colon + 1 + length])
        at = colon + 2 + length
    return tuple(found[:MAX_CHANNELS])
