"""Directives with a syntax of their own: lists, limits, flag letters, the directory.

Each parses the words of a redis.conf line or of a CONFIG SET value, as redis-server 8.10 does.
"""

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from broker.config.kinds import (
    INT_MAX,
    Directive,
    Integer,
    Line,
    Memory,
    bytes_of,
    loose_integer,
    memory_size,
    memory_text,
    quoted,
    text_of,
)
from protocol.numbers import parse_double

# Redis keeps the addresses in an array of this size.
BIND_ADDRESSES_MAX = 16

# Timer calls per second.
HZ_MIN = 1
HZ_MAX = 500

# The smallest replication backlog, in bytes.
BACKLOG_MIN = 16 * 1024

# The longest text that is read as a number with a fraction, as in Redis.
_NUMBER_MAX = 5 * 1024

# The bytes allowed in an unquoted word of a file.
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b"\"'\\#")

_CLIENT_CLASSES = {b"normal": "normal", b"slave": "replica", b"replica": "replica", b"pubsub": "pubsub"}

# Event classes in the order CONFIG GET shows them: those that `A` includes, and the others. Redis shows the first three
# of the latter only if `A` is not set.
EVERY_CLASS = "g$lshzxetda"
INVALID_EVENT_CLASS = "Invalid event class character. Use 'Ag$lshzxeKEtmdnocaSTIV'."
_HIDDEN_BY_EVERY_CLASS = "noc"
_ALWAYS_SHOWN = "KEmSTIVp"
_WITHOUT_HIDDEN = dict.fromkeys(map(ord, _HIDDEN_BY_EVERY_CLASS))


class SavePoint(NamedTuple):
    """Save if there were this many changes and the last save was more than this many seconds ago."""

    seconds: int
    changes: int


class BufferLimit(NamedTuple):
    """The output buffer limits of a client class: bytes at any time, and bytes for some seconds; 0 is no limit."""

    hard: int
    soft: int
    soft_seconds: int


class BufferLimits(NamedTuple):
    """The output buffer limits of every client class."""

    normal: BufferLimit
    replica: BufferLimit
    pubsub: BufferLimit


class Frequency(Integer):
    """`hz`: accepts any number and clamps it to a sensible range."""

    def parse(self, words: Sequence[bytes], current: int) -> int:
        return max(HZ_MIN, min(super().parse(words, current), HZ_MAX))


class BacklogSize(Memory):
    """repl-backlog-size: raises smaller sizes to the smallest useful one."""

    def parse(self, words: Sequence[bytes], current: int) -> int:
        return max(BACKLOG_MIN, super().parse(words, current))


class SavePoints(Directive[tuple[SavePoint, ...]]):
    """`save 3600 1 300 100`: any number of pairs; `save ""`: none. The lines of a file add up."""

    several = True

    def parse(self, words: Sequence[bytes], current: tuple[SavePoint, ...]) -> tuple[SavePoint, ...]:
        if len(words) == 1 and not words[0]:
            return ()
        if len(words) % 2:
            raise ValueError("Invalid save parameters")
        points = []
        for at in range(0, len(words), 2):
            seconds, changes = loose_integer(words[at]), loose_integer(words[at + 1])
            if seconds is None or changes is None or seconds < 1 or changes < 0:
                raise ValueError("Invalid save parameters")
            points.append(SavePoint(seconds, min(changes, INT_MAX)))
        return tuple(points)

    def add(self, words: Sequence[bytes], current: tuple[SavePoint, ...], repeated: bool) -> tuple[SavePoint, ...]:
        points = self.parse(words, current)
        return current + points if repeated and points else points

    def text(self, value: tuple[SavePoint, ...]) -> bytes:
        return b" ".join(b"%d %d" % point for point in value)

    def lines(self, value: tuple[SavePoint, ...]) -> list[Line]:
        return [Line(b"%d %d" % point, True) for point in value] or [Line(b'""', True)]


class OutputBufferLimits(Directive[BufferLimits]):
    """`client-output-buffer-limit pubsub 32mb 8mb 60`: each group of four words sets one class."""

    several = True

    def parse(self, words: Sequence[bytes], current: BufferLimits) -> BufferLimits:
        if len(words) % 4:
            raise ValueError("Wrong number of arguments in buffer limit configuration.")
        for at in range(0, len(words), 4):
            name = _CLIENT_CLASSES.get(words[at].lower())
            if name is None:
                raise ValueError("Invalid client class specified in buffer limit configuration.")
            hard, soft = memory_size(words[at + 1]), memory_size(words[at + 2])
            seconds = loose_integer(words[at + 3])
            if hard is None or soft is None or seconds is None or not 0 <= seconds <= INT_MAX:
                raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            current = current._replace(**{name: BufferLimit(hard, soft, seconds)})
        return current

    def text(self, value: BufferLimits) -> bytes:
        return b"normal %d %d %d slave %d %d %d pubsub %d %d %d" % (
            *value.normal,
            *value.replica,
            *value.pubsub,
        )

    def lines(self, value: BufferLimits) -> list[Line]:
        lines = []
        for name, limit, usual in zip(BufferLimits._fields, value, self.default, strict=True):
            sizes = memory_text(limit.hard) + b" " + memory_text(limit.soft)
            lines.append(Line(b"%s %s %d" % (name.encode(), sizes, limit.soft_seconds), limit != usual))
        return lines


