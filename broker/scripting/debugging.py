"""SCRIPT DEBUG: which clients debug their scripts, and the sessions of those that do.

In mode YES the script runs in a forked child, which takes the client's connection over: it talks to the client, runs
the script on its copy of the keys and exits. So nothing that the script does lasts, and the broker serves the other
clients meanwhile. In mode SYNC the script runs in the broker, which serves nobody else until it has ended, and what it
does stays done.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, NoReturn

from broker.clients.session import REPLY_OFF, REPLY_SKIP, Session
from broker.clients.transport import Channel
from broker.config import Config
from broker.process.forking import begin_child, fork_with_pipe
from broker.process.log import Log
from broker.process.poller import Watches
from broker.scripting.bridge import Bridge
from broker.scripting.conversions import ERROR, Result, number_text
from broker.scripting.debugger import Debugger
from broker.scripting.running import Interruption
from broker.scripting.sandbox import Sandbox
from protocol.errors import INTERNAL, CommandError
from protocol.replies import NO_REPLY, error

YES: Final = b"YES"
SYNC: Final = b"SYNC"

IN_TRANSACTION: Final = b"ERR scripts in a transaction can only be debugged in mode SYNC"
UNREACHABLE: Final = b"ERR scripts can't be debugged over this connection"
NO_FORK: Final = b"ERR the debugging session can't be forked: %b"

TOO_MANY: Final = b"ERR too many scripts are being debugged"

MAX_CHILDREN: Final = 64
"""Sessions in children at a time. Their clients don't count towards maxclients, and each is a copy of this process."""

DEFAULT_THRESHOLD_MS: Final = 5000
"""How long a script may run before it is stopped if busy-reply-threshold is 0, as in Redis."""


