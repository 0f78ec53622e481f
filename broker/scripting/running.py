"""The script that runs now: what it may do, and how it is interrupted.

Lua calls `Interruption.check` about every millisecond. Past busy-reply-threshold the script is "slow": the check
then serves the other clients, who are told BUSY, until the script ends or SCRIPT KILL, FUNCTION KILL or SHUTDOWN
NOSAVE asks for its end. Nothing else of the broker happens meanwhile: no command runs but those that are allowed then,
and time stands still for the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from broker.clients.session import Session
from broker.config import Config
from broker.execution.state import State
from broker.process.log import Log
from protocol.errors import CommandError

LOAD_TIMEOUT: Final = 0.5
"""Seconds that FUNCTION LOAD may take to register its functions, as in Redis."""

KILLED: Final = b"Script killed by user with SCRIPT KILL..."
LOAD_TIMED_OUT: Final = b"FUNCTION LOAD timeout"
NOT_BUSY: Final = b"NOTBUSY No scripts in execution right now."
UNKILLABLE: Final = (
    b"UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script"
    b" termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
)
BUSY_SCRIPT: Final = b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
BUSY_FUNCTION: Final = b"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."


class Run:
    """One execution of a script or function.

    `caller` sent `args`; `name` is the script's SHA-1 or the function's name. `wrote` says that a write command was
    executed. In the reply were `errors_passed_on` of commands, or it `has_errors` of the script's own.
    """

    # Most runs never set these: they are the class's until one does, which spares each run half a microsecond.
    out_of_memory = False
    wrote = False
    errors_passed_on = 0
    has_errors = False
    slow = False
    killed = False
    _time = 0

    def __init__(
        self, caller: Session, args: list[bytes], name: bytes, is_eval: bool, read_only: bool, allows_oom: bool
    ) -> None:
        self.caller = caller
        self.args = args
        self.name = name
        self.is_eval = is_eval
        self.read_only = read_only
        self.allows_oom = allows_oom
        self.started = monotonic()

    def microseconds(self) -> int:
        """The wall clock, in microseconds: for the script it stands still from when it first asks."""
        if not self._time:
            self._time = self.caller.broker.clock.microseconds()
        return self._time

    def milliseconds(self) -> int:
        """How long it has run."""
        return int((monotonic() - self.started) * 1000)


class Interruption:
    """Looks after the script that runs; `current` is None while none does.

    While `is_debugging`, the client's debugger decides how long it may run, and no other client is served.
    """

    def __init__(self, config: Config, log: Log, state: State, serve_while_busy: Callable[[Session], None]) -> None:
        """`serve_while_busy(caller)` serves the other clients while a slow script runs."""
        self._config = config
        self._log = log
        self._state = state
        self._serve_while_busy = serve_while_busy
        self.current: Run | None = None
        self.is_debugging = False
        self._load_ends = 0.0

    def check(self) -> bytes | None:
        """Called by Lua now and then; gives the error that ends the script, None to go on."""
        run = self.current
        if run is None:
            return LOAD_TIMED_OUT if self._load_ends and monotonic() > self._load_ends else None
        if not run.killed:
            try:
                self._look(run)
            except Exception as defect:
                self._log.failure("serving clients beside a slow script failed unexpectedly", defect)
        return KILLED if run.killed else None

    def _look(self, run: Run) -> None:
        if not run.slow:
            threshold = self._config.busy_reply_threshold
            elapsed = (monotonic() - run.started) * 1000
            if elapsed < threshold or not threshold or self.is_debugging:
                return
            run.slow = True
            self._log.warning(
                "a slow script: it can be ended with " + ("SCRIPT KILL" if run.is_eval else "FUNCTION KILL"),
                name=run.name.decode(),
                milliseconds=int(elapsed),
            )
            self._state.set_busy(BUSY_SCRIPT if run.is_eval else BUSY_FUNCTION)
        self._serve_while_busy(run.caller)

    def begin_load(self) -> None:
        """A library's code runs from now on."""
        self._load_ends = monotonic() + LOAD_TIMEOUT

    def end_load(self) -> None:
        """A library's code has run."""
        self._load_ends = 0.0

    def ended(self) -> None:
        """The script is over."""
        run = self.current
        self.current = None
        if run is not None and run.slow:
            self._state.set_busy(None)

    def kill(self, by_script_kill: bool) -> None:
        """SCRIPT KILL or FUNCTION KILL; raises what Redis answers where it can't be done."""
        run = self.current
        if run is None:
            raise CommandError(NOT_BUSY)
        if run.wrote:
            raise CommandError(UNKILLABLE)
        if by_script_kill and not run.is_eval:
            raise CommandError(BUSY_FUNCTION)
        if not by_script_kill and run.is_eval:
            raise CommandError(BUSY_SCRIPT)
        self._log.notice("script killed on request", name=run.name.decode())
        run.killed = True

    def abandon(self) -> None:
        """End the script whatever it has written: the broker stops (SHUTDOWN NOSAVE)."""
        if self.current is not None:
            self.current.killed = True
