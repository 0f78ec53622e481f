"""The Lua library bit (Lua BitOp 1.0.2): operations on the 32 low bits of a number.

All in Lua: a call of Python costs as much as the operation.
"""

from typing import Any

from lupa.lua51 import LuaRuntime

from broker.scripting.libraries import sources


def install(lua: LuaRuntime, library: Any) -> None:
    """Put tobit, tohex, bnot, band, bor, bxor, lshift, rshift, arshift, rol, ror and bswap into the Lua table."""
    add_entries, _, _, type_error = sources.complaints(lua)
    sources.export(sources.chunk(lua, "bit")(add_entries, type_error), library)
