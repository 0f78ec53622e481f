"""ACL LOG: the latest requests and logins that were denied, and how many there were.

An event that equals one of the ten latest entries, at most a minute old, is counted there instead of taking an entry of
its own, so that a client which repeats one mistake doesn't push out everything else.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from broker.config import Config
from broker.process.clock import Clock

AUTH: Final = "auth"
COMMAND: Final = "command"
KEY: Final = "key"
CHANNEL: Final = "channel"
TLS_CERTIFICATE: Final = "tls-cert"

TOP_LEVEL: Final = "toplevel"
MULTI: Final = "multi"
LUA: Final = "lua"

GROUPING_MS: Final = 60_000
SEARCHED: Final = 10

OBJECT_MAX: Final = 1 << 16
"""The most bytes of an object, and of a client's line, that are kept: keys and names may have half a gigabyte."""


class Entry:
    """One entry; times are wall clock milliseconds, `client` is the line that CLIENT LIST prints."""

    __slots__ = ("client", "context", "count", "created", "id", "object", "reason", "updated", "user")

    def __init__(
        self, number: int, reason: str, context: str, denied: bytes, user: bytes, client: bytes, now: int
    ) -> None:
        self.id = number
        self.count = 1
        self.reason = reason
        self.context = context
        self.object = denied
        self.user = user
        self.client = client
        self.created = self.updated = now


class AclLog:
    """`entries` are the newest first; `denied` counts the events by reason since the start."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.entries: list[Entry] = []
        self.denied = dict.fromkeys((AUTH, COMMAND, KEY, CHANNEL, TLS_CERTIFICATE), 0)
        self._next_id = 0

    def add(self, reason: str, context: str, denied: bytes, user: bytes, client: bytes) -> None:
        """Note that `user` was denied a command, key or channel, or (AUTH) a login by the command `denied`."""
        self.denied[reason] += 1
        most = self._config.acllog_max_len
        if not most:
            self.entries.clear()
            return
        now = self._clock.now
        denied, client = denied[:OBJECT_MAX], client[:OBJECT_MAX]
        entries = self.entries
        for at, entry in enumerate(islice(entries, SEARCHED)):
            if (
                entry.reason == reason
                and entry.context == context
                and abs(now - entry.updated) <= GROUPING_MS
                and entry.object == denied
                and entry.user == user
            ):
                entry.count += 1
                entry.updated = now
                entry.client = client
                entries.insert(0, entries.pop(at))
                return
        entries.insert(0, Entry(self._next_id, reason, context, denied, user, client, now))
        self._next_id += 1
        del entries[most:]
