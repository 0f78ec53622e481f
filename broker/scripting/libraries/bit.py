"""The Lua library bit (Lua BitOp 1.0.2): operations on the low 32 bits of a number.

It is all in Lua, because calling Python costs as much as the operation.
"""

from typing import Any

from lupa.lua51 import LuaRuntime

from broker.scripting.libraries import sources


def install(lua: LuaRuntime, library: Any) -> None:
    """Adds tobit, tohex, bnot, band, bor, bxor, lshift, rshift, arshift, rol, ror and bswap to the Lua table."""
    add_entries, _, _, type_error = sources.complaints(lua)
    sources.export(sources.chunk(lua, "bit")(add_entries, type_error), library)
