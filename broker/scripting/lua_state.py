"""A Lua state with its way to the commands, made when it is first needed, dropped and made again when told.

EVAL's scripts and the functions have one each, as in Redis: what scripts leave behind in a library (cjson's settings,
the seed of math.random) is not seen by functions, and is gone after SCRIPT FLUSH.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.config import Config
from broker.scripting.border import NoRoomError
from broker.scripting.bridge import Bridge
from broker.scripting.running import Interruption
from broker.scripting.sandbox import OUT_OF_MEMORY, LuaError, Sandbox
from broker.version import REDIS_VERSION

Compiled = tuple[Any, bytes]
"""What Lua made of a source, with a text of no meaning; or None and what is wrong."""

Register = Callable[[bytes, bytes | None, bytes | None], bytes | None]


class LuaState:
    """A Lua state of a broker. Making it takes a millisecond, which those are spared that have no scripts.

    `make_bridge(has_room)` makes what Lua can call; `register` is called for each function that a library registers;
    `debugger(bridge)` returns what the debugger's part in Lua calls.
    """

    def __init__(
        self,
        config: Config,
        interruption: Interruption,
        make_bridge: Callable[[Callable[[int], bool]], Bridge],
        register: Register,
        debugger: Callable[[Bridge], dict[str, Callable[..., Any]]],
    ) -> None:
        self._config = config
        self._interruption = interruption
        self._make_bridge = make_bridge
        self._register = register
        self._debugger = debugger
        self.sandbox: Sandbox | None = None
        self.bridge: Bridge
        config.on_change("lua-max-memory", self._limit_memory)

    def start(self) -> Sandbox:
        """Make the state."""
        bridge = self.bridge = self._make_bridge(self.has_room)
        callables: dict[str, Callable[..., Any]] = {
            "call": bridge.caller,
            "call_with_many": bridge.call_with_many,
            "fetch": bridge.caller.fetch,
            "acl_check_cmd": bridge.acl_check_cmd,
            "setresp": bridge.setresp,
            "set_repl": bridge.set_repl,
            "log": bridge.log,
            "sha1hex": bridge.sha1hex,
            "count_error": bridge.count_error,
            "number": bridge.number,
            "double": bridge.double,
            "read_double": bridge.read_double,
            "hook": self._interruption.check,
            "register_function": self._register,
            **self._debugger(bridge),
        }
        constants = {"version": REDIS_VERSION.encode(), "version_number": _version_number(REDIS_VERSION)}
        self.sandbox = sandbox = Sandbox(callables, constants, self._config.lua_max_memory)
        return sandbox

    def drop(self) -> None:
        """Free the state with everything in it."""
        if self.sandbox is not None:
            self.sandbox.close()
            self.sandbox = None

    def memory_used(self) -> int:
        """Bytes that Lua's values take."""
        return self.sandbox.memory_used() if self.sandbox is not None else 0

    def compile_script(self, source: bytes) -> Compiled:
        """The Lua function of a script's source."""
        sandbox = self.sandbox or self.start()
        return self._bounded(sandbox, sandbox.compile_script, source)

    def load_library(self, source: bytes) -> Compiled:
        """What a library's code registers, by name."""
        sandbox = self.sandbox or self.start()
        self._interruption.begin_load()
        try:
            callbacks, problem = self._bounded(sandbox, sandbox.load_library, source)
        finally:
            self._interruption.end_load()
        if callbacks is None:
            sandbox.recover()
        return callbacks, problem

    def _bounded(self, sandbox: Sandbox, compile_it: Callable[[bytes], Any], source: bytes) -> Compiled:
        """Compile, within the cap of Lua's memory."""
        try:
            outcome: Compiled = compile_it(source)
        except NoRoomError:
            return None, OUT_OF_MEMORY
        except LuaError:
            self._interruption.end_load()  # or its end would also stop the recovery
            sandbox.recover()
            return None, OUT_OF_MEMORY
        return outcome

    def has_room(self, size: int) -> bool:
        """Whether so many bytes can be handed to Lua now."""
        assert self.sandbox is not None
        return self.sandbox.has_room(size)

    def _limit_memory(self, size: int) -> None:
        if self.sandbox is not None:
            self.sandbox.limit_memory(size)


def _version_number(version: str) -> int:
    """A version as redis.REDIS_VERSION_NUM gives it: a byte for each part."""
    major, minor, patch = map(int, version.split("."))
    return major << 16 | minor << 8 | patch
