"""The kinds of directives: how a value is parsed from text, shown by CONFIG GET and written to a file.

A directive is a descriptor, so that the type checker knows the type of `config.maxclients` from the single declaration
in directives.py. The value itself is in the configuration's `__dict__`.

Texts, bounds and quirks follow redis-server 8.10 (src/config.c), for clients that compare error texts, and files that
rely on `1k` being 1000 and `1kb` 1024.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar, overload

T = TypeVar("T")

INT_MAX = 2**31 - 1
UINT_MAX = 2**32 - 1
INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1

# Redis builds a choice's error text in a buffer of 256 bytes with a terminator.
ERROR_TEXT_MAX = 255

_STRICT_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,19}")
_LOOSE_INTEGER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_OCTAL = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-7]+)")
_MEMORY = re.compile(rb"([0-9]{0,127})(b|kb?|mb?|gb?|)", re.IGNORECASE)
_MEMORY_UNITS = {
    b"": 1,
    b"b": 1,
    b"k": 1000,
    b"kb": 1024,
    b"m": 1000**2,
    b"mb": 1024**2,
    b"g": 1000**3,
    b"gb": 1024**3,
}


class Line(NamedTuple):
    """One line of a rewritten file, after the name; forced: written even if the old file lacks it."""

    text: bytes
    forced: bool


def text_of(word: bytes) -> str:
    """A word as text; bytes that are not UTF-8 survive the round trip (paths may contain any byte)."""
    return word.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The inverse of text_of()."""
    return text.encode("utf-8", "surrogateescape")


def strict_integer(word: bytes) -> int | None:
    """Parses an integer as Redis's string2ll does: no plus sign, leading zeros or spaces. None if it is not one."""
    if not _STRICT_INTEGER.fullmatch(word):
        return None
    value = int(word)
    return value if -INT64_MAX - 1 <= value <= INT64_MAX else None


def loose_integer(word: bytes) -> int | None:
    """Parses a whole word as C's strtoll does: an empty word is 0, too large a number saturates. None if invalid."""
    if not word:
        return 0
    match = _LOOSE_INTEGER.fullmatch(word)
    if match is None:
        return None
    # Leading zeros aside, more than 19 digits exceed 64 bits; int() must not be given a megabyte of digits.
    digits = match[2].lstrip(b"0")
    size = INT64_MAX if len(digits) > 19 else min(int(digits or b"0"), INT64_MAX)
    return -size if match[1] == b"-" else size


def memory_size(word: bytes) -> int | None:
    """Bytes from `100`, `1k` (1000), `1kb` (1024), `5mb`...; larger sizes saturate at 2**64 - 1. None if invalid."""
    match = _MEMORY.fullmatch(word)
    if match is None:
        return None
    digits = match[1].lstrip(b"0")
    size = UINT64_MAX if len(digits) > 20 else int(digits or b"0")
    return min(min(size, UINT64_MAX) * _MEMORY_UNITS[match[2].lower()], UINT64_MAX)


def memory_text(size: int) -> bytes:
    """A size in the largest of GB, MB and KB that divides it, as rewritten files show it."""
    if size:
        for unit, name in ((1024**3, "gb"), (1024**2, "mb"), (1024, "kb")):
            if size % unit == 0:
                return f"{size // unit}{name}".encode()
    return str(size).encode()


