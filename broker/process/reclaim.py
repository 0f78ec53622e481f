"""Freeing large values a slice at a time.

Dropping the last reference to a list of a million elements frees them all at once: some 30 ms in which no client is
served. Code that removes or overwrites such a value hands it over here instead (`Keyspace.release`): it is taken apart
from the inside, about a millisecond's worth at a time, and everything else gets a turn in between. (Redis can free it
in another thread; in CPython, that thread would hold the interpreter's lock.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from sys import getrefcount, getsizeof
from typing import Any, Final

SLICE_NS: Final = 1_000_000
"""Nanoseconds of work per slice."""

PIECE: Final = 500
"""Elements freed between checks of the clock: about 50 us."""

LARGE: Final = 64
"""Number of elements from which a value is worth handing over (Redis's LAZYFREE_THRESHOLD)."""


LARGE_BYTES: Final = 1 << 16
"""Bytes of a container itself from which it is, however few elements it has left: a dict keeps its room for them."""


def _references_alone() -> int:
    """getrefcount() of an object that only this module refers to: the stack, a local variable, maybe the argument.

    Measured, since newer interpreters no longer count the argument.
    """
    stack = [object()]
    top = stack[-1]
    return getrefcount(top)


_ALONE: Final = _references_alone()


class Reclaimer:
    """Takes values apart; `later(action)` calls an action after everything else has had a turn.

    `freed` is the number of values that were taken apart, as of when nothing was left to do.
    """

    def __init__(self, later: Callable[[Callable[[], None]], object]) -> None:
        self._later = later
        self._stack: list[Any] = []
        self._taken = 0
        self.freed = 0

    @property
    def pending(self) -> int:
        """The number of objects waiting to be taken apart."""
        return len(self._stack)

    def take(self, value: Any) -> None:
        """Free a value that the keyspace has dropped, in slices if it is large; the caller must also drop it."""
        if _is_large(value):
            if not self._stack:
                self._later(self._slice)
            self._stack.append(value)
            self._taken += 1

    def _slice(self) -> None:
        stack = self._stack
        ends = time.perf_counter_ns() + SLICE_NS
        while stack:
            self._piece()
            if time.perf_counter_ns() > ends:
                self._later(self._slice)
                return
        self.freed += self._taken
        self._taken = 0

    def _piece(self) -> None:
        """Free part of the topmost object; containers in it go on the stack."""
        stack = self._stack
        top = stack[-1]
        if getrefcount(top) > _ALONE:
            stack.pop()  # still in use elsewhere, where the last reference will free it
        elif isinstance(top, dict):
            parts = [dict.popitem(top)[1] for _ in range(min(PIECE, len(top)))]
            _drop_or_stack(parts, stack, top)
        elif isinstance(top, list):
            parts = top[-PIECE:]
            del top[-PIECE:]
            _drop_or_stack(parts, stack, top)
        elif hasattr(top, "pop_right"):
            top.pop_right(PIECE)  # a List: nothing in it is large
            if not top:
                stack.pop()
        else:
            stack.pop()
            stack.extend(part for part in _attributes(top) if _is_large(part))


def _drop_or_stack(parts: list[Any], stack: list[Any], top: Any) -> None:
    if not top:
        stack.pop()
    stack.extend(part for part in parts if _is_large(part))


def _attributes(value: Any) -> list[Any]:
    """The values in an object's slots and dictionary, and the attributes that mypyc has made of them."""
    names = [
        name
        for kind in type(value).__mro__
        for name in (*getattr(kind, "__slots__", ()), *getattr(kind, "__mypyc_attrs__", ()))
    ]
    return [getattr(value, name, None) for name in (*names, *getattr(value, "__dict__", ()))]


def _is_large(part: Any) -> bool:
    """Whether freeing the object may take long: it is a container with many elements, or may hold one."""
    kind = part.__class__
    if kind in _SMALL or _holders.get(kind) is False:
        return False
    try:
        count = len(part)
    except TypeError:
        return _is_holder(part)
    if count >= LARGE or getsizeof(part) >= LARGE_BYTES:
        return True
    # The groups of a stream, for example; but not the fields of a small hash, which is a class of its own.
    return (kind is dict and any(map(_is_large, part.values()))) or (kind is list and any(map(_is_large, part)))


_holders: Final[dict[type, bool]] = {}


def _is_holder(part: Any) -> bool:
    """Whether the object's class holds containers, or objects of its own that do; one is looked at for each class.

    A group may have a million deliveries, which only refer to their consumers: they are freed where they are.
    """
    kind = type(part)
    known = _holders.get(kind)
    if known is None:
        _holders[kind] = False  # one that holds others of its class
        attributes = _attributes(part)
        known = any(
            isinstance(value, dict | list) or (getrefcount(value) <= _ALONE + 1 and _is_holder(value))
            for value in attributes
            if value.__class__ not in _SMALL
        )
        _holders[kind] = known
    return known


_SMALL: Final = frozenset((bytes, bytearray, int, float, str, bool, type(None)))
