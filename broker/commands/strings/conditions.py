"""The conditions on a string's current value: IFEQ, IFNE, IFDEQ and IFDNE of SET and DELEX.

IFDEQ and IFDNE compare digests, so that a client need not send a large value. A digest is the XXH3-64 hash as
16 hexadecimal digits, as DIGEST returns it.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_64_hexdigest

from broker.keyspace.strings import String
from protocol.errors import CommandError

DIGEST_LENGTH: Final = 16
CONDITIONS: Final = (b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE")

_NOT_A_DIGEST: Final = b"ERR must be exactly %d hexadecimal characters" % DIGEST_LENGTH


def digest(value: String) -> bytes:
    """Returns the digest of a string, in lower case."""
    return xxh3_64_hexdigest(value).encode()


def condition_met(condition: bytes, operand: bytes, value: String) -> bool:
    """Whether `value` meets one of CONDITIONS; raises for a digest of the wrong length.

    As in Redis, an operand that is not hexadecimal equals no digest.
    """
    if condition == b"IFEQ":
        return value == operand
    if condition == b"IFNE":
        return value != operand
    if len(operand) != DIGEST_LENGTH:
        raise CommandError(_NOT_A_DIGEST)
    return (digest(value) == operand.lower()) is (condition == b"IFDEQ")
