"""The manifest of an append-only folder: which files make up the data, and in which order.

A folder holds at most one base (the data at the time of the last rewrite, as an RDB file or as commands), after it the
increments (the commands since, in order of their sequence numbers), and history: files that a rewrite has made
superfluous and that are about to be removed. The manifest says which is which, one line a file; replacing it is the
moment at which a rewrite counts. The form is that of Redis 7, with what 8.x adds to the lines: the replication offset
at which an increment starts and, once it is closed, ends. Redis 7.0 skips what it doesn't know, by pairs of words.
Lines that begin with `#` are skipped.

Ours has a checksum, since of an increment's type, `i`, one bit makes `h`, and the file would be removed. It is one more
such pair, `crc`, at the end of the first line, where nobody meets it who splits lines into words, or looks for the
newest increment in the last one. It covers the whole file but the pair itself. A line `#CRC:` at the end, as early
versions wrote, is verified, too.

A manifest is a value: each change gives a new one, which becomes true when it has been written. Every file of its form
that holds something is named in it, as history before it is made and until it is gone: so one that lies beside it
unnamed shows a manifest that has lost lines, or of an old one.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from zlib import crc32

from broker.config.kinds import quoted
from protocol.inline import split_line
from protocol.numbers import parse_integer

MANIFEST_SUFFIX: Final = ".manifest"
BASE_SUFFIX: Final = ".base"
INCREMENT_SUFFIX: Final = ".incr"
RDB_SUFFIX: Final = ".rdb"
AOF_SUFFIX: Final = ".aof"

BASE: Final = "b"
HISTORY: Final = "h"
INCREMENT: Final = "i"

# Redis's texts, word for word.
EMPTY: Final = "Found an empty AOF manifest"
INVALID: Final = "Invalid AOF manifest file format"
TOO_LONG_LINE: Final = "The AOF manifest file contains too long line"
A_PATH: Final = "File can't be a path, just a filename"
DUPLICATE_BASE: Final = "Found duplicate base file information"
NOT_MONOTONIC: Final = "Found a non-monotonic sequence number"
UNKNOWN_TYPE: Final = "Unknown AOF file type"
# Ours: Redis has no such check.
WRONG_CHECKSUM: Final = "Wrong checksum"
NAMED_TWICE: Final = "Found a file name twice"

_PART: Final = re.compile(r"\.([0-9]{1,19})(?:\.base\.(?:rdb|aof)|(\.incr)\.aof)", re.ASCII)
_CHECKSUM_PAIR: Final = re.compile(rb" crc ([^ \n]*)\n")
_CHECKSUM_LINE: Final = b"#CRC:"

MAX_LINE: Final = 1024
"""Bytes of a line with its end, as in Redis: a file name has at most 255."""


class BadManifest(ValueError):
    """The manifest can't be relied on. `line` counts from 1, 0 for none in particular; `text` is what stands there."""

    def __init__(self, reason: str, line: int = 0, text: str = "") -> None:
        super().__init__(f"{reason} (line {line}: {text!r})" if line else reason)
        self.reason = reason
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its name within the folder, its number among its kind, its kind (BASE, HISTORY or INCREMENT).

    The offsets are the replication offsets at an increment's start and end, None where they are not known.
    """

    name: str
    sequence: int
    kind: str
    start_offset: int | None = None
    end_offset: int | None = None

    def line(self) -> bytes:
        """The entry's line, with its end."""
        name = os.fsencode(self.name)
        if not name.isascii() or not name.decode().isprintable() or b" " in name or b'"' in name or b"\\" in name:
            name = quoted(name)
        line = b"file %s seq %d type %s" % (name, self.sequence, self.kind.encode())
        if self.start_offset is not None:
            line += b" startoffset %d" % self.start_offset
            if self.end_offset is not None:
                line += b" endoffset %d" % self.end_offset
        return line + b"\n"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a folder. An empty one says that nothing was ever written there."""

    base: Entry | None = None
    increments: tuple[Entry, ...] = ()
    history: tuple[Entry, ...] = ()

    def __bool__(self) -> bool:
        return self.base is not None or bool(self.increments)

    def files(self) -> Iterator[Entry]:
        """The files that hold the data, in the order in which they are to be loaded."""
        if self.base is not None:
            yield self.base
        yield from self.increments

    def format(self) -> bytes:
        """The manifest's file: the base first, then history, then the increments."""
        base = () if self.base is None else (self.base,)
        return b"".join(entry.line() for entry in (*base, *self.history, *self.increments))

    def sealed(self) -> bytes:
        """The manifest's file with its checksum; there must be an entry."""
        content = self.format()
        first, _, rest = content.partition(b"\n")
        return b"%b crc %08x\n%b" % (first, crc32(content), rest)

    def with_new_base(self, filename: str, as_rdb: bool, beside: Collection[str] = ()) -> "Manifest":
        """With another base, whose name begins with `filename` (appendfilename); the old one becomes history.

        The increments stay: `without_rewritten` says which of them the new base makes superfluous. `beside` are the
        names in the folder: none of them is given to another file.
        """
        number = self._next_number(filename, BASE_SUFFIX, beside)
        name = f"{filename}.{number}{BASE_SUFFIX}{RDB_SUFFIX if as_rdb else AOF_SUFFIX}"
        return replace(self, base=Entry(name, number, BASE), history=_as_history(self.base) + self.history)

    def with_new_increment(
        self, filename: str, start_offset: int | None = None, beside: Collection[str] = ()
    ) -> "Manifest":
        """With another increment at the end, the one that is written from now on. For `beside` see `with_new_base`.

        Its number is above that of any increment there, those in history too: removing those must not hit it.
        """
        number = self._next_number(filename, INCREMENT_SUFFIX, beside)
        name = f"{filename}.{number}{INCREMENT_SUFFIX}{AOF_SUFFIX}"
        return replace(self, increments=(*self.increments, Entry(name, number, INCREMENT, start_offset)))

    def without_rewritten(self, kept: int) -> "Manifest":
        """With all but the last `kept` increments moved to history: the base holds what they say."""
        gone = len(self.increments) - kept
        history = tuple(old for entry in reversed(self.increments[:gone]) for old in _as_history(entry))
        return replace(self, increments=self.increments[gone:], history=history + self.history)

    def without_history(self) -> "Manifest":
        """With no history: its files are gone."""
        return replace(self, history=())

    def reopened(self) -> "Manifest":
        """With the last increment open again, to be written further: no end offset holds for it any more."""
        if not self.increments:
            return self
        return replace(self, increments=(*self.increments[:-1], replace(self.increments[-1], end_offset=None)))

    def missing_from(self, filename: str, sizes: Mapping[str, int]) -> list[str]:
        """Of the files in the folder, given by name with their sizes, those that a whole manifest would name.

        An increment without a byte is not among them: it is made before it is named. Nor is a second base: it is no
        older than what the manifest says, or superfluous, and redis-server may leave one.
        """
        named = {entry.name for entry in (*self.files(), *self.history)}
        missing = []
        for name, size in sorted(sizes.items()):
            part = _part(filename, name)
            if part and size and name not in named and (part[0] == INCREMENT_SUFFIX or self.base is None):
                missing.append(name)
        return missing

    def _next_number(self, filename: str, suffix: str, beside: Collection[str]) -> int:
        numbers = [entry.sequence for entry in self._of(suffix)]
        numbers += [part[1] for part in (_part(filename, name) for name in beside) if part and part[0] == suffix]
        return max(numbers, default=0) + 1

    def _of(self, suffix: str) -> Iterator[Entry]:
        """The entries of one kind and those in history that may have been: the names tell, but for a foreign one."""
        for entry in (*self.files(), *self.history):
            kind = BASE if suffix == BASE_SUFFIX else INCREMENT
            if entry.kind == kind or (entry.kind == HISTORY and suffix in entry.name):
                yield entry


