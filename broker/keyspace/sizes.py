"""An estimate of the memory one value takes here, for eviction. (MEMORY USAGE tells what Redis would: memory_model.)

Every object counts with its own size; of a collection some elements are looked at and stand for all of it, so
that asking about a set of millions costs no more than about a small one.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

# A value's structures are nested to about this depth (a stream's groups' pending entries); behind it lies a cycle.
DEPTH_MAX: Final = 10

_COLLECTIONS: Final = (list, tuple, set, frozenset, deque)


def size_of(value: Any, samples: int) -> int:
    """Bytes that the value and what it refers to take; `samples` elements of each collection are looked at.

    A value that keeps count of its own memory (a stream) is asked.
    """
    memory = getattr(value, "memory", None)
    return int(memory()) if callable(memory) else _size(value, samples, DEPTH_MAX)


def _size(value: Any, samples: int, depth: int) -> int:
    own = sys.getsizeof(value, 64)
    if depth == 0 or isinstance(value, bytes | bytearray | str | int | float | bool | None | type):
        return own
    if isinstance(value, Mapping):
        return own + _of_elements((part for pair in value.items() for part in pair), 2 * len(value), samples, depth)
    if isinstance(value, _COLLECTIONS):
        return own + _of_elements(value, len(value), samples, depth)
    return own + sum(_size(part, samples, depth - 1) for part in _attributes(value))


def _of_elements(elements: Iterable[Any], count: int, samples: int, depth: int) -> int:
    looked_at = [_size(element, samples, depth - 1) for element in islice(elements, 2 * samples)]
    return sum(looked_at) * count // len(looked_at) if looked_at else 0


def _attributes(value: Any) -> Iterable[Any]:
    """What an object's own attributes refer to, but not functions and what is shared by all values."""
    names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in names | getattr(value, "__dict__", {}).keys():
        part = getattr(value, name, None)
        if not callable(part):
            yield part
