"""What a broker has counted since its start (or since CONFIG RESETSTAT), for INFO.

Rates are taken from the counters once a second, so that they cost nothing a request. (Redis looks ten times a second
and gives the mean of the last 1.6.)
"""

from __future__ import annotations

from typing import Final

MAX_ERROR_KINDS: Final = 128
"""Distinct error codes counted, as in Redis, so that scripts can't grow the table without bound."""


class Stats:
    """Plain counters; whoever does the counted thing adds to them.

    `request_rate`, `read_rate` and `write_rate` are requests and bytes a second, between the last two samples.
    """

    __slots__ = (
        "_sampled", "_sampled_at", "bytes_read", "bytes_written", "clients_refused", "clients_served", "errors",
        "evicted_clients", "evicted_keys", "evicted_scripts", "eviction_exceeded_ms", "output_limit_closes",
        "query_limit_closes", "read_rate", "reads", "request_rate", "requests", "write_rate", "writes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Count from zero (CONFIG RESETSTAT)."""
        self.requests = 0
        self.clients_served = 0
        self.clients_refused = 0
        self.bytes_read = 0
        self.reads = 0
        self.writes = 0
        self.bytes_written = 0
        self.output_limit_closes = 0
        self.query_limit_closes = 0
        self.evicted_keys = 0
        self.evicted_clients = 0
        self.evicted_scripts = 0
        self.eviction_exceeded_ms = 0
        self.errors: dict[bytes, int] = {}
        self.request_rate = self.read_rate = self.write_rate = 0.0
        self._sampled_at: float | None = None
        self._sampled = (0, 0, 0)

    def sample(self, now: float) -> None:
        """Take the rates since the last sample; `now` is in seconds, of any clock that is not set back."""
        counters = self.requests, self.bytes_read, self.bytes_written
        before = self._sampled_at
        if before is not None and now > before:
            self.request_rate, self.read_rate, self.write_rate = (
                (count - old) / (now - before) for count, old in zip(counters, self._sampled, strict=True)
            )
        self._sampled_at = now
        self._sampled = counters

    def count_error(self, text: bytes) -> None:
        """Count an error reply by its code, its first word."""
        code = text.split(b" ", 1)[0]
        if code in self.errors or len(self.errors) < MAX_ERROR_KINDS:
            self.errors[code] = self.errors.get(code, 0) + 1
