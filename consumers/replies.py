"""How the caller of an entry gets its answer where the server has no XCALL: at a stream that exists while it waits.

The caller creates the stream, with an expiry, in the transaction that adds its entry; the entry has the name's last
part as a field. A worker adds the answer in the transaction that acknowledges the entry, with NOMKSTREAM: so it learns
whether anybody waits, and an answer that is late leaves nothing behind. Only that part of the name is in the entry, and
the rest is the entry's stream, so publishers can't have workers write to other keys.

A reply has one field: `value`, the answer; `none`, the entry was acknowledged without one; `dead`, with the reason.
"""

from typing import Final

from consumers.connecting import Command
from consumers.names import encoded

__all__ = ["BEGINNING", "DEAD", "NONE", "VALUE", "announcement", "reply_command", "reply_key"]

VALUE: Final = b"value"
NONE: Final = b"none"
DEAD: Final = b"dead"

BEGINNING: Final = b"0-1"
"""The ID of the first entry of such a stream, by which the caller has created it."""


def reply_key(stream: str, token: bytes) -> bytes:
    """Return the key at which a caller waits: in the stream's slot, if a hash tag can name that."""
    name = encoded(stream)
    opened = name.find(b"{")
    tagged = opened >= 0 and name.find(b"}", opened) > opened + 1
    return (name if tagged else b"{%b}" % name) + b":reply:" + token


def announcement(stream: str, token: bytes, milliseconds: int) -> list[Command]:
    """The commands by which a caller says that it waits."""
    key = reply_key(stream, token)
    return [(b"XADD", key, BEGINNING, b"waiting", b""), (b"PEXPIRE", key, milliseconds)]


def reply_command(stream: str, token: bytes, kind: bytes, value: bytes) -> Command:
    """The command that tells a caller something; its reply is nil if none waits."""
    return (b"XADD", reply_key(stream, token), b"NOMKSTREAM", b"*", kind, value)
