"""Compiled Lua 5.1 functions, changed where stock Lua falls short of Redis's.

One change, and one refusal:

- `return redis.call(...)` is a tail call, which drops the caller's frame. In Redis the callee is a C function, for
  which Lua keeps the frame, and errors name the script's line. Here the callee is written in Lua, so the tail calls of
  a script's main chunk, and those of other functions whose callee is a name of a library, become plain calls. All
  others stay: recursion by tail calls may be endless.
- A function with `...` uses a slot of Lua's stack more for each named parameter that it is not given than Lua 5.1.5
  reserves (CVE-2014-5461). Lua always keeps five slots free, of which it uses up to four itself beyond a function's
  own; with more than three named parameters, memory beyond the stack could be written. Such a function is refused.

The format is that of `string.dump`: a header, then the main function with the others inside.
"""

from __future__ import annotations

import struct
from typing import Final

LIBRARIES: Final = frozenset({b"redis", b"cjson", b"cmsgpack", b"struct", b"bit", b"string", b"table", b"coroutine"})
"""Globals whose functions never call themselves through a script."""

BUILTINS: Final = frozenset({b"unpack", b"loadstring", b"rawset", b"rawget", b"setmetatable", b"next", b"pairs"})
"""Global functions of the same kind that the cage has written in Lua."""

MAX_BESIDE_DOTS: Final = 3
"""Named parameters that a function with `...` may have."""

TOO_MANY: Final = "user code:%d: function has more than %d parameters beside '...'"

_SIGNATURE: Final = b"\x1bLuaQ\x00"
_OPCODE: Final = 0x3F
_GETGLOBAL: Final = 5
_GETTABLE: Final = 6
_CALL: Final = 28
_TAILCALL: Final = 29
_IS_VARARG: Final = 2
_NIL, _BOOLEAN, _NUMBER, _STRING = 0, 1, 3, 4


class UnknownFormatError(ValueError):
    """The byte code is not Lua 5.1's."""


class UnsafeFunctionError(ValueError):
    """A function that can't be made safe; the text says why."""


def patched(code: bytes) -> bytes:
    """The dump of a function with the changes above; raises UnknownFormatError or UnsafeFunctionError."""
    if not code.startswith(_SIGNATURE) or len(code) < 12:
        raise UnknownFormatError
    return _Patcher(code).run()


class _Patcher:
    """Steps through one dump, which it changes in place."""

    def __init__(self, code: bytes) -> None:
        self._code = bytearray(code)
        order = "<" if code[6] else ">"
        sizes = {4: "I", 8: "Q"}
        if code[7] != 4 or code[8] not in sizes or code[9] != 4 or code[10] != 8 or code[11] != 0:
            raise UnknownFormatError
        self._int = struct.Struct(order + "i")
        self._size = struct.Struct(order + sizes[code[8]])
        self._order = order
        self._at = 12

    def run(self) -> bytes:
        self._function(main=True)
        return bytes(self._code)

    def _integer(self) -> int:
        (value,) = self._int.unpack_from(self._code, self._at)
        self._at += 4
        return int(value)

    def _string(self) -> bytes:
        (size,) = self._size.unpack_from(self._code, self._at)
        start = self._at + self._size.size
        self._at = start + size
        return bytes(self._code[start : self._at - 1]) if size else b""

    def _function(self, main: bool) -> None:
        code = self._code
        self._string()  # source
        line = self._integer()
        self._integer()  # last line
        parameters, vararg = code[self._at + 1], code[self._at + 2]
        if vararg & _IS_VARARG and parameters > MAX_BESIDE_DOTS:
            raise UnsafeFunctionError(TOO_MANY % (line, MAX_BESIDE_DOTS))
        self._at += 4
        count = self._integer()
        instructions = memoryview(code)[self._at : self._at + 4 * count]
        start = self._at
        words = struct.unpack(f"{self._order}{count}I", instructions)
        instructions.release()
        self._at += 4 * count
        names = self._constants()
        for i, word in enumerate(words):
            if word & _OPCODE == _TAILCALL and (main or _calls_library(words, i, names)):
                changed = word & ~_OPCODE | _CALL
                struct.pack_into(self._order + "I", code, start + 4 * i, changed)
        for _ in range(self._integer()):
            self._function(main=False)
        self._debug()

    def _constants(self) -> list[bytes | None]:
        """The constants, None for those that are no strings."""
        found: list[bytes | None] = []
        for _ in range(self._integer()):
            kind = self._code[self._at]
            self._at += 1
            if kind == _STRING:
                found.append(self._string())
                continue
            found.append(None)
            if kind == _NUMBER:
                self._at += 8
            elif kind == _BOOLEAN:
                self._at += 1
            elif kind != _NIL:
                raise UnknownFormatError
        return found

    def _debug(self) -> None:
        """Lines, local variables, upvalues: passed over."""
        lines = self._integer()
        self._at += 4 * lines
        for _ in range(self._integer()):
            self._string()
            self._at += 8
        for _ in range(self._integer()):
            self._string()


def _calls_library(words: tuple[int, ...], call: int, names: list[bytes | None]) -> bool:
    """Whether the tail call at `call` surely calls a function of a library: its callee was loaded by name."""
    register = words[call] >> 6 & 0xFF
    for i in range(call - 1, -1, -1):
        word = words[i]
        if word >> 6 & 0xFF != register:
            continue
        if word & _OPCODE == _GETGLOBAL:
            return names[word >> 14] in BUILTINS
        if word & _OPCODE != _GETTABLE or not i:
            return False
        before = words[i - 1]
        return (
            word >> 23 == register
            and before >> 6 & 0xFF == register
            and before & _OPCODE == _GETGLOBAL
            and names[before >> 14] in LIBRARIES
        )
    return False
