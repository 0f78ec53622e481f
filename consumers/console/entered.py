"""Bytes that a user types into a form, as text or as hexadecimal digits, and what a form offers for a change.

Browsers send every line break as CR LF, and lose NULs; so text is taken with LF, and bytes that would not come back as
they were are offered, and have to be typed, as digits. So are characters that would make a text look like another one.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from consumers.errors import ConsumerError
from consumers.names import encoded

__all__ = ["HEX", "OFFER_LIMIT", "TEXT", "Offer", "Unreadable", "entered", "offer", "raw"]

TEXT, HEX = NOTATIONS = ("text", "hex")

OFFER_LIMIT = 64 * 1024
"""Bytes of the largest value that a form offers for a change."""


_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Unreadable(ConsumerError):
    """What was typed stands for no bytes; the text says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a form's field contains at first, and in which notation."""

    text: str
    notation: str


def entered(text: str, notation: str) -> bytes:
    """Return the bytes that the text stands for. Raises Unreadable."""
    if notation == HEX:
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise Unreadable("These are not hexadecimal digits, two for each byte.") from None
    if notation != TEXT:
        raise Unreadable("There is no such notation.")
    text = text.replace("\r\n", "\n")
    if not _survives(text):
        raise Unreadable("Text can't have control characters here: use hexadecimal digits.")
    return text.encode()


def offer(data: bytes) -> Offer | None:
    """Return what stands for these bytes; None if they are too many."""
    if len(data) > OFFER_LIMIT:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Offer(data.hex(), HEX)
    return Offer(text, TEXT) if _survives(text) else Offer(data.hex(), HEX)


def _survives(text: str) -> bool:
    """Whether a text is the same after it was sent by a browser, and looks like what it is."""
    return all(
        one in "\n\t" or (unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") and one not in _DIRECTIONS)
        for one in text
    )


def raw(text: str) -> bytes:
    """Return the bytes that a page's query names."""
    return encoded(text)