class Directive(Generic[T]):
    """One directive's declaration.

    default: the value if nothing sets it.
    alias: a second name, such as `slave-read-only` for `replica-read-only`.
    immutable: CONFIG SET refuses it; hidden: CONFIG GET shows it only when named in full.
    protected: CONFIG SET needs enable-protected-configs; sensitive: kept out of logs and SLOWLOG.
    while_loading: if False, CONFIG SET is refused while the data set is being loaded.
    several: takes more than one word.
    ends_at_null: Redis reads a word of CONFIG SET as a C string.
    volatile: names a file, so CONFIG SET applies the same value again: the file may have changed.
    inert: nothing here depends on it. If True, it is accepted and reported, and named in the log if given a value other
    than its default. If a text, any other value would promise a feature that does not exist, which the text names (it
    "is not supported"), and is refused.
    own: ours, unknown to Redis.
    """

    several = False
    volatile = False
    ends_at_null = True

    def __init__(
        self,
        default: T,
        *,
        alias: str | None = None,
        immutable: bool = False,
        hidden: bool = False,
        protected: bool = False,
        sensitive: bool = False,
        while_loading: bool = True,
        inert: bool | str = False,
        own: bool = False,
    ) -> None:
        self.name = ""
        self.attribute = ""
        self.default = default
        self.alias = alias
        self.immutable = immutable
        self.hidden = hidden
        self.protected = protected
        self.sensitive = sensitive
        self.while_loading = while_loading
        self.inert = inert
        self.own = own

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.name = attribute.replace("_", "-")

    @overload
    def __get__(self, instance: None, owner: type) -> Directive[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Directive[T] | T:
        if instance is None:
            return self
        value: T = instance.__dict__[self.attribute]
        return value

    def parse(self, words: Sequence[bytes], current: T) -> T:
        """The value that the words specify, given the current one. Raises ValueError with Redis's text."""
        raise NotImplementedError

    def unsupported(self, value: T) -> str:
        """Why the value is refused if it requires an unsupported feature, otherwise ""."""
        return f"{self.inert} is not supported" if isinstance(self.inert, str) and value != self.default else ""

    def add(self, words: Sequence[bytes], current: T, repeated: bool) -> T:
        """The value after a line of a file; repeated: an earlier line named the same directive."""
        return self.parse(words, current)

    def text(self, value: T) -> bytes:
        """The value as CONFIG GET shows it."""
        raise NotImplementedError

    def lines(self, value: T) -> list[Line]:
        """The lines for that value in a rewritten file; if there are none, lines of this name are dropped."""
        return [Line(self.text(value), value != self.default)]


class Bool(Directive[bool]):
    """`yes` or `no`."""

    def parse(self, words: Sequence[bytes], current: bool) -> bool:
        word = words[0].lower()
        if word == b"yes":
            return True
        if word == b"no":
            return False
        raise ValueError("argument must be 'yes' or 'no'")

    def text(self, value: bool) -> bytes:
        return b"yes" if value else b"no"


class _Number(Directive[int]):
    """An integer between two inclusive bounds.

    unsigned: Redis stores it in an unsigned C type; if it is not, a memory size past 2**63 wraps around to a negative
    number.
    check: raises ValueError to refuse a value within the bounds.
    """

    def __init__(
        self,
        default: int,
        lowest: int,
        highest: int,
        *,
        unsigned: bool = False,
        check: Callable[[int], None] | None = None,
        alias: str | None = None,
        immutable: bool = False,
        hidden: bool = False,
        while_loading: bool = True,
        inert: bool | str = False,
        own: bool = False,
    ) -> None:
        super().__init__(
            default,
            alias=alias,
            immutable=immutable,
            hidden=hidden,
            while_loading=while_loading,
            inert=inert,
            own=own,
        )
        self.lowest = lowest
        self.highest = highest
        self.unsigned = unsigned
        self.check = check

    def read(self, word: bytes) -> int:
        raise NotImplementedError

    def parse(self, words: Sequence[bytes], current: int) -> int:
        value = self.read(words[0])
        if not self.unsigned and value > INT64_MAX:
            value -= UINT64_MAX + 1
        if not self.lowest <= value <= self.highest:
            raise ValueError(self.out_of_bounds(value))
        if self.check is not None:
            self.check(value)
        return value

    def out_of_bounds(self, value: int) -> str:
        return f"argument must be between {self.lowest} and {self.highest} inclusive"

    def text(self, value: int) -> bytes:
        return str(value).encode()


class Integer(_Number):
    """A plain decimal number."""

    ends_at_null = False

    def read(self, word: bytes) -> int:
        value = strict_integer(word)
        if value is None:
            raise ValueError("argument couldn't be parsed into an integer")
        return value


class Memory(_Number):
    """A size in bytes, with an optional unit."""

    def read(self, word: bytes) -> int:
        value = memory_size(word)
        if value is None:
            raise ValueError("argument must be a memory value")
        return value

    def lines(self, value: int) -> list[Line]:
        return [Line(memory_text(value), value != self.default)]


class MemoryOrPercent(_Number):
    """A size in bytes, or a percentage of another limit: `5%` is stored as -5, as in Redis."""

    def read(self, word: bytes) -> int:
        value = memory_size(word)
        if value is not None:
            return value
        if len(word) > 1 and word.endswith(b"%"):
            value = strict_integer(word[:-1])
            if value is not None and value >= 0:
                return -value
        raise ValueError("argument must be a memory or percent value")

    def out_of_bounds(self, value: int) -> str:
        if value < 0:
            return f"percentage argument must be less or equal to {-self.lowest}"
        return super().out_of_bounds(value)

    def text(self, value: int) -> bytes:
        return b"%d%%" % -value if value < 0 else b"%d" % value

    def lines(self, value: int) -> list[Line]:
        shown = self.text(value) if value < 0 else memory_text(value)
        return [Line(shown, value != self.default)]


class Octal(_Number):
    """A file mode in octal digits."""

    def read(self, word: bytes) -> int:
        if not word:
            return 0
        match = _OCTAL.fullmatch(word)
        if match is None or len(match[2].lstrip(b"0")) > 21:
            raise ValueError("argument couldn't be parsed as an octal number")
        value = int(match[2], 8)
        return -value if match[1] == b"-" else value

    def out_of_bounds(self, value: int) -> str:
        return f"argument must be between {self.lowest:o} and {self.highest:o} inclusive"

    def text(self, value: int) -> bytes:
        return b"%o" % value


class Text(Directive[str]):
    """Any text: a path, a host, a name.

    empty_is_unset: an empty value means none, and a rewritten file then has no such line.
    check: raises ValueError to refuse a text.
    """

    def __init__(
        self,
        default: str = "",
        *,
        empty_is_unset: bool = True,
        check: Callable[[str], None] | None = None,
        alias: str | None = None,
        immutable: bool = False,
        hidden: bool = False,
        protected: bool = False,
        inert: bool | str = False,
        own: bool = False,
    ) -> None:
        super().__init__(
            default,
            alias=alias,
            immutable=immutable,
            hidden=hidden,
            protected=protected,
            inert=inert,
            own=own,
        )
        self.empty_is_unset = empty_is_unset
        self.check = check

    def parse(self, words: Sequence[bytes], current: str) -> str:
        value = text_of(words[0])
        if self.check is not None:
            self.check(value)
        return value

    def text(self, value: str) -> bytes:
        return bytes_of(value)

    def lines(self, value: str) -> list[Line]:
        if self.empty_is_unset and not value:
            return []
        return [Line(quoted(bytes_of(value)), value != self.default)]


class FileName(Text):
    """The path of a file or folder whose contents are read when the directive is set."""

    volatile = True


class Secret(Directive[bytes]):
    """A password, stored as the bytes to compare with what clients send; empty if none is set."""

    def __init__(
        self, *, ends_at_null: bool = False, immutable: bool = False, inert: bool | str = False, own: bool = False
    ) -> None:
        super().__init__(b"", sensitive=True, immutable=immutable, inert=inert, own=own)
        self.ends_at_null = ends_at_null

    def parse(self, words: Sequence[bytes], current: bytes) -> bytes:
        return words[0]

    def text(self, value: bytes) -> bytes:
        return value

    def lines(self, value: bytes) -> list[Line]:
        return [Line(quoted(value), True)] if value else []


class Choice(Directive[str]):
    """One of a few words, in any case; same maps synonyms to the word they stand for."""

    def __init__(
        self,
        default: str,
        names: Sequence[str],
        *,
        same: Mapping[str, str] | None = None,
        immutable: bool = False,
        hidden: bool = False,
        while_loading: bool = True,
        inert: bool | str = False,
        own: bool = False,
    ) -> None:
        super().__init__(default, immutable=immutable, hidden=hidden, while_loading=while_loading, inert=inert, own=own)
        self.names = names
        self.same = same or {}
        self.by_word = {name.lower(): name for name in names}

    def parse(self, words: Sequence[bytes], current: str) -> str:
        name = self.by_word.get(text_of(words[0].lower()))
        if name is None:
            raise ValueError(_choices_text(self.names))
        return self.same.get(name, name)

    def text(self, value: str) -> bytes:
        return value.encode()


class Flags(Directive[frozenset[str]]):
    """Any combination of a few words; none is the word for an empty set, every the one for all of them."""

    several = True

    def __init__(
        self,
        none: str,
        names: Sequence[str],
        *,
        every: str | None = None,
        check: Callable[[frozenset[str]], None] | None = None,
        inert: bool | str = False,
    ) -> None:
        super().__init__(frozenset(), inert=inert)
        self.none = none
        self.names = names
        self.every = every
        self.check = check

    def parse(self, words: Sequence[bytes], current: frozenset[str]) -> frozenset[str]:
        listed = [self.none, *([self.every] if self.every else []), *self.names]
        found: set[str] = set()
        for word in words:
            name = text_of(word.lower())
            if name not in listed:
                raise ValueError(_choices_text(listed))
            if name == self.every:
                found.update(self.names)
            elif name != self.none:
                found.add(name)
        if not words:
            raise ValueError(_choices_text(listed))
        value = frozenset(found)
        if self.check is not None:
            self.check(value)
        return value

    def text(self, value: frozenset[str]) -> bytes:
        if not value:
            return self.none.encode()
        if self.every and len(value) == len(self.names):
            return self.every.encode()
        return " ".join(name for name in self.names if name in value).encode()


def _choices_text(names: Sequence[str]) -> str:
    return f"argument(s) must be one of the following: {', '.join(names)}"[:ERROR_TEXT_MAX]


def quoted(value: bytes) -> bytes:
    """Any value in double quotes, with redis.conf's escapes."""
    escapes = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}
    parts = [escapes.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in value]
    return ('"' + "".join(parts) + '"').encode()
