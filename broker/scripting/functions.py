"""Libraries of functions: the sources of FUNCTION LOAD, the functions they register, and the format of their dumps.

Replacing a library and restoring several ones is all or nothing: new libraries are loaded first, and replace the old
ones only if there are no conflicts. Function names are case-insensitive, library names case-sensitive.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from broker.formats.packed.crc64 import crc64
from broker.formats.rdb.dump_payload import BadFooter, BadFormat, check_footer
from broker.formats.rdb.format import OP_FUNCTION2, OP_FUNCTION_PRE_GA, VERSION_7_0
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.strings import append_string
from broker.scripting.scripts import FLAGS
from protocol.errors import CommandError
from protocol.inline import split_line

ENGINE: Final = b"LUA"

BAD_NAME: Final = (
    b"Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
)
NO_LIBRARY: Final = b"ERR Library not found"
BAD_PAYLOAD: Final = b"ERR DUMP payload version or checksum are wrong"

MAX_INFLATED: Final = 64 << 20
"""Bytes by which decompressing a payload's sources may exceed its size."""

KEPT: Final = 200
"""Bytes that a library or a function takes besides the source and its Lua values."""

_NAME: Final = re.compile(rb"[A-Za-z0-9_]+")
_FOOTER: Final = 10


class Function:
    """A registered function: `callback` is the Lua function, `flags` are those of broker.scripting.scripts."""

    __slots__ = ("callback", "description", "flags", "name")

    def __init__(self, name: bytes, description: bytes | None, flags: int) -> None:
        self.name = name
        self.description = description
        self.flags = flags
        self.callback: Any = None


class Library:
    """A library: its name, its source, and its functions by name."""

    __slots__ = ("functions", "name", "source")

    def __init__(self, name: bytes, source: bytes) -> None:
        self.name = name
        self.source = source
        self.functions: dict[bytes, Function] = {}


