"""Patches compiled Lua 5.1 functions where stock Lua falls short of Redis's.

- `return redis.call(...)` is a tail call, which drops the caller's frame. In Redis the callee is a C function, for
  which Lua keeps the frame, so that errors name the script's line. Here the callee is written in Lua, so tail calls
  become plain calls: all of them in a script's main chunk, and in other functions those whose callee is a library's
  function or has the name of one. All others stay, since recursion by tail calls may be endless.
- For each missing argument, a function with `...` uses one more stack slot than Lua 5.1.5 reserves (CVE-2014-5461).
  Lua always keeps five slots free, of which it needs up to four beyond a function's own; with more than three named
  parameters, memory beyond the stack could be written. Such a function is wrapped in another one without named
  parameters, which always passes at least as many arguments as it has parameters. (Lua itself allows 200.)

The format is that of `string.dump`: a header, then the main function, which contains the others.
"""

from __future__ import annotations

import struct
from typing import Final

LIBRARIES: Final = frozenset(b"redis server cjson cmsgpack struct bit string table coroutine".split())
"""Globals whose functions never call themselves through a script."""

LIBRARY_FUNCTIONS: Final = frozenset(
    b"call pcall sha1hex error_reply status_reply log setresp set_repl acl_check_cmd encode decode pack unpack size"
    b" unpack_one unpack_limit tobit tohex bnot band bor bxor lshift rshift arshift rol ror bswap find format gmatch"
    b" gfind gsub match rep insert create wrap resume random randomseed".split()
)
"""Names of library functions that the cage implements in Lua. Any other table's functions of these names count, too."""

BUILTINS: Final = frozenset(
    b"unpack loadstring load rawset rawget setmetatable getmetatable next pairs pcall xpcall collectgarbage".split()
)
"""Global functions of the same kind."""

MAX_UNWRAPPED_PARAMETERS: Final = 3
"""Most named parameters of a function with `...` that needs no wrapper."""

MAX_STEPS: Final = 1_000_000
"""Instructions to examine for the callees of all of a script's tail calls; any calls left then stay unchanged."""

SELECT: Final = b"(select)"
"""The global name under which wrappers find `select`."""

_SIGNATURE: Final = b"\x1bLuaQ\x00"
_OPCODE: Final = 0x3F
_MOVE, _LOADK, _LOADNIL, _GETUPVAL, _GETGLOBAL, _GETTABLE = 0, 1, 3, 4, 5, 6
_SETGLOBAL, _SETUPVAL, _SETTABLE, _SELF = 7, 8, 9, 11
_JMP, _EQ, _LT, _LE, _TEST, _CALL, _TAILCALL, _RETURN = 22, 23, 24, 25, 26, 28, 29, 30
_TFORLOOP, _SETLIST, _CLOSE, _CLOSURE, _VARARG = 33, 34, 35, 36, 37
_WRITES_NOTHING: Final = frozenset(
    (_SETGLOBAL, _SETUPVAL, _SETTABLE, _JMP, _EQ, _LT, _LE, _TEST, _TAILCALL, _RETURN, _SETLIST, _CLOSE)
)
_WRITES_MANY: Final = frozenset((_SELF, _CALL, _TFORLOOP, _VARARG))
"""Instructions that write to their first register and those above it."""

_CONSTANT: Final = 1 << 8  # an operand that is a constant, not a register
_IS_VARARG: Final = 2
_NIL, _BOOLEAN, _NUMBER, _STRING = 0, 1, 3, 4


class UnknownFormatError(ValueError):
    """The bytecode is not Lua 5.1's."""


def patched(code: bytes) -> bytes:
    """Returns a function's dump with the changes above; raises UnknownFormatError."""
    if not code.startswith(_SIGNATURE) or len(code) < 12:
        raise UnknownFormatError
    dump = _Dump(code)
    main = dump.function(None, 0)
    main.keep_frames(is_main=True)
    return code[:12] + dump.written(main)


