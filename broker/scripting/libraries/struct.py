"""The Lua library struct: packs numbers and strings into a string according to a format, and unpacks them.

It is all in Lua. Its integers are 64 bits wide, while a double has 53: precision is lost exactly where the C library
loses it, too, converting between its integers and Lua's numbers.
"""

from typing import Any

from lupa.lua51 import LuaRuntime

from broker.scripting.libraries import sources


def install(lua: LuaRuntime, library: Any) -> None:
    """Adds pack, unpack and size to the Lua table."""
    formats = sources.chunk(lua, "struct_formats")()
    functions = sources.chunk(lua, "struct")(*sources.complaints(lua), formats, sources.floats(lua))
    sources.export(functions, library)
