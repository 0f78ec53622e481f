"""The Lua library struct: strings packed from and unpacked into numbers and strings, by a format.

All in Lua. The integers in it are 64 bits wide, where a double has 53: what that loses is lost in the C library at
the same place, where it converts between its integer and Lua's number.
"""

from typing import Any

from lupa.lua51 import LuaRuntime

from broker.scripting.libraries import sources


def install(lua: LuaRuntime, library: Any) -> None:
    """Put pack, unpack and size into the Lua table."""
    formats = sources.chunk(lua, "struct_formats")()
    functions = sources.chunk(lua, "struct")(*sources.complaints(lua), formats, sources.floats(lua))
    sources.export(functions, library)