def is_increment(filename: str, name: str) -> bool:
    """Whether a file's name is that of an increment."""
    part = _part(filename, name)
    return part is not None and part[0] == INCREMENT_SUFFIX


def _part(filename: str, name: str) -> tuple[str, int] | None:
    """The kind (as a suffix) and the number of a file whose name is of the form that manifests give; else None."""
    match = _PART.fullmatch(name.removeprefix(filename)) if name.startswith(filename) else None
    return None if match is None else (INCREMENT_SUFFIX if match[2] else BASE_SUFFIX, int(match[1]))


def single_base(filename: str) -> Manifest:
    """The manifest for an append-only file of Redis before 7, which becomes the base under its own name."""
    return Manifest(base=Entry(filename, 1, BASE))


def parse(data: bytes) -> Manifest:
    """The manifest that a file's content says. Raises BadManifest by Redis's checks and with its reasons.

    Stricter than Redis: numbers must be numbers, names "." and ".." are no files, and no file comes twice.
    """
    if not data:
        raise BadManifest(EMPTY)
    _verify(data)
    base: Entry | None = None
    increments: list[Entry] = []
    history: list[Entry] = []
    names: set[str] = set()
    highest = 0
    for number, raw in enumerate(_lines(data), 1):
        if len(raw) > MAX_LINE or not raw.endswith(b"\n"):
            raise BadManifest(TOO_LONG_LINE)
        if raw.startswith(b"#"):
            continue
        line = raw.strip(b" \t\r\n")
        entry = _parse_line(line, number)
        if entry.kind == BASE:
            if base is not None:
                raise BadManifest(DUPLICATE_BASE, number, os.fsdecode(line))
            base = entry
        elif entry.kind == HISTORY:
            history.append(entry)
        elif entry.kind == INCREMENT:
            if entry.sequence <= highest:
                raise BadManifest(NOT_MONOTONIC, number, os.fsdecode(line))
            highest = entry.sequence
            increments.append(entry)
        else:
            raise BadManifest(UNKNOWN_TYPE, number, os.fsdecode(line))
        if entry.name in names:
            raise BadManifest(NAMED_TWICE, number, os.fsdecode(line))
        names.add(entry.name)
    return Manifest(base, tuple(increments), tuple(history))


