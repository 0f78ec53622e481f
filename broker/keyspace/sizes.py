"""An estimate of the memory that a value takes here, for eviction. (MEMORY USAGE models Redis's: see memory_model.)

Every object counts with its own size. A collection is extrapolated from a sample of its elements, so estimating a set
of millions costs no more than a small one.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

# Values nest to about this depth (the pending entries of a stream's groups); anything deeper is a cycle.
DEPTH_MAX: Final = 10

_COLLECTIONS: Final = (list, tuple, set, frozenset, deque)


def size_of(value: Any, samples: int) -> int:
    """Bytes taken by the value and everything it refers to, from `samples` elements of each collection.

    A value that tracks its own memory (a stream) is asked for it.
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
    """The values of an object's own attributes, except functions and what all values share."""
    names = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in names | getattr(value, "__dict__", {}).keys():
        part = getattr(value, name, None)
        if not callable(part):
            yield part
