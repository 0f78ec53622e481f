"""Scanning and random picks on plain dicts, without an additional index.

CPython keeps a dict's entries in an insertion-ordered array, and the C API's PyDict_Next walks that array by
position, O(1) per step. A live entry's position only ever moves *down*: a new entry goes to the end, a deletion
leaves a hole, and a resize squeezes the holes out. So a scan that visits positions from the top down, with a
cursor that means "everything below is still to be visited", returns every key that exists from its start to its
end at least once, whatever is added and removed meanwhile. That is the guarantee of Redis's SCAN family, without
any state between the calls, and rebuilding the dict in its own order (`compact_if_sparse`) preserves it.

Holes cost time, because PyDict_Next steps over them. Any function here that meets a run of holes that is long
relative to the dict's size squeezes them all out immediately. Every hole stems from one deletion, so that adds O(1)
per deletion. Holes after the last entry can't be seen, since PyDict_Next only says that nothing follows; but popitem()
drops them, so in a dict large enough for many of them the last item is popped and put back (`_settle`).

`_positions.pyx` is the compiled twin, used when it is built, unless TRIMARAN_PURE=1 is in the environment. Both
require that the GIL is held throughout a call and that nothing is iterating over the dict.
"""

import ctypes
from random import choices, random, sample
from typing import Any, TypeVar

from protocol.native import prefer

__all__ = ["compact_if_sparse", "random_key", "top", "window"]

K = TypeVar("K")

# A run of holes is long when it is at least this long and at least an eighth of the live keys.
LONG_RUN = 512
LONG_RUN_SHARE = 8
# Sparse: more holes than live keys.
SPARSE = 2
# A dict takes about 30 bytes of memory per entry of its capacity: 24, and 1.5 index slots of 4 bytes.
# When it grows, CPython gives it a capacity of two to four times its keys.
ROOMY_BYTES_PER_KEY = 2 * 30
EMPTIED_BYTES_PER_KEY = 8 * 30
# A window visits at most this many positions per requested key before it returns fewer keys; Redis visits at most
# this many empty buckets.
POSITIONS_PER_KEY = 10

