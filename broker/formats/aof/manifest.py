"""The manifest of an append-only folder: which files make up the data, and in which order they are loaded.

A folder holds at most one base (the data at the time of the last rewrite, as an RDB file or as commands), the
increments (the commands since then, in order of their sequence numbers), and history: files that a rewrite has made
superfluous and that are about to be removed. The manifest lists them, one line per file; replacing it completes a
rewrite. The format is that of Redis 7, with 8.x's additions to the lines: the replication offset at which an increment
starts and, once it is closed, ends. Redis 7.0 skips unknown pairs of words. Lines that begin with `#` are skipped.

Ours has a checksum, because a single flipped bit turns an increment's type `i` into `h`, and the file would be removed.
The checksum is one more such pair, `crc`, at the end of the first line, so that it does not disturb programs that split
lines into words or look for the newest increment in the last line. It covers the whole file except the pair itself. A
`#CRC:` line at the end, as early versions wrote it, is verified, too.

A manifest is immutable: each change returns a new one, which takes effect once it is written. Every non-empty file with
a name of its form is listed in it, as history before the file is created and until it is removed. So an unlisted one in
the folder means that the manifest has lost lines, or is an old one.
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

# Redis's texts, verbatim.
EMPTY: Final = "Found an empty AOF manifest"
INVALID: Final = "Invalid AOF manifest file format"
TOO_LONG_LINE: Final = "The AOF manifest file contains too long line"
A_PATH: Final = "File can't be a path, just a filename"
DUPLICATE_BASE: Final = "Found duplicate base file information"
NOT_MONOTONIC: Final = "Found a non-monotonic sequence number"
UNKNOWN_TYPE: Final = "Unknown AOF file type"
# Our own: Redis has no such checks.
WRONG_CHECKSUM: Final = "Wrong checksum"
NAMED_TWICE: Final = "Found a file name twice"

_PART: Final = re.compile(r"\.([0-9]{1,19})(?:\.base\.(?:rdb|aof)|(\.incr)\.aof)", re.ASCII)
_CHECKSUM_PAIR: Final = re.compile(rb" crc ([^ \n]*)\n")
_CHECKSUM_LINE: Final = b"#CRC:"

MAX_LINE: Final = 1024
"""Most bytes per line with its end, as in Redis, where a file name has at most 255."""


class BadManifest(ValueError):
    """The manifest is invalid. `line` counts from 1, 0 for no particular one; `text` is that line."""

    def __init__(self, reason: str, line: int = 0, text: str = "") -> None:
        super().__init__(f"{reason} (line {line}: {text!r})" if line else reason)
        self.reason = reason
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its name within the folder, its sequence number, its kind (BASE, HISTORY or INCREMENT).

    The offsets are the replication offsets at an increment's start and end, None if unknown.
    """

    name: str
    sequence: int
    kind: str
    start_offset: int | None = None
    end_offset: int | None = None

    def line(self) -> bytes:
        """Returns the entry's line, with its end."""
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
    """The files of a folder. An empty manifest means that nothing was ever written there."""

    base: Entry | None = None
    increments: tuple[Entry, ...] = ()
    history: tuple[Entry, ...] = ()

    def __bool__(self) -> bool:
        return self.base is not None or bool(self.increments)

    def files(self) -> Iterator[Entry]:
        """Yields the files that hold the data, in loading order."""
        if self.base is not None:
            yield self.base
        yield from self.increments

    def format(self) -> bytes:
        """Returns the file's content without a checksum: the base first, then history, then the increments."""
        base = () if self.base is None else (self.base,)
        return b"".join(entry.line() for entry in (*base, *self.history, *self.increments))

    def sealed(self) -> bytes:
        """Returns the file's content with its checksum; there must be an entry."""
        content = self.format()
        first, _, rest = content.partition(b"\n")
        return b"%b crc %08x\n%b" % (first, crc32(content), rest)

    def with_new_base(self, filename: str, as_rdb: bool, beside: Collection[str] = ()) -> "Manifest":
        """Returns a manifest with a new base, whose name begins with `filename` (appendfilename).

        The old base becomes history, and the increments stay: `without_rewritten` removes those that the new base
        makes superfluous. `beside` are the names in the folder, which a new file must not get.
        """
        number = self._next_number(filename, BASE_SUFFIX, beside)
        name = f"{filename}.{number}{BASE_SUFFIX}{RDB_SUFFIX if as_rdb else AOF_SUFFIX}"
        return replace(self, base=Entry(name, number, BASE), history=_as_history(self.base) + self.history)

    def with_new_increment(
        self, filename: str, start_offset: int | None = None, beside: Collection[str] = ()
    ) -> "Manifest":
        """Returns a manifest with a new increment at the end, the one to write. For `beside` see `with_new_base`.

        Its number is above that of any increment, including those in history, whose removal must not hit it.
        """
        number = self._next_number(filename, INCREMENT_SUFFIX, beside)
        name = f"{filename}.{number}{INCREMENT_SUFFIX}{AOF_SUFFIX}"
        return replace(self, increments=(*self.increments, Entry(name, number, INCREMENT, start_offset)))

    def without_rewritten(self, kept: int) -> "Manifest":
        """Returns a manifest with all but the last `kept` increments moved to history, since the base covers them."""
        gone = len(self.increments) - kept
        history = tuple(old for entry in reversed(self.increments[:gone]) for old in _as_history(entry))
        return replace(self, increments=self.increments[gone:], history=history + self.history)

    def without_history(self) -> "Manifest":
        """Returns a manifest without history, whose files have been removed."""
        return replace(self, history=())

    def reopened(self) -> "Manifest":
        """Returns a manifest with the last increment reopened for writing: it no longer has an end offset."""
        if not self.increments:
            return self
        return replace(self, increments=(*self.increments[:-1], replace(self.increments[-1], end_offset=None)))

    def closed(self, end_offset: int) -> "Manifest":
        """Returns a manifest in which the last increment ends at this offset."""
        last = self.increments[-1]
        if last.start_offset is None:
            return self
        return replace(self, increments=(*self.increments[:-1], replace(last, end_offset=end_offset)))

    def missing_from(self, filename: str, sizes: Mapping[str, int]) -> list[str]:
        """Returns those files in the folder that a complete manifest would list; `sizes` are the folder's files.

        An empty increment is not among them, because it is created before it is listed. Nor is a second base: it is
        either at least as new as the manifest or superfluous, and redis-server may leave one.
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
        """Yields the entries of one kind, and those in history whose names show that they may have been of it."""
        for entry in (*self.files(), *self.history):
            kind = BASE if suffix == BASE_SUFFIX else INCREMENT
            if entry.kind == kind or (entry.kind == HISTORY and suffix in entry.name):
                yield entry


def is_increment(filename: str, name: str) -> bool:
    """Whether a file is named like an increment."""
    part = _part(filename, name)
    return part is not None and part[0] == INCREMENT_SUFFIX


def _part(filename: str, name: str) -> tuple[str, int] | None:
    """Returns the kind (as a suffix) and the number from the name of a manifest's file; None for any other name."""
    match = _PART.fullmatch(name.removeprefix(filename)) if name.startswith(filename) else None
    return None if match is None else (INCREMENT_SUFFIX if match[2] else BASE_SUFFIX, int(match[1]))


def single_base(filename: str) -> Manifest:
    """Returns the manifest for a pre-7 append-only file, which becomes the base under its present name."""
    return Manifest(base=Entry(filename, 1, BASE))


def parse(data: bytes) -> Manifest:
    """Parses a manifest. Raises BadManifest according to Redis's checks, with Redis's reasons.

    Stricter than Redis: numbers must be numbers, "." and ".." are not file names, and no file may be listed twice.
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
    """Raises BadManifest if there is a checksum and it is wrong."""
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
    # As in Redis, the last one of duplicate keys counts, and unknown keys are skipped.
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
