"""The payloads of DUMP and RESTORE: a type, a value's body, two bytes of version, eight of checksum.

The footer's numbers are little-endian; the checksum covers everything before it, and 0 means that there is none.
"""

from collections.abc import Callable
from typing import Any

from broker.formats.packed.crc64 import crc64
from broker.formats.rdb.format import (
    STREAM_LISTPACKS_2,
    STREAM_LISTPACKS_3,
    STRING,
    VERSION_7_0,
    is_readable,
    oldest_version,
)
from broker.formats.rdb.reader import BadFormat, Reader, Unsupported
from broker.formats.rdb.stream_saving import save_stream, stream_kind
from broker.formats.rdb.unsupported import UNSUPPORTED, describe
from broker.formats.rdb.value_loading import load_value
from broker.formats.rdb.value_saving import SavingOptions, save_value
from broker.values.streams.limits import StreamLimits
from broker.values.streams.stream import Stream

_VERSION_BYTES = 2
_CHECKSUM_BYTES = 8
_FOOTER = _VERSION_BYTES + _CHECKSUM_BYTES

"""The version that Redis 7.0 writes, the oldest server whose replicas and append-only files matter here."""

# A compressed byte can expand to 88, and four bytes of packed elements to 56 bytes of memory: without bounds a small
# payload could take gigabytes. So decompression may grow a payload to MAX_GROWTH times its size plus MAX_INFLATED, and
# packed parts may yield as many elements as the payload has bytes, plus MAX_ELEMENTS.
MAX_GROWTH = 32
MAX_STRING = 512 << 20
MAX_INFLATED = 64 << 20
MAX_ELEMENTS = 1 << 21


class BadFooter(ValueError):
    """A payload has an unsupported version, or its checksum is wrong."""


def dump(value: Any, options: SavingOptions) -> bytes:
    """Returns the payload for a value of the keyspace."""
    kind, body = save_value(value, options)
    return _payload(kind, body)


def _payload(kind: int, body: bytearray) -> bytes:
    payload = bytes((kind,)) + body
    return _sealed(payload, oldest_version(kind))


def _sealed(payload: bytes, version: int) -> bytes:
    payload += version.to_bytes(_VERSION_BYTES, "little")
    return payload + crc64(payload).to_bytes(_CHECKSUM_BYTES, "little")


def restore(
    payload: bytes, limits: StreamLimits, *, verify: bool = True, examined: Callable[[int], None] = lambda packed: None
) -> Any:
    """Returns the value of a payload. Raises BadFooter, BadFormat, and Unsupported for a type that this broker
    doesn't have.

    `limits` are the directives that a stream obeys; `verify` is whether the checksum is compared. `examined` is called
    with the number of packed values that were examined, whatever the outcome. Like Redis, this ignores anything after a
    complete value.
    """
    version = check_footer(payload, verify=verify)
    body = payload[:-_FOOTER]
    size = len(body)
    inflation = MAX_STRING if body[:1] == bytes((STRING,)) else MAX_INFLATED
    reader = Reader(body, version, inflation=inflation + MAX_GROWTH * size, elements=MAX_ELEMENTS + size)
    kind = reader.byte()
    if kind in UNSUPPORTED:
        raise Unsupported(f"it holds {describe(reader, kind)}", reader.offset)
    try:
        return load_value(reader, kind, limits)
    finally:
        examined(reader.packed)


def as_old_as_possible(payload: bytes, value: Any, options: SavingOptions) -> bytes:
    """Returns the payload of a value that was restored from `payload`, of a version that more servers can read.

    A server writes its own version into every payload, however old the value's form is. When a stream's consumers last
    succeeded, which Redis 7.0 can't read, is left out: no other effect says it, either.
    """
    if _version_of(payload) <= VERSION_7_0:
        return payload
    if value.__class__ is Stream and stream_kind(value, options) == STREAM_LISTPACKS_3:
        body = bytearray()
        save_stream(body, value, STREAM_LISTPACKS_2, options.rdbcompression)
        return _payload(STREAM_LISTPACKS_2, body)
    return dump(value, options)


def functions_as_old_as_possible(payload: bytes) -> bytes:
    """Returns the same for a payload of functions, whose form is as old as they are."""
    return payload if _version_of(payload) <= VERSION_7_0 else _sealed(payload[:-_FOOTER], VERSION_7_0)


def _version_of(payload: bytes) -> int:
    return int.from_bytes(payload[-_FOOTER:-_CHECKSUM_BYTES], "little")


def check_footer(payload: bytes, *, verify: bool = True) -> int:
    """Checks a payload's checksum and returns its version. Raises BadFooter."""
    if len(payload) < _FOOTER:
        raise BadFooter
    version = _version_of(payload)
    checksum = int.from_bytes(payload[-_CHECKSUM_BYTES:], "little")
    if not is_readable(version):
        raise BadFooter
    if verify and checksum and checksum != crc64(memoryview(payload)[:-_CHECKSUM_BYTES]):
        raise BadFooter
    return version


__all__ = ["BadFooter", "BadFormat", "Unsupported", "check_footer", "dump", "restore"]
