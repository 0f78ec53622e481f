"""The short way of redis.call: what nearly every call is, a known command with texts and integers, is done at once.

Anything else (an unknown name, a wrong number of arguments, a command whose flags need a look, a value that is neither
text nor whole number) goes to the bridge, which decides with care. `_calling.pyx` is the same compiled, 0.4 us less a
call of 2.1; TRIMARAN_PURE=1 in the environment keeps it out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from broker.scripting.conversions import ERROR, Result, result

if TYPE_CHECKING:
    from broker.registry import Command
    from broker.session import Session

LARGE: Final = 1 << 15
"""Bytes of a reply from which it is asked whether Lua has room for it; less fits what the cage keeps free."""

NO_ROOM: Final = b"ERR not enough memory"

EXACT: Final = 1 << 53
"""Whole numbers beyond this are not surely whole in Lua: the bridge writes them as Redis does."""


class Caller:
    """Called by Lua with a command's words. `checked` are the flags of commands that the bridge must look at first.

    `plain` are the commands by name, `execute(session, command, words)` executes one, `careful(*words)` is the bridge's
    way, `has_room(size)` says whether Lua can take so many bytes, `failed(defect)` gives the reply after an exception.
    """

    def __init__(
        self,
        plain: dict[bytes, Command],
        session: Session,
        execute: Callable[[Session, Command, list[bytes]], bytes],
        careful: Callable[..., Result],
        has_room: Callable[[int], bool],
        failed: Callable[[Exception], Result],
    ) -> None:
        self._plain = plain
        self._session = session
        self._execute = execute
        self._careful = careful
        self._has_room = has_room
        self._failed = failed
        self.checked = 0

    def __call__(self, *args: Any) -> Result:
        try:
            return self._called(args)
        except Exception as defect:
            # lupa would hand the exception itself to the script.
            return self._failed(defect)

    def _called(self, args: tuple[Any, ...]) -> Result:
        words = []
        for word in args:
            if word.__class__ is bytes:
                words.append(word)
            elif word.__class__ is int and -EXACT < word < EXACT:
                words.append(b"%d" % word)
            else:
                return self._careful(*args)
        command = self._plain.get(words[0]) if words else None
        if command is None or command.flags & self.checked or not command.min_args <= len(words) <= command.max_args:
            return self._careful(*args)
        return self.seen(self._execute(self._session, command, words))

    def seen(self, reply: bytes) -> Result:
        """What a reply is to the script."""
        if len(reply) > LARGE and not self._has_room(len(reply)):
            return NO_ROOM, ERROR
        return result(reply)


if os.environ.get("TRIMARAN_PURE") != "1":
    with suppress(ImportError):
        Caller = import_module("broker.scripting._calling").Caller  # type: ignore[misc]  # the same, compiled