class Addresses(Directive[tuple[str, ...]]):
    """`bind 127.0.0.1 -::1`: a minus sign marks an address that may be unavailable; `""` binds none."""

    several = True

    def parse(self, words: Sequence[bytes], current: tuple[str, ...]) -> tuple[str, ...]:
        if len(words) > BIND_ADDRESSES_MAX:
            raise ValueError("Too many bind addresses specified.")
        if len(words) == 1 and not words[0]:
            return ()
        return tuple(text_of(word) for word in words)

    def text(self, value: tuple[str, ...]) -> bytes:
        return bytes_of(" ".join(value))

    def lines(self, value: tuple[str, ...]) -> list[Line]:
        if value == self.default:
            return []
        return [Line(b" ".join(_as_word(bytes_of(address)) for address in value) or b'""', True)]


class EventClasses(Directive[str]):
    """notify-keyspace-events: the letters of the selected event classes, `A` if all that it includes are selected."""

    def parse(self, words: Sequence[bytes], current: str) -> str:
        letters = set(text_of(words[0]))
        if letters.issuperset(EVERY_CLASS):
            letters.add("A")
        if "A" in letters:
            letters -= set(EVERY_CLASS)
        ordered = "A" + EVERY_CLASS + _HIDDEN_BY_EVERY_CLASS + _ALWAYS_SHOWN
        if not letters.issubset(ordered):
            raise ValueError(INVALID_EVENT_CLASS)
        return "".join(letter for letter in ordered if letter in letters)

    def text(self, value: str) -> bytes:
        shown = value.translate(_WITHOUT_HIDDEN) if value.startswith("A") else value
        return shown.encode()

    def lines(self, value: str) -> list[Line]:
        # Unlike CONFIG GET's text, this keeps `n`, `o` and `c` after `A`, so that reading it back loses nothing.
        return [Line(quoted(value.encode()), bool(value))]


class Percentiles(Directive[tuple[float, ...]]):
    """latency-tracking-info-percentiles: numbers from 0 to 100; `""`: none."""

    several = True

    def parse(self, words: Sequence[bytes], current: tuple[float, ...]) -> tuple[float, ...]:
        if len(words) == 1 and not words[0]:
            return ()
        values = []
        for word in words:
            value = parse_double(word) if len(word) <= _NUMBER_MAX else None
            if value is None:
                raise ValueError("Invalid latency-tracking-info-percentiles parameters")
            if not 0.0 <= value <= 100.0:
                raise ValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
            values.append(value)
        return tuple(values)

    def text(self, value: tuple[float, ...]) -> bytes:
        return " ".join(f"{number:f}".rstrip("0").rstrip(".") for number in value).encode()

    def lines(self, value: tuple[float, ...]) -> list[Line]:
        return [Line(self.text(value) or b'""', True)]


class OomScores(Directive[tuple[int, ...]]):
    """oom-score-adj-values: three numbers, for the master, a replica and a background child."""

    several = True

    def parse(self, words: Sequence[bytes], current: tuple[int, ...]) -> tuple[int, ...]:
        if len(words) != len(self.default):
            raise ValueError("wrong number of arguments")
        values = []
        for word in words:
            value = loose_integer(word)
            if value is None or not -2000 <= value <= 2000:
                raise ValueError("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
            values.append(value)
        return tuple(values)

    def text(self, value: tuple[int, ...]) -> bytes:
        return b" ".join(b"%d" % number for number in value)


class Master(Directive[tuple[str, int] | None]):
    """`replicaof host port`, or `replicaof no one` for none."""

    several = True

    def parse(self, words: Sequence[bytes], current: tuple[str, int] | None) -> tuple[str, int] | None:
        if len(words) != 2:
            raise ValueError("wrong number of arguments")
        if words[0].lower() == b"no" and words[1].lower() == b"one":
            return None
        port = loose_integer(words[1])
        if port is None or not 0 <= port <= 65535:
            raise ValueError("Invalid master port")
        return text_of(words[0]), port

    def text(self, value: tuple[str, int] | None) -> bytes:
        return b"" if value is None else bytes_of(value[0]) + b" %d" % value[1]

    def lines(self, value: tuple[str, int] | None) -> list[Line]:
        return [] if value is None else [Line(_as_word(bytes_of(value[0])) + b" %d" % value[1], True)]


class Directory(Directive[str]):
    """`dir`: the folder for the files, stored as an absolute path.

    A relative path is resolved against the current value, so that the lines of a file take effect in order, as they do
    in redis-server, which changes its working directory immediately. Here only the command line does that, at the end:
    a broker inside another program must leave that program's working directory alone.
    """

    def parse(self, words: Sequence[bytes], current: str) -> str:
        path = text_of(words[0])
        if not path:
            raise ValueError(os.strerror(errno.ENOENT))
        path = os.path.join(current, path)
        if "\0" in path or not os.path.exists(path):
            raise ValueError(os.strerror(errno.ENOENT))
        if not os.path.isdir(path):
            raise ValueError(os.strerror(errno.ENOTDIR))
        if not os.access(path, os.X_OK):
            raise ValueError(os.strerror(errno.EACCES))
        # Symbolic links are resolved, as getcwd() shows them to redis-server.
        return os.path.realpath(path)

    def text(self, value: str) -> bytes:
        return bytes_of(value)

    def lines(self, value: str) -> list[Line]:
        return [Line(quoted(bytes_of(value)), True)]


def _as_word(value: bytes) -> bytes:
    """The value as one word in a file, quoted only if necessary."""
    return value if value and _PLAIN.issuperset(value) else quoted(value)
