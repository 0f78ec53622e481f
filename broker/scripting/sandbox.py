"""One Lua state and the cage in it.

The state is stock Lua 5.1 (lupa's), from which cage.lua removes everything that a script must not have. This module
guards the border, because Lua reports a failed allocation by a long jump. While lupa creates Lua objects for Python,
that jump would skip lupa's own frames: the process would end, or never release the interpreter's lock. So Lua's
allocator never refuses anything while a value crosses the border:

- Every Python callable exists twice, plain and lifting: the latter first lifts the memory cap. cage_border.lua, through
  which Lua makes all its calls, uses the plain one while at most a quarter of the cap is in use; otherwise it uses the
  lifting one and restores the cap afterwards. A crossing allocates the value itself and may double existing structures
  (the string table, a stack); below a quarter of the cap that always fits.
- The other direction goes through `enter`, by the same rule. Between runs the cap is set only while little is in use.
- Crossings nest: Python has lifted the cap to call Lua, and the hook calls Python from there. So what is restored is
  not the cap, but what held before (`_outside`).

Large replies are fetched by a separate call, once there is certainly room for them. And Python's callables never raise,
so that a script never gets hold of a Python object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from lupa import lua51

from broker.scripting import bytecode
from broker.scripting.border import A_STRING, Border, NoRoomError, Outcome, UnsupportedError
from broker.scripting.libraries import bit, cjson, cmsgpack, struct
from protocol.replies import bulk

SLACK: Final = 1 << 18
"""Bytes that a crossing may take besides what it doubles: a reply that is not LARGE, and some more."""

FEW_ARGUMENTS: Final = 64
"""Words of a request that lupa hands over one by one; more go in tables, which takes longer for few."""

SLICE: Final = 512
"""Arguments passed to Lua per call; between slices a run can be interrupted."""

HOOK_EVERY: Final = 10_000
"""Lua instructions between two readings of the clock; about 0.1 milliseconds."""

HOOK_CLOSELY: Final = 100
"""The same in a run with slow instructions."""

LONG_BETWEEN_HOOKS: Final = 0.02
"""Seconds between two readings of the clock from which on instructions count as slow."""

LOOK_EVERY: Final = 0.001
"""Seconds between two checks whether the script may continue."""

MAX_PATTERN: Final = 4096
"""Most bytes of a pattern. Matching recurses in C for each of its items, which takes some 200 bytes of stack."""

UNLIMITED: Final = 0

OUT_OF_MEMORY: Final = b"not enough memory"

LuaError = lua51.LuaError
LuaMemoryError = lua51.LuaMemoryError

_LIBRARIES: Final = {b"bit": bit, b"cjson": cjson, b"cmsgpack": cmsgpack, b"struct": struct}
_FOLDER: Final = Path(__file__).parent

_REPLY: Final = 1
"""The second value of `finished` where the first is an encoded reply."""

_BOOTSTRAP: Final = """
local cage = ...
for _, kind in pairs({ "plain", "lifting" }) do
  for name, callable in pairs(cage[kind]) do
    cage[kind][name] = python.as_function(callable)
  end
end
for _, name in pairs({ "lift", "restore", "impose", "release" }) do
  cage[name] = python.as_function(cage[name])
