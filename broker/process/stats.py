"""What a broker has counted since it started (or since CONFIG RESETSTAT), for INFO.

Rates are computed from the counters once a second, so they cost nothing per request. (Redis samples ten times a second
and reports the mean of the last 1.6 seconds.)
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Final

from broker.process.collector import CollectorPauses
from broker.process.memory import peak_resident
from protocol.replies import CRLF

MAX_ERROR_KINDS: Final = 128
"""The number of distinct error codes counted, as in Redis, so that scripts can't grow the table without bound."""

MAX_ERROR_CODE: Final = 30
"""The longest error code in bytes; a longer first word counts as ERR, as in Redis."""

ERRORS_DISABLED: Final = b"ERRORSTATS_DISABLED"
"""The only code left after there were more than MAX_ERROR_KINDS of them."""

_GENERAL: Final = b"ERR"
_TO_BLANKS: Final = bytes.maketrans(CRLF, b"  ")


def _ignore(_: object) -> None:
    """Ignore a warning or a pause: the default of what Stats is given."""


class Stats:
    """Plain counters, incremented wherever the counted event happens.

    `request_rate`, `read_rate` and `write_rate` are requests and bytes per second between the last two samples,
    `cycle_rate` is ticks per second, and `cycle_seconds` the processor time that one took. `cycles` counts ticks,
    `busy_cycles` those in which clients sent something, `pipelines` the reads that completed requests.
    `memory_peak` is the process's largest resident memory, in bytes, and `memory_peak_at` when it had become so large,
    in seconds of wall time.
    `error_replies` counts all errors, `errors` counts them by code, `unexpected_errors` those of commands that had
    succeeded before (in the append-only file). `packed_values` counts the listpacks and the like that were examined in
    depth, in payloads and files.
    `entries_redelivered` and `entries_dead_lettered` count what the policies of groups did, `entries_discarded`,
    `entries_refused` and `captured_messages` what those of streams did, `delayed_delivered` the delayed entries that
    were added to their streams.
    `collector` has the garbage collector's pauses, each of which `paused` is told. `warn` is called when codes are no
    longer counted.
    """

    __slots__ = (
        "_errors_disabled", "_loop_began", "_sampled", "_sampled_at", "_sampled_loop", "_warn", "busy_cycles",
        "bytes_read", "bytes_written", "captured_messages", "clients_refused", "clients_served", "collector",
        "cycle_rate", "cycle_seconds", "cycles", "delayed_delivered", "entries_dead_lettered", "entries_discarded",
        "entries_redelivered", "entries_refused", "error_replies", "errors", "evicted_clients", "evicted_keys",
        "evicted_scripts", "eviction_exceeded_ms", "memory_peak", "memory_peak_at", "output_limit_closes",
        "packed_values", "pipelines", "query_limit_closes", "read_rate", "reads", "request_rate", "requests",
        "unexpected_errors", "write_rate", "writes",
    )  # fmt: skip

    def __init__(self, warn: Callable[[str], None] = _ignore, paused: Callable[[float], None] = _ignore) -> None:
        self._warn = warn
        self.collector = CollectorPauses(paused)
        self.memory_peak = 0
        self.memory_peak_at = 0
        self.reset()

    def reset(self) -> None:
        """Restart all counters at zero (CONFIG RESETSTAT)."""
        self.collector.reset()
        self.requests = 0
        self.clients_served = 0
        self.clients_refused = 0
        self.bytes_read = 0
        self.reads = 0
        self.writes = 0
        self.cycles = 0
        self.busy_cycles = 0
        self.pipelines = 0
        self.bytes_written = 0
        self.output_limit_closes = 0
        self.query_limit_closes = 0
        self.evicted_keys = 0
        self.evicted_clients = 0
        self.evicted_scripts = 0
        self.eviction_exceeded_ms = 0
        self.entries_redelivered = 0
        self.entries_dead_lettered = 0
        self.entries_discarded = 0
        self.entries_refused = 0
        self.delayed_delivered = 0
        self.captured_messages = 0
        self.error_replies = 0
        self.errors: dict[bytes, int] = {}
        self.unexpected_errors = 0
        self.packed_values = 0
        self._errors_disabled = False
        self.request_rate = self.read_rate = self.write_rate = self.cycle_rate = self.cycle_seconds = 0.0
        self._sampled_at: float | None = None
        self._sampled = (0, 0, 0, 0)
        self._loop_began = self._sampled_loop = thread_time()

    def sample(self, now: float) -> None:
        """Compute the rates since the last sample; `now` is in seconds, from any monotonic clock."""
        counters = self.requests, self.bytes_read, self.bytes_written, self.cycles
        loop = thread_time()
        before = self._sampled_at
        if before is not None and now > before:
            self.request_rate, self.read_rate, self.write_rate, self.cycle_rate = (
                (count - old) / (now - before) for count, old in zip(counters, self._sampled, strict=True)
            )
            self.cycle_seconds = (loop - self._sampled_loop) / max(self.cycles - self._sampled[3], 1)
        self._sampled_at = now
        self._sampled = counters
        self._sampled_loop = loop

    def sample_memory(self, now: int) -> None:
        """Note when the process's memory reaches a new peak; `now` is the wall time in seconds."""
        peak = peak_resident()
        if peak > self.memory_peak:
            self.memory_peak = peak
            self.memory_peak_at = now

    def loop_seconds(self) -> float:
        """The processor time that the thread which serves the clients has used since the counters were reset.

        This is what its ticks took apart from waiting, without a clock read by each of them.
        """
        return max(0.0, thread_time() - self._loop_began)

    def count_packed_values(self, number: int) -> None:
        """Count values that were examined in depth."""
        self.packed_values += number

    def count_error(self, text: bytes) -> None:
        """Count an error reply by its code, which is its first word.

        A text without a code counts as ERR. As in Redis, exceeding MAX_ERROR_KINDS ends the counting by code until
        `reset`, since scripts must be making codes up.
        """
        self.error_replies += 1
        if self._errors_disabled:
            return
        errors = self.errors
        code = _code(text)
        if code in errors:
            errors[code] += 1
        elif len(errors) < MAX_ERROR_KINDS:
            errors[code] = 1
        else:
            self._errors_disabled = True
            self.errors = {ERRORS_DISABLED: 1}
            self._warn("errors are no longer counted by their codes: there are too many, perhaps made up by scripts")


def _code(text: bytes) -> bytes:
    """The code of an error, copied so that it does not keep a text of megabytes alive."""
    head = text.rstrip(CRLF)[: MAX_ERROR_CODE + 1].translate(_TO_BLANKS)
    code, blank, _ = head.partition(b" ")
    return code if blank else _GENERAL
