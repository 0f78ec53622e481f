"""redis.call and its kin: from Lua to the command table and back.

Python callables that Lua calls. They take what lupa makes of Lua's texts and numbers, give plain values, and never
raise: lupa would hand the exception object itself to the script.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from broker.acl.log import LUA
from broker.clients.permissions import denial
from broker.clients.session import Session
from broker.execution.executor import Executor
from broker.execution.state import State
from broker.process.log import Log
from broker.process.stats import Stats
from broker.scripting.calling import NOT_TEXTS, Caller
from broker.scripting.conversions import Result, number_text
from broker.scripting.running import Interruption, Run
from broker.table.command import DENYOOM, MAY_REPLICATE, NOSCRIPT, STALE, WRITE, Command, CommandTable
from protocol import errors
from protocol.numbers import format_double
from protocol.replies import DIALECTS, error

NO_COMMAND: Final = b"ERR Please specify at least one argument for this redis lib call"
UNKNOWN: Final = b"ERR Unknown Redis command called from script"
WRONG_ARITY: Final = b"ERR Wrong number of args calling Redis command from script"
NOT_FROM_SCRIPT: Final = b"ERR This Redis command is not allowed from script"
STALE_REPLICA: Final = b"ERR Can not execute the command on a stale replica"
READ_ONLY: Final = b"ERR Write commands are not allowed from read-only scripts."
REPL_AOF: Final = 1
REPL_REPLICA: Final = 2
IN_SCRIPT: Final = b"ERR ACL failure in script: "
ACL_UNKNOWN: Final = b"Invalid command passed to redis.acl_check_cmd()"
ACL_WRONG_ARITY: Final = b"Wrong number of args for redis.acl_check_cmd()"


class Bridge:
    """What one Lua state can call; `session` is the one that executes the scripts' commands.

    `has_room(size)` says whether the state can take so many bytes. `refused` is set when a command may not be executed.
    """

    def __init__(
        self,
        session: Session,
        commands: CommandTable,
        executor: Executor,
        state: State,
        stats: Stats,
        log: Log,
        interruption: Interruption,
        has_room: Callable[[int], bool],
    ) -> None:
        self._session = session
        self._commands = commands
        self._state = state
        self._stats = stats
        self._log = log
        self._interruption = interruption
        self._plain = commands.plain
        self._effects = session.broker.keyspace.effects
        self.refused = False
        self._checked = 0
        self._restricted = False
        self.caller = Caller(self._plain, session, executor, self.reply, self.refuse, has_room, self._failed)

    def begin(self, run: Run) -> None:
        """A script begins: say which commands must be looked at twice before it may execute them."""
        checked = NOSCRIPT | WRITE | MAY_REPLICATE if run.read_only else NOSCRIPT | WRITE
        if run.out_of_memory and not run.allows_oom:
            checked |= DENYOOM
        self._look_at(checked, self._state.stale or not run.caller.user.has_all_rights)

    def _look_at(self, checked: int, restricted: bool) -> None:
        """Say which commands the caller must ask about; mostly they are the same as before, and it need not be told."""
        if checked != self._checked or restricted != self._restricted:
            self._checked = self.caller.checked = checked
            self._restricted = self.caller.restricted = restricted

    def reply(self, *args: Any) -> bytes:
        """The reply to redis.call and redis.pcall, with all checks in Redis's order."""
        words = list(args)
        for word in words:
            if word.__class__ is not bytes:
                texts = _texts(words)
                if texts is None:
                    return error(NOT_TEXTS)
                words = texts
                break
        if not words:
            return error(NO_COMMAND)
        command = self._plain.get(words[0])
        if command is None:
            command = self._commands.find(words)
            if command is None:
                return self._refused(None, UNKNOWN)
        if not command.min_args <= len(words) <= command.max_args:
            return self._refused(command, WRONG_ARITY)
        if self._restricted and not command.flags & NOSCRIPT:
            denied = self._denial(command, words)
            if denied is not None:
                return self._refused(command, denied)
            if self._state.stale and not command.flags & STALE:
                return self._refused(command, STALE_REPLICA)
        if command.flags & self._checked:
            refusal = self.refuse(command)
            if refusal is not None:
                return refusal
        return self.caller.execute(command, words)

    def refuse(self, command: Command) -> bytes | None:
        """The error reply to a command with one of the caller's checked flags; None where it may be executed."""
        refusal = self._refusal(command)
        return None if refusal is None else self._refused(command, refusal)

    def call_with_many(self, lengths: bytes, texts: bytes) -> Result:
        """`call` with the arguments as one text and their lengths."""
        words = []
        at = 0
        for length in lengths.split():
            end = at + int(length)
            words.append(texts[at:end])
            at = end
        return self.caller(*words)

    def _refusal(self, command: Command) -> bytes | None:
        """Why the script may not execute this command, in Redis's order; notes that it writes.

        What the broker's state forbids is only forbidden until the script has written: it is not stopped half-way.
        """
        flags = command.flags
        if flags & NOSCRIPT and not self._state.scripts_may_all:
            return NOT_FROM_SCRIPT
        run = self._interruption.current
        assert run is not None  # or who called?
        if run.read_only and flags & (WRITE | MAY_REPLICATE):
            return READ_ONLY
        if flags & WRITE:
            if self._state.read_only:
                return errors.READ_ONLY_REPLICA
            if self._state.write_refusal is not None:
                return self._state.write_refusal
            if self._state.too_few_replicas:
                return errors.NO_REPLICAS
        if self._checked & flags & DENYOOM:
            return errors.OUT_OF_MEMORY
        if flags & WRITE:
            run.wrote = True
            self._look_at(NOSCRIPT, self._restricted)  # from here on nothing but this is asked about
        return None

    def _denial(self, command: Command, words: list[bytes]) -> bytes | None:
        """The error if the script's user may not execute this."""
        run = self._interruption.current
        assert run is not None  # or who called?
        runs_it = self._commands.find(run.args)
        running = runs_it.name if runs_it is not None else b""
        denied = denial(self._session, command, words, LUA, run.caller, running)
        return None if denied is None else IN_SCRIPT + denied.removeprefix(b"NOPERM ")

    def _failed(self, defect: Exception) -> bytes:
        self._log.failure("a call from a script failed unexpectedly", defect)
        return error(errors.INTERNAL)

    def _refused(self, command: Command | None, text: bytes) -> bytes:
        self.refused = True
        self._stats.count_error(text)
        if command is not None:
            command.rejected += 1
        return error(text)

    def acl_check_cmd(self, *args: Any) -> Any:
        """redis.acl_check_cmd: whether the caller may execute this; (text, True) for an error."""
        words = _texts(list(args))
        if words is None:
            return NOT_TEXTS[4:], True
        if not words:
            return NO_COMMAND[4:], True
        command = self._commands.find(words)
        if command is None:
            return ACL_UNKNOWN, True
        if not command.min_args <= len(words) <= command.max_args:
            return ACL_WRONG_ARITY, True
        return self._session.user.permits(command, words)

    def setresp(self, version: int) -> None:
        """redis.setresp: the protocol version of the replies that the script sees."""
        self._session.resp = DIALECTS[version]

    def set_repl(self, flags: int) -> None:
        """redis.set_repl: whether the writes that follow are propagated to the journal, to replicas, or both."""
        if self._effects.sinks:
            self._effects.restrict(to_journal=bool(flags & REPL_AOF), to_replicas=bool(flags & REPL_REPLICA))

    def log(self, level: int, text: bytes) -> None:
        """redis.log."""
        shown = text.decode(errors="replace")
        log = self._log
        (log.debug, log.verbose, log.notice, log.warning)[level](shown)

    def sha1hex(self, text: bytes) -> bytes:
        """redis.sha1hex."""
        return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()

    def count_error(self, text: bytes, was_counted: bool) -> None:
        """An error in the script's own reply, which may have been counted when a command gave it."""
        run = self._interruption.current
        assert run is not None  # or who called?
        if was_counted:
            run.errors_passed_on += 1
        else:
            run.has_errors = True
            self._stats.count_error(text)

    def number(self, number: float) -> bytes:
        """A number as an argument."""
        return number_text(number)

    def read_double(self, text: bytes) -> float:
        """A double in an encoded reply."""
        return float(text)

    def double(self, number: float) -> bytes:
        """A number as a double in a reply."""
        return format_double(float(number))


def _texts(words: list[Any]) -> list[bytes] | None:
    """A call's arguments as bytes; None where one is neither text nor number."""
    texts = []
    for word in words:
        if word.__class__ is bytes:
            texts.append(word)
        elif word.__class__ is int or word.__class__ is float:
            texts.append(number_text(word))
        else:
            return None
    return texts
