"""What a broker has counted since its start (or since CONFIG RESETSTAT), for INFO."""

from __future__ import annotations

from typing import Final

MAX_ERROR_KINDS: Final = 128
"""Distinct error codes counted, as in Redis, so that scripts can't grow the table without bound."""


class Stats:
    """Plain counters; whoever does the counted thing adds to them."""

    __slots__ = (
        "bytes_read", "bytes_written", "clients_refused", "clients_served", "errors", "evicted_clients",
        "evicted_keys", "eviction_exceeded_ms", "output_limit_closes", "query_limit_closes", "reads", "requests",
        "writes",
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
        self.eviction_exceeded_ms = 0
        self.errors: dict[bytes, int] = {}

    def count_error(self, text: bytes) -> None:
        """Count an error reply by its code, its first word."""
        code = text.split(b" ", 1)[0]
        if code in self.errors or len(self.errors) < MAX_ERROR_KINDS:
            self.errors[code] = self.errors.get(code, 0) + 1