def _verify(data: bytes) -> None:
    """Raises BadManifest where there is a checksum, and it is wrong."""
    covered = b""
    pair: tuple[int, bytes, bytes] | None = None
    for number, line in enumerate(_lines(data), 1):
        match = _CHECKSUM_PAIR.search(line)
        if line.startswith(_CHECKSUM_LINE):
            if line != b"%b%08x\r\n" % (_CHECKSUM_LINE, crc32(covered)):
                raise BadManifest(WRONG_CHECKSUM, number, os.fsdecode(line.strip()))
            covered += line
        elif match is not None and not line.startswith(b"#"):
            pair = (number, match[1], line)
            covered += line[: match.start()] + b"\n"
        else:
            covered += line
    if pair is not None and pair[1] != b"%08x" % crc32(covered):
        raise BadManifest(WRONG_CHECKSUM, pair[0], os.fsdecode(pair[2].strip()))


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _parse_line(line: bytes, number: int) -> Entry:
    text = os.fsdecode(line)
    words = split_line(line)
    if words is None or len(words) < 6 or len(words) % 2 or b"\0" in line:
        raise BadManifest(INVALID, number, text)
    # Of a key that comes twice the last counts; keys that are not known are skipped. Both as in Redis.
    values = {key.lower(): value for key, value in zip(words[::2], words[1::2], strict=True)}
    raw_name, kind = values.get(b"file"), values.get(b"type")
    sequence = parse_integer(values.get(b"seq", b""))
    if not raw_name or not kind or sequence is None or sequence <= 0:
        raise BadManifest(INVALID, number, text)
    name = os.fsdecode(raw_name)
    if "/" in name or "\\" in name or name in (".", ".."):
        raise BadManifest(A_PATH, number, text)
    offsets = [_offset(values.get(key), number, text) for key in (b"startoffset", b"endoffset")]
    return Entry(name, sequence, os.fsdecode(kind[:1]), *offsets)


def _offset(word: bytes | None, number: int, text: str) -> int | None:
    if word is None or word == b"-1":
        return None
    offset = parse_integer(word)
    if offset is None or offset < 0:
        raise BadManifest(INVALID, number, text)
    return offset


def _as_history(entry: Entry | None) -> tuple[Entry, ...]:
    return () if entry is None else (replace(entry, kind=HISTORY),)
