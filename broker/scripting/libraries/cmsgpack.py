"""The Lua library cmsgpack (lua-cmsgpack 0.4.0): MessagePack to and from Lua values.

It does not use the msgpack package, which supports types that this library refuses, and refuses keys that it supports.
Values would also have to be walked twice, once on either side.
"""

from typing import Any

from lupa.lua51 import LuaRuntime

from broker.scripting.libraries import sources
from protocol.native import prefer


def usual(lua: LuaRuntime) -> tuple[Any, Any]:
    """pack and unpack in C, for what is usual: they give nothing for the rest, which is for those in Lua."""
    return None, None


def install(lua: LuaRuntime, library: Any) -> None:
    """Adds pack, unpack, unpack_one, unpack_limit and the texts about the library to the Lua table."""
    add_entries, fail, argument_error, type_error = sources.complaints(lua)
    floats = sources.floats(lua)
    pack_usual, unpack_usual = usual(lua)
    pack = sources.chunk(lua, "cmsgpack_pack")(fail, argument_error, floats, pack_usual)
    unpacks = sources.chunk(lua, "cmsgpack_unpack")(fail, type_error, floats, unpack_usual)
    sources.export(sources.chunk(lua, "cmsgpack")(add_entries, pack, *unpacks), library)


prefer(globals(), "broker.scripting.libraries._cmsgpack", "usual")
