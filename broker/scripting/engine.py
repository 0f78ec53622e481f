"""One broker's scripting: what runs a script or a function and gives its reply.

EVAL's scripts and the functions have a Lua state each; one session executes the commands of both. What a script writes
is propagated as one unit, and clients that wait for its keys are served when it is done, or, within EXEC, when that is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from broker.clients.session import Host, Session
from broker.clients.transport import CLOSED_TRANSPORT
from broker.config import Config
from broker.execution.executor import Executor
from broker.execution.state import State
from broker.process.log import Log
from broker.process.poller import Watches
from broker.process.stats import Stats
from broker.scripting.border import NoRoomError, Outcome
from broker.scripting.bridge import Bridge
from broker.scripting.debugging import Debugging
from broker.scripting.functions import Function, Functions
from broker.scripting.lua_state import LuaState
from broker.scripting.running import KILLED, Interruption, Run
from broker.scripting.sandbox import OUT_OF_MEMORY, LuaError, LuaMemoryError
from broker.scripting.scripts import ALLOW_OOM, ALLOW_STALE, NO_WRITES, Script, Scripts
from broker.table.command import CommandTable
from protocol import errors
from protocol.errors import CommandError
from protocol.replies import RESP2, error

WRITES_IN_RO: Final = b"ERR Can not execute a script with write flag using *_ro command."
NO_ROOM: Final = b"ERR not enough memory for the script's keys and arguments"

_FAILURE: Final = 2
"""The second value of the outcome of a run that failed by an error of the script, not of Lua's."""