_next = ctypes.pythonapi.PyDict_Next
_next.argtypes = (ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_next.restype = ctypes.c_int
# PyDict_Next's results go to these two, because allocating them for each step would double its cost.
# `_key.value` may only be read right after a step that found an entry: the reference in it is borrowed.
_position = ctypes.c_ssize_t()
_key = ctypes.py_object()
_at_position = ctypes.addressof(_position)
_at_key = ctypes.addressof(_key)


def top(d: dict[Any, Any]) -> int:
    """Returns the highest position in use, plus one; 0 for an empty dict.

    It takes O(log(holes)) steps, one if there are none.
    """
    bound = len(d)
    stride = 1
    position = _position
    # Gallop up until nothing follows ...
    position.value = bound
    while _next(d, _at_position, _at_key, None):
        bound = position.value
        position.value = bound + stride
        stride *= 2
    # ... then close in: an entry may still lie anywhere in bound .. bound + stride / 2 - 1.
    high = bound + stride // 2
    while bound < high:
        middle = (bound + high) // 2
        position.value = middle
        if _next(d, _at_position, _at_key, None):
            bound = position.value
        else:
            high = middle
    return bound


def window(d: dict[K, Any], cursor: int, count: int) -> tuple[int, list[K]]:
    """Returns the next keys of a scan: the cursor to continue with (0: finished) and at most `count` keys.

    `cursor` is 0 to begin, otherwise the one that the last call returned; any other number is safe and begins at
    the top or at that position. `count` is at least 1. A call visits at most 10 * count positions, so it may return
    no key at all without being finished.
    """
    if cursor > 0 and dict.__sizeof__(d) > EMPTIED_BYTES_PER_KEY * max(len(d), LONG_RUN):
        cursor = _compact_at(d, min(cursor, top(d)))
        if not cursor:
            return 0, []
    else:
        _settle(d)
    highest = top(d)
    high = min(cursor, highest) if cursor > 0 else highest
    floor = max(0, high - count * POSITIONS_PER_KEY)
    keys: list[K] = []
    position = _position
    holes = 0
    while high > floor and len(keys) < count:
        low = max(floor, high - (count - len(keys)))
        at = low
        chunk: list[K] = []
        while at < high:
            position.value = at
            if not _next(d, _at_position, _at_key, None):
                break
            holes = max(holes, position.value - 1 - at)
            at = position.value
            if at <= high:
                chunk.append(_key.value)
        chunk.reverse()
        keys += chunk
        high = low
    if high and holes >= LONG_RUN and holes * LONG_RUN_SHARE >= len(d):
        return _compact_at(d, high), keys
    return high, keys


def random_key(d: dict[K, Any]) -> K:
    """Returns a random key; all are equally likely. O(1) expected. Raises IndexError if the dict is empty.

    Squeezes the holes out of a dict that has too many.
    """
    live = len(d)
    if not live:
        raise IndexError("random key of an empty dict")
    _settle(d)
    # Any bound above the top works, and a rough one costs far fewer steps than `top`.
    bound = live
    stride = live // 8 + 1
    position = _position
    position.value = bound
    while _next(d, _at_position, _at_key, None):
        bound = max(position.value, bound + stride)
        position.value = bound
    if bound >= SPARSE * live and bound > LONG_RUN:
        _compact(d)
        bound = live
    while True:
        # A hole is discarded, not replaced by the key after it, whose chance would grow with the run of holes.
        at = int(random() * bound)
        position.value = at
        if _next(d, _at_position, _at_key, None):
            run = position.value - 1 - at
            if not run:
                key: K = _key.value
                return key
            if run >= LONG_RUN and run * LONG_RUN_SHARE >= live:
                _compact(d)
                bound = live


def sample_keys(d: dict[K, Any], count: int) -> list[K]:
    """Returns `count` distinct keys, or all of them if there are fewer. O(count) expected."""
    length = len(d)
    if count >= length:
        return list(d)
    # Picking one by one and discarding duplicates is cheap for a small share of the keys; from this share on, a sample
    # of the whole list is cheaper.
    if count * 3 > length:
        return sample(list(d), count)
    chosen: dict[K, None] = {}
    while len(chosen) < count:
        chosen[random_key(d)] = None
    return list(chosen)


def draw_keys(d: dict[K, Any], count: int) -> list[K]:
    """Returns `count` keys, each drawn from all. Raises IndexError if the dict is empty. O(count) expected."""
    if count < len(d):
        return [random_key(d) for _ in range(count)]
    return choices(list(d), k=count)


def compact_if_sparse(d: dict[Any, Any]) -> None:
    """Squeezes the holes out of a dict that has more of them than keys, which also frees memory."""
    _settle(d)
    highest = top(d)
    if highest >= SPARSE * len(d) and highest > LONG_RUN:
        _compact(d)


def _settle(d: dict[Any, Any]) -> None:
    """Ensures that no long run of holes follows the last entry, and that the capacity is not far too large."""
    size = dict.__sizeof__(d)
    live = max(len(d), LONG_RUN)
    if size > EMPTIED_BYTES_PER_KEY * live:
        _compact(d)
    elif size > ROOMY_BYTES_PER_KEY * live and d:
        # 0.1 us. Putting it back uses up one entry of the dict's capacity, so that it is rebuilt now and then.
        key, value = dict.popitem(d)
        dict.__setitem__(d, key, value)


def _compact(d: dict[Any, Any]) -> None:
    # Merging into an empty dict leaves the holes out and runs in C, 20 ns per entry; dict.copy() may keep
    # them. dict's own methods, because a subclass may redefine these names.
    dense = {**d}
    dict.clear(d)
    dict.update(d, dense)


def _compact_at(d: dict[Any, Any], cursor: int) -> int:
    """Squeezes the holes out; returns the position that now separates what was below `cursor` from the rest."""
    _position.value = cursor
    bounded = _next(d, _at_position, _at_key, None)
    boundary = _key.value if bounded else None
    _compact(d)
    if not bounded:
        return len(d)
    return next(position for position, key in enumerate(d) if key is boundary)


prefer(globals(), "broker.values._positions", *__all__)
