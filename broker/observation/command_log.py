"""The last commands that took long or were long, for SLOWLOG and COMMANDLOG.

An entry keeps little of a long request: slowlog-entry-max-argc arguments of slowlog-entry-max-string-len bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from broker.config import Config
from broker.process.clock import Clock

NAME_MAX: Final = 1024
"""Bytes of the client's name that are kept; Redis keeps it whole, up to 512 MiB for each entry."""


class Entry(NamedTuple):
    """A command that took long, or was long: `amount` is in microseconds or bytes, `at` the wall time in seconds.

    `args` are those that are kept of `argc`.
    """

    id: int
    at: int
    amount: int
    args: list[bytes]
    peer: bytes
    client: bytes
    argc: int


class CommandLog:
    """`entries` are the commands logged, newest first."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._next_id = 0
        self.entries: deque[Entry] = deque()

    def keep(self, args: list[bytes], amount: int, peer: bytes, client: bytes, longest_log: int) -> None:
        """Log a command, and forget the oldest if there are more than `longest_log`. `args` must be fit to be shown."""
        entries = self.entries
        at = self._clock.read() // 1000
        name = _shortened(client, NAME_MAX)
        entries.appendleft(Entry(self._next_id, at, amount, self._kept(args), peer, name, len(args)))
        self._next_id += 1
        while len(entries) > longest_log:
            entries.pop()

    def _kept(self, args: list[bytes]) -> list[bytes]:
        most, longest = self._config.slowlog_entry_max_argc, self._config.slowlog_entry_max_string_len
        kept = [_shortened(argument, longest) for argument in args[:most]]
        if len(args) > most:
            kept[-1] = b"... (%d more arguments)" % (len(args) - most + 1)
        return kept


def _shortened(argument: bytes, longest: int) -> bytes:
    if len(argument) <= longest:
        return bytes(argument)
    return argument[:longest] + b"... (%d more bytes)" % (len(argument) - longest)


class SizeLog(CommandLog):
    """Large requests, or large replies: those of `larger_than()` bytes and more, none if that is negative."""

    def __init__(
        self, config: Config, clock: Clock, larger_than: Callable[[], int], longest_log: Callable[[], int]
    ) -> None:
        super().__init__(config, clock)
        self._larger_than = larger_than
        self._longest_log = longest_log

    def threshold(self) -> int | None:
        """The bytes from which on a command is logged, None if none is."""
        size = self._larger_than()
        return None if size < 0 else size

    def add(self, args: list[bytes], size: int, peer: bytes, client: bytes) -> None:
        """Log a command if it is that large."""
        threshold, longest_log = self.threshold(), self._longest_log()
        if threshold is not None and size >= threshold and longest_log:
            self.keep(args, size, peer, client, longest_log)


def large_requests(config: Config, clock: Clock) -> SizeLog:
    """The log of requests that were large, as sent."""
    return SizeLog(
        config, clock, lambda: config.commandlog_request_larger_than, lambda: config.commandlog_large_request_max_len
    )


def large_replies(config: Config, clock: Clock) -> SizeLog:
    """The log of requests with large replies."""
    return SizeLog(
        config, clock, lambda: config.commandlog_reply_larger_than, lambda: config.commandlog_large_reply_max_len
    )