class Scripting:
    """Scripts and functions of a broker.

    What they call is executed by a session of their own on `host`. `serve` serves clients who wait for what a script
    wrote, `memory_refuses` says whether memory is still short, `serve_while_busy(caller)` serves the other clients
    beside a slow script.
    """

    def __init__(
        self,
        host: Host,
        config: Config,
        commands: CommandTable,
        executor: Executor,
        state: State,
        stats: Stats,
        log: Log,
        watches: Watches,
        *,
        serve: Callable[[], None],
        memory_refuses: Callable[[], bool],
        serve_while_busy: Callable[[Session], None],
    ) -> None:
        self._keyspace = host.keyspace
        self._commands = commands
        self._state = state
        self._stats = stats
        self._serve = serve
        self._memory_refuses = memory_refuses
        self.interruption = Interruption(config, log, state, serve_while_busy)
        self.debugging = Debugging(config, log, watches, self.interruption)
        session = self._session = Session(host, 0, CLOSED_TRANSPORT)
        session.deny_blocking = session.is_script = True
        session.flags = 0
        self.functions = Functions(self._load_library, self._forget_functions)
        make_bridge = partial(Bridge, session, commands, executor, state, stats, log, self.interruption)
        make_state = partial(
            LuaState, config, self.interruption, make_bridge, self.functions.register, self.debugging.callables
        )
        self._of_scripts = make_state()
        self._of_functions = make_state()
        self.scripts = Scripts(self._of_scripts.compile_script, stats)

    def flush_scripts(self) -> None:
        """SCRIPT FLUSH: forget all scripts, and what they have left in their Lua state."""
        self.scripts = Scripts(self._of_scripts.compile_script, self._stats)
        self._of_scripts.drop()

    def memory_of_scripts(self) -> int:
        """Bytes that Lua takes for EVAL's scripts."""
        return self._of_scripts.memory_used()

    def memory_of_functions(self) -> int:
        """Bytes that Lua takes for functions."""
        return self._of_functions.memory_used()

    def _load_library(self, source: bytes) -> tuple[Any, bytes]:
        return self._of_functions.load_library(source)

    def _forget_functions(self) -> None:
        self._of_functions.drop()

    # Running

    def evaluate(self, caller: Session, args: list[bytes], script: Script, keys: int, read_only: bool) -> bytes:
        """Run a script for a client; `args` is its request, with `keys` keys from the fourth argument on."""
        state = self._of_scripts
        sandbox = state.sandbox or state.start()
        if script.flags is None and not (self._state.out_of_memory or self._state.stale):
            run = Run(caller, args, script.sha, True, read_only, False)  # nothing that _prepare checks
        else:
            run = self._prepare(caller, args, script.sha, script.flags, read_only, is_eval=True)
        return self._run(run, state, sandbox.evaluate, script.function, keys)

    def debug(self, caller: Session, args: list[bytes], evaluate: Callable[[], bytes]) -> bytes:
        """EVAL of a client in debugging mode, where `evaluate` is it without the debugger."""
        state = self._of_scripts
        sandbox = state.sandbox or state.start()
        return self.debugging.run(caller, args[1], state.bridge, sandbox, evaluate)

    def call(self, caller: Session, args: list[bytes], function: Function, keys: int, read_only: bool) -> bytes:
        """Call a function for a client; arguments as for `evaluate`."""
        state = self._of_functions
        sandbox = state.sandbox or state.start()
        run = self._prepare(caller, args, function.name, function.flags, read_only, is_eval=False)
        return self._run(run, state, sandbox.call, function.callback, keys)

    def _prepare(
        self, caller: Session, args: list[bytes], name: bytes, flags: int | None, read_only: bool, *, is_eval: bool
    ) -> Run:
        """The run, after the checks that concern the script as a whole."""
        state = self._state
        out_of_memory = state.out_of_memory and self._memory_refuses()
        allows_oom = False
        if flags is not None:
            if flags & NO_WRITES:
                read_only = True
            elif state.read_only:
                raise CommandError(errors.READ_ONLY_REPLICA)
            elif state.write_refusal is not None:
                raise CommandError(errors.script_refused(state.write_refusal))
            elif state.too_few_replicas:
                raise CommandError(errors.NO_REPLICAS)
            elif read_only:
                raise CommandError(WRITES_IN_RO)
            elif out_of_memory and not flags & ALLOW_OOM:
                raise CommandError(errors.OUT_OF_MEMORY)
            allows_oom = bool(flags & ALLOW_OOM)
        if state.stale and not (flags and flags & ALLOW_STALE):
            raise CommandError(errors.MASTER_DOWN)
        run = Run(caller, args, name, is_eval=is_eval, read_only=read_only, allows_oom=allows_oom)
        run.out_of_memory = out_of_memory
        return run

    def _run(self, run: Run, state: LuaState, enter: Callable[..., Outcome], function: Any, keys: int) -> bytes:
        """Run a script or function by what its sandbox has for that."""
        caller = run.caller
        session = self._session
        session.db = caller.db
        session.user = caller.user
        session.resp = RESP2
        effects = self._keyspace.effects
        state.bridge.begin(run)
        is_propagated = bool(effects.sinks)
        if is_propagated:
            effects.begin()
        self.interruption.current = run
        try:
            outcome = enter(function, caller.resp.version, run.args, keys)
        except LuaError as problem:
            outcome = self._broken_off(state, run, problem)
        except NoRoomError:
            outcome = (b"ERR " + KILLED if run.killed else NO_ROOM, _FAILURE, False)
        finally:
            self.interruption.ended()
            if is_propagated:
                effects.restrict(to_journal=True, to_replicas=True)
                effects.end()
        if self._keyspace.ready and caller.queued is None:
            self._serve()
        if isinstance(outcome, bytes):
            if run.errors_passed_on or run.has_errors:  # as strange as in Redis
                self._commands.find(run.args).failed += run.errors_passed_on + run.has_errors  # type: ignore[union-attr]
            return outcome
        return self._failed(run, outcome)

    def _broken_off(self, state: LuaState, run: Run, problem: Exception) -> tuple[Any, ...]:
        """The outcome where Lua stopped outside of the script's own code: killed, or without memory."""
        self.interruption.ended()  # or a kill would also stop the recovery
        sandbox = state.sandbox
        assert sandbox is not None  # it was what ran
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
            self._stats.count_error(text)
        command = self._commands.find(run.args)
        if command is not None:
            command.failed += 1
        return error(text)
