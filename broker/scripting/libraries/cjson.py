"""The Lua library cjson (Lua CJSON 2.1.0 with Redis's changes): JSON text to and from Lua values."""

from typing import Any

from lupa.lua51 import LuaRuntime

from broker.scripting.libraries import sources
from protocol.native import prefer

# JSON's null is a null pointer in Redis. Lua itself can only make a userdata of its own: it compares and prints the
# same, and its type is the same.
NULL = b"""
local null = newproxy(true)
local metatable = getmetatable(null)
metatable.__tostring = function() return "userdata: (nil)" end
metatable.__metatable = false
return null
"""


def usual(lua: LuaRuntime, null: Any) -> tuple[Any, Any]:
    """encode and decode in C, for what is usual: they give nothing for the rest, which is for those in Lua."""
    return None, None


def install(lua: LuaRuntime, library: Any) -> None:
    """Put encode, decode, new, null, the settings, _NAME and _VERSION into the Lua table."""
    null = lua.execute(NULL)
    add_entries, fail, argument_error, type_error = sources.complaints(lua)
    encode_usual, decode_usual = usual(lua, null)
    encode = sources.chunk(lua, "cjson_encode")(fail, argument_error, null, encode_usual)
    decode = sources.chunk(lua, "cjson_decode")(fail, argument_error, type_error, null, decode_usual)
    settings = sources.chunk(lua, "cjson_settings")(argument_error, type_error)
    module = sources.chunk(lua, "cjson")(add_entries, null, *settings, encode, decode)
    sources.export(module, library)


prefer(globals(), "broker.scripting.libraries._cjson", "usual")
