"""`locale-collate`: the order of texts in the process's locale, for SORT ALPHA.

A locale belongs to the process, and setting it is for a broker that is a process of its own: in any other, nobody calls
`choose`, and texts are ordered by their bytes. The C library compares, as it does for redis-server.
"""

import ctypes
import locale
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any, Final

Key = Callable[[bytes], Any]
"""Of a text: what it is sorted by."""

_BYTEWISE: Final = frozenset({"C", "POSIX", "C.UTF-8", "C.utf8"})

_key: Key | None = None


def choose(name: str) -> None:
    """Order texts as in this locale, or as in the environment's if the name is empty. Raises ValueError."""
    global _key
    try:
        chosen = locale.setlocale(locale.LC_COLLATE, name)
    except (locale.Error, ValueError):
        raise ValueError("Invalid locale name") from None
    _key = None if chosen in _BYTEWISE else cmp_to_key(_comparison())


def collation_key() -> Key | None:
    """The key to sort texts by; None if they are ordered by their bytes."""
    return _key


def _comparison() -> Callable[[bytes, bytes], int]:
    compare: Callable[[bytes, bytes], int] = ctypes.CDLL(None).strcoll
    return compare