class Functions:
    """A broker's libraries.

    `load(code)` runs a library's code and returns a table of callbacks by name, or None and the reason. `forget()` is
    called when all functions have been deleted.
    """

    def __init__(self, load: Callable[[bytes], tuple[Any, bytes]], forget: Callable[[], None]) -> None:
        self._load = load
        self._forget = forget
        self._loading: Library | None = None
        self.libraries: dict[bytes, Library] = {}
        self._functions: dict[bytes, Function] = {}

    def sources(self) -> list[bytes]:
        """Returns the source of every library."""
        return [library.source for library in self.libraries.values()]

    def load_source(self, source: bytes) -> None:
        """Loads a library from a file, replacing one with the same name. Raises CommandError."""
        self.load(source, replace=True)

    def find(self, name: bytes) -> Function | None:
        """Returns the function of this name, in upper or lower case."""
        return self._functions.get(name.lower())

    def count(self) -> int:
        """Returns the number of functions in all libraries."""
        return len(self._functions)

    def memory(self) -> int:
        """Returns the bytes that the libraries' sources take, with the overhead of each library and function."""
        return sum(map(sys.getsizeof, self.sources())) + KEPT * (len(self.libraries) + self.count())

    def load(self, source: bytes, replace: bool) -> bytes:
        """FUNCTION LOAD: returns the library's name. If it raises CommandError, nothing has changed."""
        library = self._create(source, self.libraries, replace)
        others = self._names_outside(library.name)
        for name, function in library.functions.items():
            if name.lower() in others:
                raise CommandError(b"ERR Function %b already exists" % function.name)
        self.libraries.pop(library.name, None)
        self.libraries[library.name] = library
        self._index()
        return library.name

    def delete(self, name: bytes) -> None:
        """FUNCTION DELETE; raises CommandError for an unknown library."""
        if self.libraries.pop(name, None) is None:
            raise CommandError(NO_LIBRARY)
        self._index()

    def flush(self) -> None:
        """FUNCTION FLUSH."""
        self.libraries = {}
        self._index()
        self._forget()

    def register(self, name: bytes, description: bytes | None, flags: bytes | None) -> bytes | None:
        """redis.register_function, called by Lua while a library's code runs: returns None, or the error's text."""
        library = self._loading
        if library is None:
            return b"redis.register_function can only be called on FUNCTION LOAD command"
        bits = 0
        for flag in (flags or b"").split():
            if flag.lower() not in FLAGS:
                return b"unknown flag given"
            bits |= FLAGS[flag.lower()]
        if not _NAME.fullmatch(name):
            return BAD_NAME
        if name in library.functions:
            return b"Function already exists in the library"
        library.functions[name] = Function(name, description, bits)
        return None

    # The dump format

    def dump(self) -> bytes:
        """FUNCTION DUMP: returns all libraries, each after its opcode, with the footer of DUMP."""
        payload = bytearray()
        for source in self.sources():
            payload.append(OP_FUNCTION2)
            append_string(payload, source)
        payload += VERSION_7_0.to_bytes(2, "little")
        payload += crc64(payload).to_bytes(8, "little")
        return bytes(payload)

    def restore(self, payload: bytes, policy: bytes) -> None:
        """FUNCTION RESTORE with the policy `flush`, `append` or `replace`; raises CommandError, all or nothing."""
        try:
            check_footer(payload)
        except BadFooter:
            raise CommandError(BAD_PAYLOAD) from None
        restored: dict[bytes, Library] = {}
        names: set[bytes] = set()
        for source in _sources_in(payload):
            library = self._create(source, restored, replace=False)
            for name, function in library.functions.items():
                if name.lower() in names:
                    raise CommandError(b"ERR Function %b already exists" % function.name)
                names.add(name.lower())
            restored[library.name] = library
        if policy == b"flush":
            self.libraries = restored
        else:
            self._join(restored, names, replace=policy == b"replace")
        self._index()

    def _join(self, restored: dict[bytes, Library], names: Iterable[bytes], replace: bool) -> None:
        if not replace:
            for name in restored:
                if name in self.libraries:
                    raise CommandError(b"ERR Library %b already exists" % name)
        kept = {name: library for name, library in self.libraries.items() if name not in restored}
        taken = {name.lower() for library in kept.values() for name in library.functions}
        for library in restored.values():
            for name in library.functions:
                if name.lower() in taken:
                    raise CommandError(b"ERR Function %b already exists" % name)
        self.libraries = {**kept, **restored}

    # Creating

    def _create(self, source: bytes, present: dict[bytes, Library], replace: bool) -> Library:
        """Creates a library from its source, with its functions, without adding it to the others."""
        name, engine, code = read_metadata(source)
        if not _NAME.fullmatch(name):
            raise CommandError(b"ERR " + BAD_NAME)
        if engine.upper() != ENGINE:
            raise CommandError(b"ERR Engine '%b' not found" % engine)
        if name in present and not replace:
            raise CommandError(b"ERR Library '%b' already exists" % name)
        library = Library(name, source)
        self._loading = library
        try:
            callbacks, problem = self._load(code)
        finally:
            self._loading = None
        if callbacks is None:
            raise CommandError(b"ERR " + problem)
        for function in library.functions.values():
            function.callback = callbacks[function.name]
        if not library.functions:
            raise CommandError(b"ERR No functions registered")
        return library

    def _names_outside(self, library_name: bytes) -> set[bytes]:
        """Returns the names of the functions of all other libraries."""
        return {
            name.lower()
            for library in self.libraries.values()
            if library.name != library_name
            for name in library.functions
        }

    def _index(self) -> None:
        self._functions = {
            name.lower(): function
            for library in self.libraries.values()
            for name, function in library.functions.items()
        }


def read_metadata(source: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns a library's name, its engine, and the code from the end of the shebang line on; raises CommandError."""
    if not source.startswith(b"#!"):
        raise CommandError(b"ERR Missing library metadata")
    line, newline, rest = source.partition(b"\n")
    words = split_line(line) if newline and b"\0" not in line else None
    if not words:
        raise CommandError(b"ERR Invalid library metadata")
    name = None
    for word in words[1:]:
        if word[:5].lower() != b"name=":
            raise CommandError(b"ERR Invalid metadata value given: " + word)
        if name is not None:
            raise CommandError(b"ERR Invalid metadata value, name argument was given multiple times")
        name = word[5:]
    if name is None:
        raise CommandError(b"ERR Library name was not given")
    return name, words[0][2:], newline + rest


def _sources_in(payload: bytes) -> list[bytes]:
    """Returns the sources in a payload whose footer has been checked; raises CommandError."""
    body = payload[:-_FOOTER]
    reader = Reader(body, inflation=MAX_INFLATED)
    found = []
    while reader.offset < len(body):
        kind = reader.byte()
        if kind == OP_FUNCTION_PRE_GA:
            raise CommandError(b"ERR Pre-GA function format not supported")
        if kind != OP_FUNCTION2:
            raise CommandError(b"ERR given type is not a function")
        try:
            found.append(reader.string())
        except BadFormat:
            raise CommandError(b"ERR Failed loading library payload") from None
    return found
