"""One broker's scripting: what runs a script or a function and gives its reply.

There is one Lua state, made when the first script comes, and one session that executes the scripts' commands. What a
script writes is propagated as one unit, and clients that wait for its keys are served when it is done, or, within
EXEC, when that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from broker.scripting.bridge import Bridge
from broker.scripting.functions import Function, Functions
from broker.scripting.running import KILLED, Interruption, Run
from broker.scripting.sandbox import OUT_OF_MEMORY, LuaError, LuaMemoryError, Sandbox
from broker.scripting.scripts import ALLOW_OOM, NO_WRITES, Script, Scripts
from broker.session import Session
from broker.version import REDIS_VERSION
from protocol import errors
from protocol.errors import CommandError
from protocol.replies import RESP2, bulk, error

if TYPE_CHECKING:
    from broker.core import Broker

WRITES_IN_RO: Final = b"ERR Can not execute a script with write flag using *_ro command."
NO_ROOM: Final = b"ERR not enough memory for the script's keys and arguments"

FEW_ARGUMENTS: Final = 64
"""Keys and arguments that are handed to Lua one by one; more go in tables, which takes longer for few."""

SMALL: Final = 1 << 20
"""Bytes of keys and arguments that always fit into what Lua keeps free."""

# The second value of a finished run: an encoded reply, an error of the script, an error of Lua's.
_REPLY: Final = 1
_FAILURE: Final = 2


class ScriptTransport:
    """The connection of the session that executes the scripts' commands: there is none."""

    def peer(self) -> bytes:
        return b""

    def local(self) -> bytes:
        return b""

    def is_local(self) -> bool:
        return False

    def limits_changed(self) -> None:
        pass

    def sizes(self) -> tuple[int, int, int, int]:
        return 0, 0, 0, 0

    def close_soon(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Scripting:
    """Scripts and functions of a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._keyspace = broker.keyspace
        self.interruption = Interruption(broker)
        self._session: Session
        self._bridge: Bridge
        self._sandbox: Sandbox | None = None
        self._scripts: Scripts | None = None
        self.functions = Functions(self._load_library)
        broker.config.on_change("lua-max-memory", self._limit_memory)

    @property
    def scripts(self) -> Scripts:
        """EVAL's scripts."""
        if self._scripts is None:
            self._scripts = Scripts(self._compile)
        return self._scripts

    def flush_scripts(self) -> None:
        """SCRIPT FLUSH: forget all scripts."""
        self._scripts = None

    def memory_used(self) -> int:
        """Bytes that Lua's values take."""
        return self._sandbox.memory_used() if self._sandbox is not None else 0

    # Running

    def evaluate(self, caller: Session, args: list[bytes], script: Script, keys: int, read_only: bool) -> bytes:
        """Run a script for a client; `args` is its request, with `keys` keys from the fourth argument on."""
        sandbox = self._sandbox or self._start()
        run = self._prepare(sandbox, caller, args, script.sha, script.flags, read_only, is_eval=True)
        resp = caller.resp.version
        if keys > 2 or len(args) > FEW_ARGUMENTS:
            call = sandbox.run_with_tables
            given = [script.function, resp, sandbox.table(args[3 : 3 + keys]), sandbox.table(args[3 + keys :])]
        else:
            call = (sandbox.run_without_keys, sandbox.run_with_key, sandbox.run_with_two_keys)[keys]
            given = [script.function, resp, *args[3:]]
        return self._run(run, sandbox, call, given)

    def call(self, caller: Session, args: list[bytes], function: Function, keys: int, read_only: bool) -> bytes:
        """Call a function for a client; arguments as for `evaluate`."""
        sandbox = self._sandbox or self._start()
        run = self._prepare(sandbox, caller, args, function.name, function.flags, read_only, is_eval=False)
        given = [
            function.callback,
            caller.resp.version,
            sandbox.table(args[3 : 3 + keys]),
            sandbox.table(args[3 + keys :]),
        ]
        return self._run(run, sandbox, sandbox.call_function, given)

    def _prepare(
        self, sandbox: Sandbox, caller: Session, args: list[bytes], name: bytes, flags: int | None, read_only: bool,
        *, is_eval: bool,
    ) -> Run:  # fmt: skip
        """The run, after the checks that concern the script as a whole."""
        broker = self._broker
        out_of_memory = broker.out_of_memory and broker.eviction.refuses()
        allows_oom = False
        if flags is not None:
            if flags & NO_WRITES:
                read_only = True
            elif broker.write_refusal is not None:
                raise CommandError(errors.script_refused(broker.write_refusal))
            elif read_only:
                raise CommandError(WRITES_IN_RO)
            elif out_of_memory and not flags & ALLOW_OOM:
                raise CommandError(errors.OUT_OF_MEMORY)
            allows_oom = bool(flags & ALLOW_OOM)
        size = sum(map(len, args))
        if sandbox.is_full or (size > SMALL and not sandbox.has_room(2 * size)):
            raise CommandError(NO_ROOM)
        run = Run(caller, args, name, is_eval=is_eval, read_only=read_only, allows_oom=allows_oom)
        run.out_of_memory = out_of_memory
        return run

    def _run(self, run: Run, sandbox: Sandbox, call: Callable[..., Any], given: list[Any]) -> bytes:
        caller = run.caller
        session = self._session
        session.db = caller.db
        session.user = caller.user
        session.resp = RESP2
        propagation = self._keyspace.propagation
        self._bridge.begin(run)
        propagation.begin()
        self.interruption.current = run
        try:
            outcome = call(*given)
        except LuaError as problem:
            outcome = self._broken_off(sandbox, run, problem)
        finally:
            self.interruption.ended()
            propagation.muted = False
            propagation.end()
            if sandbox.memory_used() > sandbox.tidy_at:
                sandbox.tidy()
        if self._keyspace.ready and caller.queued is None:
            self._broker.blocking.serve()
        if outcome.__class__ is bytes:
            return bulk(outcome)
        if outcome[1] == _REPLY:
            return outcome[0]  # type: ignore[no-any-return]
        return self._failed(run, outcome)

    def _broken_off(self, sandbox: Sandbox, run: Run, problem: LuaError) -> tuple[Any, ...]:
        """The outcome where Lua stopped outside of the script's own code: killed, or without memory."""
        sandbox.recover()
        if run.killed:
            return b"ERR " + KILLED, _FAILURE, False
        if isinstance(problem, LuaMemoryError):
            return OUT_OF_MEMORY, 0
        return str(problem).encode(errors="replace"), 0

    def _failed(self, run: Run, outcome: tuple[Any, ...]) -> bytes:
        """The error reply of a run."""
        text: bytes
        counted = False
        if outcome[1] == _FAILURE:
            text, _, counted = outcome[:3]
            if len(outcome) > 3:
                text = b"%b script: %b, on %b." % (text, run.name, outcome[3])
        else:
            text = b"ERR Error running script %b, %b" % (run.name, outcome[0][:100])
        if not counted:
            self._broker.stats.count_error(text)
        command = self._broker.commands.find(run.args)
        if command is not None:
            command.failed += 1
        return error(text)

    # The Lua state

    def _start(self) -> Sandbox:
        """Make the Lua state; it takes a few milliseconds, which a broker without scripts is spared."""
        broker = self._broker
        session = self._session = Session(broker, 0, ScriptTransport())
        session.never_waits = True
        session.gate = 0
        bridge = self._bridge = Bridge(broker, session, self.interruption, self._has_room)
        callables: dict[str, Callable[..., Any]] = {
            "call": bridge.caller,
            "call_with_many": bridge.call_with_many,
            "acl_check_cmd": bridge.acl_check_cmd,
            "setresp": bridge.setresp,
            "set_repl": bridge.set_repl,
            "log": bridge.log,
            "sha1hex": bridge.sha1hex,
            "count_error": bridge.count_error,
            "number": bridge.number,
            "double": bridge.double,
            "read_double": bridge.read_double,
            "hook": self.interruption.check,
            "register_function": self.functions.register,
        }
        constants = {"version": REDIS_VERSION.encode(), "version_number": _version_number(REDIS_VERSION)}
        self._sandbox = sandbox = Sandbox(callables, constants, broker.config.lua_max_memory)
        return sandbox

    def _compile(self, source: bytes) -> tuple[Any, bytes]:
        """The Lua function of a script's source; or None and what is wrong."""
        sandbox = self._sandbox or self._start()
        return self._in_lua(sandbox, sandbox.compile_script, source)

    def _load_library(self, source: bytes) -> tuple[Any, bytes]:
        """What a library's code registers, by name; or None and what is wrong."""
        sandbox = self._sandbox or self._start()
        self.interruption.begin_load()
        try:
            callbacks, problem = self._in_lua(sandbox, sandbox.load_library, source)
        finally:
            self.interruption.end_load()
        if callbacks is None:
            sandbox.recover()
        return callbacks, problem

    def _in_lua(self, sandbox: Sandbox, compile_it: Callable[[bytes], Any], source: bytes) -> tuple[Any, bytes]:
        if sandbox.is_full or (len(source) > SMALL and not sandbox.has_room(2 * len(source))):
            return None, OUT_OF_MEMORY
        try:
            outcome: tuple[Any, bytes] = compile_it(source)
        except LuaError:
            sandbox.recover()
            return None, OUT_OF_MEMORY
        if sandbox.memory_used() > sandbox.tidy_at:
            sandbox.tidy()
        return outcome

    def _has_room(self, size: int) -> bool:
        assert self._sandbox is not None
        return self._sandbox.has_room(size)

    def _limit_memory(self, size: int) -> None:
        if self._sandbox is not None:
            self._sandbox.limit_memory(size)


def _version_number(version: str) -> int:
    """A version as redis.REDIS_VERSION_NUM gives it: a byte for each part."""
    major, minor, patch = map(int, version.split("."))
    return major << 16 | minor << 8 | patch
