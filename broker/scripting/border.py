"""The border between Python and Lua by Lua's C interface, which only the compiled build has.

Where it can't be had (nothing is compiled, TRIMARAN_PURE=1, a lupa that hides its Lua) all crossings are lupa's: the
sandbox calls the cage's functions, and Lua calls Python's, at two to three times the cost. With it, a run is prepared,
made and its usual replies are written by `Border` in one go, redis.call reaches the command table without lupa, and
Lua's allocator is ours, so that its limit is a number to set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol.native import prefer

A_STRING: Final = 48
"""Bytes that Lua takes for a string beside its text: its header, its place among all strings, and one in a table."""

Outcome = bytes | tuple[Any, ...]
"""What comes of a run: an encoded reply; or an error's text, 2, whether it was counted, and its place where known; or
the text of an error that was not the script's, and another number."""


class NoRoomError(Exception):
    """A run's arguments don't fit into Lua's memory."""


class UnsupportedError(Exception):
    """This Lua can't be reached by its C interface."""


class Border:
    """A Lua runtime of lupa's, reached past lupa; `check` says why the run that is being prepared must end, or None.

    `functions` is a Lua table of C functions for the cage: keep(value), which gives a number; connect(handler,
    finished, globals, marks), which the cage calls once; and redis.call and redis.pcall where `caller` is a compiled
    Caller.
    Raises UnsupportedError.
    """

    functions: Any
    tidy: Callable[[], None]
    """Called after a run that has left much."""

    def __init__(self, runtime: Any, caller: Any, check: Callable[[], object]) -> None:
        raise UnsupportedError

    def used(self) -> int:
        """Bytes that Lua has allocated."""
        raise NotImplementedError

    def set_limit(self, limit: int) -> None:
        """From now on Lua is refused what would take it beyond so many bytes; 0 for no limit."""
        raise NotImplementedError

    def set_cap(self, cap: int, much: int) -> None:
        """The limit while scripts run, and what is much to be left by one; between runs there is no limit."""
        raise NotImplementedError

    def kept(self, reference: int) -> Any:
        """The function that the cage has kept under a number, which it has for as long as this object lives."""
        raise NotImplementedError

    def evaluate(self, function: Any, resp: int, request: list[bytes], keys: int) -> Outcome:
        """Run a script with the keys and arguments of a request, from the fourth word on.

        Raises NoRoomError; LuaError where Lua stopped outside of the script's own code.
        """
        raise NotImplementedError

    def call(self, function: Any, resp: int, request: list[bytes], keys: int) -> Outcome:
        """Call a library's function, likewise."""
        raise NotImplementedError


prefer(globals(), "broker.scripting._border", "Border")