class Debugging:
    """The debugging sessions of a broker. `modes` has the mode of each client that debugs its next script.

    The tick serves `watches`, through which the broker learns that a child has ended. There is at most one session in
    a process: `current`.
    """

    def __init__(self, config: Config, log: Log, watches: Watches, interruption: Interruption) -> None:
        self._config = config
        self._log = log
        self._watches = watches
        self._interruption = interruption
        self._children: dict[int, int] = {}
        self.modes: dict[Session, bytes] = {}
        self.current: Debugger | None = None

    def set_mode(self, session: Session, mode: bytes) -> None:
        """SCRIPT DEBUG: YES, SYNC, or b"NO"."""
        if mode in (YES, SYNC):
            self.modes[session] = mode
        else:
            self.modes.pop(session, None)

    def forget(self, session: Session) -> None:
        """The client has disconnected."""
        self.modes.pop(session, None)

    @property
    def children(self) -> int:
        """The number of sessions in child processes."""
        return len(self._children)

    # Sessions

    def run(
        self, session: Session, source: bytes, bridge: Bridge, sandbox: Sandbox, evaluate: Callable[[], bytes]
    ) -> bytes:
        """Run a script for a client in debugging mode: `evaluate()` returns the reply to its request.

        The client is closed afterwards, and in mode YES immediately, as its connection is the child's. Raises
        CommandError.
        """
        is_forked = self.modes[session] == YES
        if is_forked and session.queued is not None:
            raise CommandError(IN_TRANSACTION)
        if is_forked and len(self._children) >= MAX_CHILDREN:
            raise CommandError(TOO_MANY)
        channel = session.transport.channel(in_child=is_forked)
        if channel is None:
            raise CommandError(UNREACHABLE)
        debugger = Debugger(channel, source, lambda words: _call(bridge, words))

        def debug() -> bytes:
            return self._debug(debugger, sandbox, evaluate)

        if is_forked:
            return self._fork(session, channel, debug)
        try:
            return debug()
        finally:
            session.close()

    def _debug(self, debugger: Debugger, sandbox: Sandbox, evaluate: Callable[[], bytes]) -> bytes:
        self.current = debugger
        self._interruption.is_debugging = True
        sandbox.begin_debugging()
        try:
            return evaluate()
        finally:
            sandbox.end_debugging()
            self._interruption.is_debugging = False
            self.current = None
            debugger.end()

    # Children

    def _fork(self, session: Session, channel: Channel, debug: Callable[[], bytes]) -> bytes:
        """Leave the client to a child."""
        try:
            pid, pipe = fork_with_pipe()
        except OSError as problem:
            raise CommandError(NO_FORK % (problem.strerror or "").encode()) from None
        if not pid:
            self._be_the_child(session, channel, debug, pipe)
        self._children[pipe] = pid
        self._watches.watch(pipe, lambda: self._child_ended(pipe))
        self._log.notice("a script is debugged in a child process", pid=pid, id=session.id)
        session.transport.hand_over()
        session.kill()
        return NO_REPLY

    def _be_the_child(self, session: Session, channel: Channel, debug: Callable[[], bytes], pipe: int) -> NoReturn:
        """Debug, send the reply, and exit without any of the parent's clean-up; the pipe's end tells the parent."""
        try:
            gc.freeze()
            begin_child(channel.fileno(), pipe, self._log.fileno())
            try:
                reply = debug()
            except CommandError as refused:
                reply = error(refused.text)
            except Exception as defect:
                self._log.failure("debugging a script failed unexpectedly", defect)
                reply = error(INTERNAL)
            if session.flags & (REPLY_OFF | REPLY_SKIP):
                reply = b""
            # Not what the script has published to its own client, as in Redis: nothing that it does lasts.
            channel.send(b"".join([*session.replies, reply]))
            channel.close()
        finally:
            os._exit(0)

    def _child_ended(self, pipe: int) -> None:
        self._watches.unwatch(pipe)
        self._reap(pipe)

    def _reap(self, pipe: int) -> None:
        os.close(pipe)
        pid = self._children.pop(pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self._log.notice("a script's debugging session has ended", pid=pid)

    def close(self) -> None:
        """End the sessions in children."""
        for pipe, pid in list(self._children.items()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._child_ended(pipe)

    # What Lua calls. Nothing raises: lupa would hand the exception to the script.

    def callables(self, bridge: Bridge) -> dict[str, Callable[..., Any]]:
        """What the debugger's part in Lua calls, by name; `bridge` is its state's way to the commands."""

        def call(*args: Any) -> Result:
            return self._call_from_script(bridge, args)

        return {
            "debug_stopped": self._stopped,
            "debug_done": self._done,
            "debug_log": self._log_line,
            "debug_log_value": self._log_value,
            "debug_log_frame": self._log_frame,
            "debug_call": call,
            "debug_is_overdue": self._is_overdue,
            "debug_restarts": self._restart,
        }

    def _stopped(self, line: int, reason: bytes) -> tuple[bytes, bytes, int]:
        debugger = self._present()
        return self._guarded(lambda: debugger.stopped(line, reason))

    def _done(self) -> tuple[bytes, bytes, int]:
        return self._guarded(self._present().done)

    def _guarded(self, converse: Callable[[], tuple[bytes, bytes, int]]) -> tuple[bytes, bytes, int]:
        try:
            return converse()
        except Exception as defect:
            self._log.failure("debugging a script failed unexpectedly", defect)
            return b"abort", INTERNAL, 0

    def _present(self) -> Debugger:
        assert self.current is not None  # or who called?
        return self.current

    def _log_line(self, text: bytes) -> None:
        self._present().log(text)

    def _log_value(self, text: bytes) -> None:
        self._present().log_value(text)

    def _log_frame(self, text: bytes, line: int) -> None:
        self._present().log_frame(text, line)

    def _is_overdue(self) -> bool:
        """Whether the script has run for too long since it was last stopped."""
        threshold = self._config.busy_reply_threshold or DEFAULT_THRESHOLD_MS
        return (monotonic() - self._present().started) * 1000 >= threshold

    def _restart(self) -> None:
        """From now on the client's own code runs."""
        self._present().started = monotonic()

    def _call_from_script(self, bridge: Bridge, args: tuple[Any, ...]) -> Result:
        """redis.call: shown to the client while it steps through the script."""
        try:
            debugger = self._present()
            words = [word if word.__class__ is bytes else number_text(word) for word in args if _is_text(word)]
            if not words or len(words) < len(args):
                reply = bridge.reply(*args)
                if debugger.is_stepping:
                    debugger.log_reply(reply, was_refused=True)
                return bridge.caller.seen(reply)
            if debugger.is_stepping:
                debugger.log_call(words)
            reply, was_refused = _call(bridge, words)
            if debugger.is_stepping:
                debugger.log_reply(reply, was_refused)
            return bridge.caller.seen(reply)
        except Exception as defect:
            self._log.failure("a call from a script failed unexpectedly", defect)
            return INTERNAL, ERROR


def _is_text(word: object) -> bool:
    return word.__class__ in (bytes, int, float)


def _call(bridge: Bridge, words: list[bytes]) -> tuple[bytes, bool]:
    """Execute a command; returns its reply, and whether it was refused before it was executed."""
    bridge.refused = False
    reply = bridge.reply(*words)
    return reply, bridge.refused