class _Function:
    """One function in a dump: the positions of its parts, and its contents. `made_at` is where `parent` creates it."""

    __slots__ = (
        "captures", "children", "code_at", "end", "inner_at", "inner_end", "is_vararg", "line", "made_at", "names",
        "parameters", "parent", "plain", "start", "steps", "upvalues", "words",
    )  # fmt: skip

    code_at: int
    end: int
    inner_at: int
    inner_end: int
    is_vararg: bool
    line: int
    parameters: int
    upvalues: int

    def __init__(self, parent: _Function | None, made_at: int, start: int) -> None:
        self.steps: list[int] = parent.steps if parent is not None else [MAX_STEPS]  # one count for all of a dump
        self.captures: set[int] = set()
        self.parent = parent
        self.made_at = made_at
        self.start = start
        self.children: list[_Function] = []
        self.names: list[bytes | None] = []
        self.words: list[int] = []
        self.plain: set[int] = set()

    def keep_frames(self, *, is_main: bool) -> None:
        """Records which tail calls become plain ones, here and in the inner functions."""
        for at, word in enumerate(self.words):
            if word & _OPCODE == _TAILCALL and (is_main or self._is_library(at, word >> 6 & 0xFF)):
                self.plain.add(at)
        for child in self.children:
            child.keep_frames(is_main=False)

    def _is_library(self, at: int, register: int) -> bool:
        """Whether a register probably holds a library's function when the instruction at `at` is executed."""
        at = self._written_at(at, register)
        if at < 0:
            return False
        word = self.words[at]
        kind, second = word & _OPCODE, word >> 23
        if kind == _MOVE:
            return self._is_library(at, second)
        if kind == _GETUPVAL:
            return self.parent is not None and self.parent._is_captured_library(self, second)
        if kind == _GETGLOBAL:
            return self.names[word >> 14] in BUILTINS
        if kind in (_GETTABLE, _SELF) and register == word >> 6 & 0xFF:
            key = word >> 14 & 0x1FF
            if key & _CONSTANT and self.names[key & ~_CONSTANT] in LIBRARY_FUNCTIONS:
                return True
            table = self._written_at(at, second)
            return (
                table >= 0
                and self.words[table] & _OPCODE == _GETGLOBAL
                and self.names[self.words[table] >> 14] in LIBRARIES
            )
        return False

    def _is_captured_library(self, child: _Function, upvalue: int) -> bool:
        """Does the same for an upvalue of a function created here, at its creation."""
        word = self.words[child.made_at + 1 + upvalue]
        if word & _OPCODE == _MOVE:
            return self._is_library(child.made_at + 1, word >> 23)
        return self.parent is not None and self.parent._is_captured_library(self, word >> 23)

    def _written_at(self, before: int, register: int) -> int:
        """Returns the last instruction before `before`, in the order of the code, that writes a register, or -1."""
        for at in range(before - 1, max(before - self.steps[0], 0) - 1, -1):
            word = self.words[at]
            kind, first = word & _OPCODE, word >> 6 & 0xFF
            if at in self.captures or kind in _WRITES_NOTHING:
                continue
            if (
                first == register
                or (first < register and kind in _WRITES_MANY)
                or (kind == _LOADNIL and first <= register <= word >> 23)
            ):
                self.steps[0] -= before - at
                return at
        self.steps[0] -= min(before, self.steps[0])
        return -1


