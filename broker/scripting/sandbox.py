"""One Lua state and the cage in it.

The state is stock Lua 5.1 (lupa's), from which cage.lua takes everything away that a script must not have. What is
left to guard here is the border: Python's callables enter as C functions and never raise, so that no Python object is
ever in a script's hands; and Lua's memory is capped.

lupa makes Lua objects for Python outside of any protected call: if Lua's allocator refused there, the process would
end. So whatever goes in from Python is only passed while there is room for it, of which `RESERVE` is always kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lupa import lua51

from broker.scripting import bytecode
from broker.scripting.libraries import bit, cjson, cmsgpack, struct

RESERVE: Final = 4 << 20
"""Bytes under the cap that scripts can't use up: what lupa takes for small values must always be there."""

HOOK_EVERY: Final = 100_000
"""Lua instructions between two looks at the clock, as in Redis; about a millisecond."""

MAX_PATTERN: Final = 4096
"""Bytes of a pattern. Matching recurses in C for every item of it, some 200 bytes of stack each."""

UNLIMITED: Final = 0

OUT_OF_MEMORY: Final = b"not enough memory"

LuaError = lua51.LuaError
LuaMemoryError = lua51.LuaMemoryError

_LIBRARIES: Final = {b"bit": bit, b"cjson": cjson, b"cmsgpack": cmsgpack, b"struct": struct}
_FOLDER: Final = Path(__file__).parent

_BOOTSTRAP: Final = """
local cage = ...
for name, callable in pairs(cage) do
  if type(callable) == "userdata" then
    cage[name] = python.as_function(callable)
  end
end
return loadstring(cage.parts.cage, "=cage")(cage)
"""


class Sandbox:
    """A caged Lua state. Its methods are the functions that cage.lua gives, which may raise LuaError.

    `max_memory` is in bytes, 0 for no cap.
    """

    def __init__(
        self, callables: Mapping[str, Callable[..., Any]], constants: Mapping[str, Any], max_memory: int
    ) -> None:
        self._lua: Any = lua51.LuaRuntime(
            encoding=None,
            source_encoding="ascii",
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_refuse,
            max_memory=UNLIMITED,
        )
        libraries = self._lua.table()
        for name, module in _LIBRARIES.items():
            library = self._lua.table()
            module.install(self._lua, library)
            libraries[name] = library
        given = self._lua.table()
        for key, value in {**callables, **constants, "patch": _patched, "libraries": libraries}.items():
            given[key.encode()] = value
        given[b"hook_every"] = HOOK_EVERY
        given[b"max_pattern"] = MAX_PATTERN
        given[b"parts"] = self._lua.table_from(
            {path.stem.encode(): path.read_bytes() for path in _FOLDER.glob("*.lua")}
        )
        cage = self._lua.execute(_BOOTSTRAP, given)
        # lupa looks this name up at each call; as long as the string lives, that takes no memory.
        cage[b"anchor"] = b"debug"
        self._settle: Callable[[], None] = cage[b"settle"]
        self.run_without_keys: Callable[..., Any] = cage[b"run_without_keys"]
        self.run_with_key: Callable[..., Any] = cage[b"run_with_key"]
        self.run_with_two_keys: Callable[..., Any] = cage[b"run_with_two_keys"]
        self.run_with_tables: Callable[..., Any] = cage[b"run_with_tables"]
        self.call_function: Callable[..., Any] = cage[b"call_function"]
        self.compile_script: Callable[[bytes], tuple[Any, bytes]] = cage[b"compile_script"]
        self.load_library: Callable[[bytes], Any] = cage[b"load_library"]
        self._set_memory_limit: Callable[[float | None], None] = cage[b"set_memory_limit"]
        self.memory_used: Callable[[], int] = self._lua.get_memory_used
        self._cage = cage
        self.limit_memory(max_memory)

    def limit_memory(self, max_memory: int) -> None:
        """Cap what the scripts' values take, in bytes; 0 for no cap."""
        self.max_memory = max_memory
        if not max_memory:
            self._set_memory_limit(None)
            self._lua.set_max_memory(0)
            self.tidy_at = 1 << 62
            self.is_full = False
            return
        self._lua.set_max_memory(max_memory)
        self._set_memory_limit(max_memory - RESERVE + self._base())
        self.tidy()

    def _base(self) -> int:
        return int(self._lua.get_memory_used(total=True) - self._lua.get_memory_used())

    def has_room(self, size: int) -> bool:
        """Whether so many bytes can be handed to Lua now."""
        if not self.max_memory or self.memory_used() + size < self.max_memory - RESERVE // 2:
            return True
        self._lua.gccollect()
        return bool(self.memory_used() + size < self.max_memory - RESERVE // 2)

    def tidy(self) -> None:
        """Collect garbage, and see what is left: to be called after a run that has left more than `tidy_at`."""
        self._lua.gccollect()
        used = self.memory_used()
        self.tidy_at = max(self.max_memory // 2, (self.max_memory + used) // 2)
        self.is_full = used > self.max_memory - 2 * RESERVE

    def recover(self) -> None:
        """After an error that Lua could not handle inside: free what the run has left, and reset the cage."""
        self._lua.set_max_memory(0)
        try:
            self._lua.gccollect()
            self._settle()
        finally:
            self.limit_memory(self.max_memory)

    def table(self, values: Any) -> Any:
        """A Lua table of nested lists and dicts."""
        return self._lua.table_from(values, recursive=True)


def _patched(code: bytes) -> tuple[bytes | None, bytes | None]:
    """What Lua calls with each function it has compiled; (None, why) where it must not run."""
    try:
        return bytecode.patched(code), None
    except bytecode.UnsafeFunctionError as refusal:
        return None, str(refusal).encode()
    except Exception:
        return None, b"unknown format of compiled code"


def _refuse(owner: object, name: object, is_setting: bool) -> object:
    """lupa's attribute filter: no attribute of any Python object is for scripts."""
    raise AttributeError
