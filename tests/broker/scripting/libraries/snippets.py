"""Lua expressions run with the four libraries in a bare runtime, and what they give, to the last digit, as text."""

from importlib import import_module
from typing import Any

from lupa.lua51 import LuaRuntime

NAMES = ("bit", "cjson", "cmsgpack", "struct")

# What stands before every expression: shown(...) is the text of values. A call goes through kept, since a function
# that is called in a tail position is not told apart from its caller.
PREAMBLE = """
local function show(value)
  local kind = type(value)
  if kind == "number" then
    if value == 0 then return 1 / value < 0 and "-0" or "0" end
    return string.format("%.17g", value)
  elseif kind == "string" then
    return (string.format("%q", value):gsub("\\r", "\\\\r"))
  elseif kind == "table" then
    local texts = {}
    for key, item in pairs(value) do texts[#texts + 1] = "[" .. show(key) .. "]=" .. show(item) end
    table.sort(texts)
    return "{" .. table.concat(texts, ",") .. "}"
  end
  return tostring(value)
end
local function kept(...) return ... end
local function shown(worked, ...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = show((select(i, ...))) end
  if not worked then return "error: " .. tostring((...)) end
  return table.concat(texts, " ")
end
"""


def runtime(max_memory: int = 0) -> Any:
    """A Lua 5.1 runtime as the cage makes it, with the libraries as globals."""
    lua = LuaRuntime(
        encoding=None,
        source_encoding="latin-1",
        unpack_returned_tuples=True,
        register_eval=False,
        register_builtins=False,
        max_memory=max_memory,
    )
    for name in NAMES:
        library = lua.table()
        import_module("broker.scripting.libraries." + name).install(lua, library)
        lua.globals()[name.encode()] = library
    return lua


class Snippets:
    """Expressions in one runtime, whose libraries keep their settings from one to the next."""

    def __init__(self, max_memory: int = 0) -> None:
        self.lua = runtime(max_memory)

    def shown(self, expression: str, *arguments: bytes) -> str:
        """The texts of what an expression gives, or "error: " and its message; ARGV holds the arguments."""
        return self.run(f"return shown(pcall(function() return kept({expression}) end))", *arguments)

    def run(self, body: str, *arguments: bytes) -> str:
        """What a script returns, as text of latin-1."""
        self.lua.globals()[b"ARGV"] = self.lua.table(*arguments)
        script = self.lua.compile(PREAMBLE.replace("\n", " ") + body, name=b"@user_script")
        result: bytes = script()
        return result.decode("latin-1")

    def value(self, expression: str, *arguments: bytes) -> Any:
        """What an expression gives, as lupa hands it over."""
        self.lua.globals()[b"ARGV"] = self.lua.table(*arguments)
        return self.lua.execute("return " + expression)


def shown(expression: str, *arguments: bytes) -> str:
    """Snippets.shown in a runtime of its own."""
    return Snippets().shown(expression, *arguments)