class _Dump:
    """Reads the functions of a dump, and writes them with the changes."""

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._order = order = "<" if code[6] else ">"
        sizes = {4: "I", 8: "Q"}
        if code[7] != 4 or code[8] not in sizes or code[9] != 4 or code[10] != 8 or code[11] != 0:
            raise UnknownFormatError
        self._int = struct.Struct(order + "i")
        self._size = struct.Struct(order + sizes[code[8]])
        self._at = 12

    # Reading

    def _integer(self) -> int:
        (value,) = self._int.unpack_from(self._code, self._at)
        self._at += 4
        return int(value)

    def _string(self) -> bytes:
        (size,) = self._size.unpack_from(self._code, self._at)
        start = self._at + self._size.size
        self._at = start + size
        return self._code[start : self._at - 1] if size else b""

    def function(self, parent: _Function | None, made_at: int) -> _Function:
        """Reads the next function, with its inner functions."""
        code = self._code
        found = _Function(parent, made_at, self._at)
        self._string()  # source
        found.line = self._integer()
        self._integer()  # last line
        found.upvalues, found.parameters = code[self._at], code[self._at + 1]
        found.is_vararg = bool(code[self._at + 2] & _IS_VARARG)
        self._at += 4
        count = self._integer()
        found.code_at = self._at
        found.words = list(struct.unpack_from(f"{self._order}{count}I", code, self._at))
        self._at += 4 * count
        found.names = self._constants()
        count = self._integer()
        found.inner_at = self._at
        places = {word >> 14: at for at, word in enumerate(found.words) if word & _OPCODE == _CLOSURE}
        found.children = [self.function(found, places.get(number, 0)) for number in range(count)]
        for child in found.children:
            found.captures.update(range(child.made_at + 1, child.made_at + 1 + child.upvalues))
        found.inner_end = self._at
        self._debug()
        found.end = self._at
        return found

    def _constants(self) -> list[bytes | None]:
        """Reads the constants; returns None for those that are not strings."""
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
        """Skips line numbers, local variables and upvalues."""
        lines = self._integer()
        self._at += 4 * lines
        for _ in range(self._integer()):
            self._string()
            self._at += 8
        for _ in range(self._integer()):
            self._string()

    # Writing

    def written(self, function: _Function) -> bytes:
        """Returns a function's part of the new dump."""
        head = bytearray(self._code[function.start : function.inner_at])
        for at in function.plain:
            changed = function.words[at] & ~_OPCODE | _CALL
            struct.pack_into(self._order + "I", head, function.code_at - function.start + 4 * at, changed)
        inner = b"".join(map(self.written, function.children))
        whole = bytes(head) + inner + self._code[function.inner_end : function.end]
        if function.is_vararg and function.parameters > MAX_UNWRAPPED_PARAMETERS:
            return self._wrapped(function, whole)
        return whole

    def _wrapped(self, function: _Function, whole: bytes) -> bytes:
        """Wraps a function in one that creates it and calls it with its own arguments, and nil for missing ones."""
        named = function.parameters
        words = [
            _CLOSURE,
            *(_GETUPVAL | upvalue << 23 for upvalue in range(function.upvalues)),
            _GETGLOBAL | 1 << 6,
            _LOADK | 2 << 6 | 1 << 14,
            _VARARG | 3 << 6,
            _CALL | 1 << 6 | 2 << 14,  # select("#", ...)
            _LT | 1 << 6 | 1 << 23 | (_CONSTANT | 2) << 14,
            _JMP | (0x1FFFF + 3) << 14,  # if these are fewer than its named parameters
            _VARARG | 1 << 6,
            _TAILCALL,
            _RETURN,
            _VARARG | 1 << 6 | (named + 1) << 23,
            _TAILCALL | (named + 1) << 23,
            _RETURN,
            _RETURN | 1 << 23,
        ]
        integers = self._order + "{}i"
        return b"".join(
            (
                self._size.pack(0),  # the source is that of the enclosing function
                struct.pack(integers.format(2), function.line, function.line),
                bytes((function.upvalues, 0, _IS_VARARG, max(named + 2, 5))),
                self._int.pack(len(words)),
                struct.pack(f"{self._order}{len(words)}I", *words),
                self._int.pack(3),
                self._text(SELECT),
                self._text(b"#"),
                bytes((_NUMBER,)) + struct.pack(self._order + "d", named),
                self._int.pack(1),
                whole,
                self._int.pack(len(words)),
                struct.pack(integers.format(len(words)), *[function.line] * len(words)),
                self._int.pack(0),
                self._int.pack(0),
            )
        )

    def _text(self, text: bytes) -> bytes:
        return bytes((_STRING,)) + self._size.pack(len(text) + 1) + text + b"\0"