end
return loadstring(cage.parts.cage, "=cage")(cage)
"""


class Sandbox:
    """A caged Lua state. Its methods are the functions that cage.lua returns, which may raise LuaError.

    `callables` are the functions that Lua can call, by name. `max_memory` is in bytes, not counting the cage itself;
    0 means no cap.
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
        self._check = callables["hook"]
        self._border = border = self._in_c(callables["call"])
        self._used: Callable[[], int] = border.used if border is not None else self._lua.get_memory_used
        self._set_limit: Callable[[int], None] = border.set_limit if border is not None else self._lua.set_max_memory
        self._outside = UNLIMITED  # the limit around the calls that Lua makes
        self._cage = cage = self._caged({**callables, "patch": _patched}, constants)
        self._run_without_keys: Callable[..., Any] = cage[b"run_without_keys"]
        self._run_with_key: Callable[..., Any] = cage[b"run_with_key"]
        self._run_with_two_keys: Callable[..., Any] = cage[b"run_with_two_keys"]
        self._run_with_tables: Callable[..., Any] = cage[b"run_with_tables"]
        self._call_function: Callable[..., Any] = cage[b"call_function"]
        self._compile: Callable[[bytes], tuple[Any, bytes]] = cage[b"compile_script"]
        self._load: Callable[[bytes], Any] = cage[b"load_library"]
        self._begin_debugging: Callable[[], None] = cage[b"begin_debugging"]
        self._end_debugging: Callable[[], None] = cage[b"end_debugging"]
        self._capped: Callable[..., Any] = cage[b"capped"]
        self._extend: Callable[[Any, Any], None] = cage[b"extend"]
        self._settle: Callable[[], None] = cage[b"settle"]
        self._set_calm: Callable[[float | None], None] = cage[b"set_calm"]
        for _ in range(3):  # objects with a finalizer are freed by the second, what they refer to by the third
            self._lua.gccollect()
        self._cage_takes = self._used()
        if border is not None:
            border.tidy = self.tidy
            # One call less for each run.
            self.evaluate, self.call = border.evaluate, border.call  # type: ignore[method-assign]
        self.limit_memory(max_memory)

    def close(self) -> None:
        """Free the Lua state with everything in it; nothing may be called afterwards.

        What Lua can call refers to this object, and this object to the Lua state: up to lua-max-memory would otherwise
        wait for the garbage collector, which hardly ever looks at old objects.
        """
        vars(self).clear()

    def _in_c(self, caller: Callable[..., Any]) -> Border | None:
        try:
            return Border(self._lua, caller, self._check)
        except UnsupportedError:
            return None

    def _caged(self, callables: Mapping[str, Callable[..., Any]], constants: Mapping[str, Any]) -> Any:
        """Builds the cage and returns its functions."""
        table_from = self._lua.table_from
        plain = {name.encode(): function for name, function in callables.items()}
        given = table_from({name.encode(): value for name, value in constants.items()})
        given[b"plain"] = table_from(plain)
        given[b"lifting"] = table_from({name: self._lifting(function) for name, function in plain.items()})
        given[b"lift"], given[b"restore"] = self._lifting(_nothing), self._restore
        given[b"impose"], given[b"release"] = self._impose, self._lift
        given[b"hook_every"], given[b"hook_closely"] = HOOK_EVERY, HOOK_CLOSELY
        given[b"long_between_hooks"], given[b"look_every"] = LONG_BETWEEN_HOOKS, LOOK_EVERY
        given[b"max_pattern"] = MAX_PATTERN
        given[b"in_c"] = self._border.functions if self._border is not None else None
        given[b"select_name"] = bytecode.SELECT
        given[b"parts"] = table_from({path.stem.encode(): path.read_bytes() for path in _FOLDER.glob("*.lua")})
        given[b"libraries"] = libraries = table_from({})
        for name, module in _LIBRARIES.items():
            library = libraries[name] = self._lua.table()
            module.install(self._lua, library)
        cage = self._lua.execute(_BOOTSTRAP, given)
        # Outside any protected call, lupa looks up the first string on each call, and Lua creates the second for an
        # error in an error handler. As long as both strings exist, that needs no memory.
        cage[b"anchors"] = table_from([b"debug", b"error in error handling"])
        return cage

    # Running

    def evaluate(self, function: Any, resp: int, request: list[bytes], keys: int) -> Outcome:
        """Run a script with the keys and arguments of a request, from the fourth word on.

        Raises NoRoomError; LuaError where Lua stopped outside of the script's own code: then `recover` must be called.
        """
        if keys > 2 or len(request) > FEW_ARGUMENTS:
            return self._run_with(self._run_with_tables, function, resp, request, keys)
        run = (self._run_without_keys, self._run_with_key, self._run_with_two_keys)[keys]
        given = [function, resp, *request[3:]]
        return _outcome(self.enter(run, given, sum(map(len, request)) + A_STRING * len(given)))

    def call(self, function: Any, resp: int, request: list[bytes], keys: int) -> Outcome:
        """Call a library's function, likewise."""
        return self._run_with(self._call_function, function, resp, request, keys)

    def _run_with(self, run: Callable[..., Any], function: Any, resp: int, request: list[bytes], keys: int) -> Outcome:
        tables = self.tables(request[3 : 3 + keys], request[3 + keys :], check=self._check)
        return _outcome(self.enter(run, [function, resp, *tables], A_STRING))

    def begin_debugging(self) -> None:
        """Have scripts stop at their lines, and call the debugger."""
        self._uncapped(self._begin_debugging)

    def end_debugging(self) -> None:
        """Have scripts run as usual."""
        self._uncapped(self._end_debugging)

    def _uncapped(self, function: Callable[[], None]) -> None:
        """Call a function of the cage that must succeed, however much memory a script has left."""
        self._lift()
        try:
            function()
        finally:
            self._rest()

    # The border

    def _lifting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def lifted(*args: Any) -> Any:
            self._set_limit(UNLIMITED)  # not held by itself, which would keep the Lua state alive (see `close`)
            return function(*args)

        return lifted

    def _restore(self) -> None:
        """After a single call of Lua's that has lifted the cap."""
        self._set_limit(self._outside)

    def _lift(self) -> None:
        """From here to `_impose` or `_rest` nothing is refused, whatever Lua calls meanwhile."""
        self._outside = UNLIMITED
        self._set_limit(UNLIMITED)

    def _impose(self) -> None:
        self._outside = self._cap
        self._set_limit(self._cap)

    def _rest(self) -> None:
        """Between runs: the cap is set only while it could not refuse anything."""
        self._outside = self._cap
        self._set_limit(UNLIMITED if self._used() > self._calm else self._cap)

    def limit_memory(self, max_memory: int) -> None:
        """Limits the memory of the scripts' values, in bytes; 0 means no cap."""
        self.max_memory = max_memory
        self._lift()
        if not max_memory:
            self._cap = UNLIMITED
            self._calm = self._tidy_at = 1 << 62
            self._set_calm(None)
            if self._border is not None:
                self._border.set_cap(UNLIMITED, self._tidy_at)
            return
        self._cap = self._cage_takes + max_memory
        self._calm = (self._cap - SLACK) // 4
        counted = 0 if self._border is not None else self._lua.get_memory_used(total=True) - self._used()
        self._set_calm(self._calm + counted)
        self.tidy()

    def enter(self, function: Callable[..., Any], given: list[Any], size: int) -> Any:
        """Calls a function of the cage with values that take at most `size` bytes; it returns plain values.

        Empties `given`, which would keep Lua's tables in it alive. Raises NoRoomError.
        """
        if self._used() + size <= self._calm:
            try:
                return function(*given)
            finally:
                if self._used() > self._calm:
                    given.clear()
                    self._end_crossing()
        if not self.has_room(size):
            raise NoRoomError
        self._lift()
        try:
            return self._capped(function, *given)
        finally:
            given.clear()
            self._end_crossing()

    def _end_crossing(self) -> None:
        if self._used() > self._tidy_at:
            self.tidy()
        else:
            self._rest()

    def compile_script(self, source: bytes) -> tuple[Any, bytes]:
        """A script's Lua function; None and the reason where it has none."""
        function, problem = self._run_source(self._compile, source)
        return self._kept(function), problem

    def load_library(self, source: bytes) -> tuple[dict[bytes, Any] | None, bytes]:
        """Runs a library's code; returns the callbacks it registered by name, or None and the error's text."""
        found, problem = self._run_source(self._load, source)
        if found is None:
            return None, problem
        self._lift()
        try:
            return {name: self._kept(function) for name, function in found.items()}, problem
        finally:
            self._rest()

    def _kept(self, function: Any) -> Any:
        return function if function is None or self._border is None else self._border.kept(function)

    def _run_source(self, function: Callable[..., Any], source: bytes) -> Any:
        if not self.has_room(2 * len(source)):
            raise NoRoomError
        self._lift()
        try:
            return self._capped(function, source)
        finally:
            self._end_crossing()

    # Memory

    def memory_used(self) -> int:
        """Returns the bytes that the scripts' values take."""
        used: int = self._used() - self._cage_takes
        return max(used, 0)

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes fit, collecting garbage if necessary. Only while the cap can't refuse anything."""
        if not self.max_memory or self.memory_used() + size < self.max_memory:
            return True
        self._lua.gccollect()
        return bool(self.memory_used() + size < self.max_memory)

    def tidy(self) -> None:
        """Collect garbage, as is done after a run that has left much."""
        self._lift()
        self._lua.gccollect()
        if self._cap:
            self._tidy_at = max(self._cap // 2, (self._cap + self._used()) // 2)
            if self._border is not None:
                self._border.set_cap(self._cap, self._tidy_at)
        self._rest()

    def recover(self) -> None:
        """Frees what a run has left and resets the cage, after an error that Lua could not handle itself."""
        self._lift()
        self._settle()
        self.tidy()

    def tables(self, *lists: list[bytes], check: Callable[[], object]) -> list[Any]:
        """Creates a Lua table from each list. `check` is called now and then; if it returns a value, this must stop.

        Raises NoRoomError.
        """
        count = sum(map(len, lists))
        if not self.has_room(sum(sum(map(len, texts)) for texts in lists) + A_STRING * count):
            raise NoRoomError
        self._lift()
        try:
            made = [self._table(texts, check) for texts in lists]
            if count > SLICE and not self.has_room(0):
                raise NoRoomError
        finally:
            self._rest()
        return made

    def _table(self, texts: list[bytes], check: Callable[[], object]) -> Any:
        table_from = self._lua.table_from
        table = table_from(texts[:SLICE])
        for at in range(SLICE, len(texts), SLICE):
            if check() is not None:
                raise NoRoomError
            self._extend(table, table_from(texts[at : at + SLICE]))
        return table


def _outcome(found: Any) -> Outcome:
    """What the cage's `finished` gives, with its replies as they are sent."""
    if found.__class__ is bytes:
        return bulk(found)
    return found[0] if found[1] == _REPLY else found  # type: ignore[no-any-return]


def _nothing() -> None:
    pass


def _patched(code: bytes) -> bytes | None:
    """Patches a function that Lua has compiled; returns None if that is impossible."""
    try:
        return bytecode.patched(code)
    except Exception:
        return None


def _refuse(owner: object, name: object, is_setting: bool) -> object:
    """lupa's attribute filter: scripts may not access any attribute of a Python object."""
    raise AttributeError
