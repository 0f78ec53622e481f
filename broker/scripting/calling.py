"""The short way of redis.call: what nearly every call is, a known command with texts and integers, is done at once.

Anything else (an unknown name, a wrong number of arguments, a value that is neither text nor whole number) goes to the
bridge, which decides with care; so does the question whether a command may be executed whose flags need a look.
`_calling.pyx` is the same compiled, in less than half the time; TRIMARAN_PURE=1 in the environment keeps it out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from broker.scripting.conversions import ERROR, HELD, LARGE, Result, result
from protocol.native import prefer

if TYPE_CHECKING:
    from broker.clients.session import Session
    from broker.execution.executor import Executor
    from broker.table.command import Command

NO_ROOM: Final = b"ERR not enough memory"
NOT_TEXTS: Final = b"ERR Lua redis lib command arguments must be strings or integers"

EXACT: Final = 1 << 53
"""Whole numbers beyond this are not surely whole in Lua: the bridge writes them as Redis does."""


class Caller:
    """Called by Lua with a command's words. `checked` are the flags of commands that the bridge must look at first;
    `restricted` says that it must look at all of them, since the script's user may not do everything.

    `plain` are the commands by name, executed by `session`; `execute_checked(*words)` is the bridge's way to a reply,
    `refuse(command)` gives the error reply to a command that has one of the checked flags and may not be executed,
    `has_room(size)` says whether Lua can take so many bytes, `failed(defect)` gives the reply after a defect of ours.
    """

    def __init__(
        self,
        plain: dict[bytes, Command],
        session: Session,
        executor: Executor,
        execute_checked: Callable[..., bytes],
        refuse: Callable[[Command], bytes | None],
        has_room: Callable[[int], bool],
        failed: Callable[[Exception], bytes],
    ) -> None:
        self._plain = plain
        self._session = session
        self._run = executor.run_call
        self._execute_checked = execute_checked
        self._refuse = refuse
        self._has_room = has_room
        self._failed = failed
        self._held = b""
        self.checked = 0
        self.restricted = False

    def __call__(self, *args: Any) -> Result:
        try:
            return self._called(args)
        except Exception as defect:
            # lupa would hand the exception itself to the script.
            return self.seen(self._failed(defect))

    def _called(self, args: tuple[Any, ...]) -> Result:
        words = []
        for word in args:
            if word.__class__ is bytes:
                words.append(word)
            elif word.__class__ is int and -EXACT < word < EXACT:
                words.append(b"%d" % word)
            else:
                return self.seen(self._execute_checked(*args))
        command = self._plain.get(words[0]) if words else None
        if command is None or self.restricted or not command.min_args <= len(words) <= command.max_args:
            return self.seen(self._execute_checked(*args))
        if command.flags & self.checked:
            refusal = self._refuse(command)
            if refusal is not None:
                return self.seen(refusal)
        return self.seen(self.execute(command, words))

    def execute(self, command: Command, words: list[bytes]) -> bytes:
        """Execute a command; its reply."""
        return self._run(self._session, command, words)

    def seen(self, reply: bytes) -> Result:
        """What a reply is to the script."""
        if len(reply) > LARGE:
            self._held = reply
            return None, HELD
        return result(reply)

    def fetch(self) -> Result:
        """The last reply that was HELD."""
        reply, self._held = self._held, b""
        try:
            return result(reply) if self._has_room(len(reply)) else (NO_ROOM, ERROR)
        except Exception as defect:
            return result(self._failed(defect))


prefer(globals(), "broker.scripting._calling", "Caller")
