"""The Lua side of the libraries: source files in this package, run once per runtime.

A chunk first copies what it needs from Lua's own library to locals, and then drops its globals (setfenv), so that
nothing a script does to the globals affects it, and its functions don't lead back to them.
"""

import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime

FOLDER = Path(__file__).parent

# The same as for the cage itself: the search for the line of a script that raised an error skips chunks of this name.
CHUNK_NAME = b"=cage"

DOUBLE = struct.Struct(">d")
HALVES = struct.Struct(">II")


@cache
def source(name: str) -> bytes:
    """Returns the text of one .lua file in this package."""
    return FOLDER.joinpath(name + ".lua").read_bytes()


def chunk(lua: LuaRuntime, name: str) -> Callable[..., Any]:
    """Compiles one .lua file to a Lua function."""
    compiled: Callable[..., Any] = lua.compile(source(name), name=CHUNK_NAME)
    return compiled


def nan_bits(number: float) -> tuple[int, int]:
    """Returns the high and the low 32 bits of a NaN."""
    high, low = HALVES.unpack(DOUBLE.pack(number))
    return high, low


def nan_of(high: int, low: int) -> float:
    """Returns the NaN with these high and low 32 bits."""
    number: float = DOUBLE.unpack(HALVES.pack(high, low))[0]
    return number


def floats(lua: LuaRuntime) -> Any:
    """Returns the functions of floats.lua as a Lua table: float_bytes, double_bytes, float_at, double_at."""
    as_function = lua.eval("python.as_function")
    return chunk(lua, "floats")(as_function(nan_bits), as_function(nan_of))


def complaints(lua: LuaRuntime) -> tuple[Any, ...]:
    """Returns the functions of complaints.lua: add_entries, fail, argument_error, type_error."""
    functions: tuple[Any, ...] = chunk(lua, "complaints")()
    return functions


def export(functions: Any, library: Any) -> None:
    """Copies one Lua table into another."""
    for key, value in functions.items():
        library[key] = value
