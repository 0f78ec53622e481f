"""Glob patterns as KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules use them.

The rules are those of `stringmatchlen` in Redis 8.10's util.c: `*`, `?`, `[abc]`, `[^a-z]`, and a backslash
before a byte to take literally. A class without its `]` extends to the end of the pattern.

A pattern is split at its stars into segments of fixed length. The first and last segments are anchored; each one
between them is matched at its leftmost position, which is always right because a star can absorb what is skipped. So
matching never backtracks past one segment: the cost is O(len(pattern) * len(text)) at worst, and a segment without `?`
or a class is found by bytes.find. When a segment with classes meets a long text, all its positions are tried at once,
each as one bit of an integer (Baeza-Yates and Gonnet's shift-and), which is 64 times faster than that worst case.

Clients can send patterns of any length, and 64 MiB of wildcards would take half a minute to split. Redis has no such
step, so there is a limit here: see MAX_SPECIALS.
"""

import re
from collections.abc import Callable
from functools import partial, reduce
from operator import or_

# Redis gives up (no match) beyond this number of stars with something after them; so does this, for equal results.
MAX_INNER_STARS = 1000

# The number of wildcards, escapes, runs of stars and bytes in classes that a pattern may have, about 20 ms' worth; a
# pattern with more matches nothing. That is nearly always what Redis returns too: stars with something after them are
# limited above, and every other wildcard and escape takes a byte of the text, so only a text with as many bytes could
# match. The exceptions are such texts, and classes longer than this, although 256 bytes are all that a class can list.
MAX_SPECIALS = 20_000

# The most comparisons to make one by one (2 ms) before trying all positions of a segment at once.
MAX_COMPARISONS = 20_000

_SPECIAL = re.compile(rb"[*?\[\\]")
_STARS = re.compile(rb"\**")
# The next special byte is usually near; beyond this many bytes, four searches for a single byte each are faster than
# one for any of them: 15 ms instead of 440 for 64 MiB.
_NEAR = 100
_ALL_BYTES = (1 << 256) - 1
# Redis compares plain C chars, which are signed on the reference platform. Bit (byte ^ 0x80) keeps that order, so that
# `[a-\xff]` is the swapped range from 0xff (-1) to `a`, as in Redis.
_SIGN = 0x80


def _bits(first: int, last: int) -> int:
    """The set of bytes from `first` to `last` (both already xor 0x80) as a bit mask."""
    return ((1 << (last - first + 1)) - 1) << first if first <= last else 0


_UPPER = _bits(ord("A") ^ _SIGN, ord("Z") ^ _SIGN)
_LOWER = _bits(ord("a") ^ _SIGN, ord("z") ^ _SIGN)
_CASE_SHIFT = ord("a") - ord("A")


def _lowered(byte: int) -> int:
    return byte + _CASE_SHIFT if 65 <= byte <= 90 else byte


def _byte_set(byte: int, nocase: bool) -> int:
    """The set of bytes that a literal byte (in lower case if `nocase`) matches."""
    members = 1 << (byte ^ _SIGN)
    return members | (members & _LOWER) >> _CASE_SHIFT if nocase else members


def _parse_class(pattern: bytes, at: int, end: int, nocase: bool) -> tuple[int, int]:
    """Read a class whose `[` is just before `at`; return its byte set and the index after its `]`, at most `end`."""
    negated = at < end and pattern[at] == 0x5E  # ^
    if negated:
        at += 1
    exact = folded = 0
    while at < end:
        byte = pattern[at]
        left = end - at
        if byte == 0x5C and left >= 2:  # an escaped byte is compared as it is, even if `nocase`
            exact |= 1 << (pattern[at + 1] ^ _SIGN)
            at += 2
        elif byte == 0x5D:  # ]
            at += 1
            break
        elif left >= 3 and pattern[at + 1] == 0x2D:  # -
            first, last = byte, pattern[at + 2]
            if first ^ _SIGN > last ^ _SIGN:
                first, last = last, first
            if nocase:
                first, last = _lowered(first), _lowered(last)
            folded |= _bits(first ^ _SIGN, last ^ _SIGN)
            at += 3
        else:
            folded |= 1 << ((_lowered(byte) if nocase else byte) ^ _SIGN)
            at += 1
    if nocase:
        folded = (folded & ~_UPPER) | ((folded & _LOWER) >> _CASE_SHIFT)
    members = exact | folded
    return (_ALL_BYTES & ~members if negated else members), at


class _Segment:
    """A stretch of pattern without stars: it matches exactly `length` bytes."""

    __slots__ = ("checks", "length", "literal", "masks", "nocase", "pieces", "places")

    def __init__(self, parts: list[bytes | int], nocase: bool) -> None:
        # `literal` is what the text must begin with, `masks` has (offset, byte set) for every class, and `pieces`
        # (offset, text) for every later literal. `masks` is None if the whole segment is literal.
        self.literal = b""
        self.masks: list[tuple[int, int]] | None = None
        self.pieces: list[tuple[int, bytes]] = []
        self.length = 0
        self.checks = 0
        self.nocase = nocase
        self.places: list[int] = []
        if all(isinstance(part, bytes) for part in parts):
            self.literal = b"".join(part for part in parts if isinstance(part, bytes))
            self.length = len(self.literal)
            return
        masks: list[tuple[int, int]] = []
        offset = 0
        for part in parts:
            if isinstance(part, int):
                if part != _ALL_BYTES:
                    masks.append((offset, part))
                offset += 1
                continue
            if offset == 0:
                self.literal = part
            else:
                self.pieces.append((offset, part))
            offset += len(part)
        self.masks = masks
        self.length = offset
        # The work of `at`, in comparisons: a thousand literal bytes take as long as one class.
        self.checks = len(masks) + len(self.pieces) + offset // 1000

    def at(self, text: bytes, folded: bytes, start: int) -> bool:
        """Whether it matches at `start`; the caller ensures that at least `length` bytes are left there."""
        if not folded.startswith(self.literal, start):
            return False
        if self.masks is not None:
            for offset, mask in self.masks:
                if not mask >> (text[start + offset] ^ _SIGN) & 1:
                    return False
            for offset, piece in self.pieces:
                if not folded.startswith(piece, start + offset):
                    return False
        return True

    def find(self, text: bytes, folded: bytes, start: int, end: int) -> int:
        """The first position in text[start:end] where it matches, or -1."""
        if self.masks is None:
            return folded.find(self.literal, start, end)
        last = end - self.length
        one_by_one = (last - start) * self.checks
        if one_by_one > MAX_COMPARISONS and one_by_one > self._checks_at_once(end - start):
            return self._find_at_once(text, folded, start, end)
        while start <= last:
            if self.literal:
                start = folded.find(self.literal, start, last + len(self.literal))
                if start < 0:
                    return -1
            if self.at(text, folded, start):
                return start
            start += 1
        return -1

    def _checks_at_once(self, size: int) -> int:
        """The work of `_find_at_once` in a text of `size` bytes, in comparisons."""
        return 5 * self.length + size * (2 + self.length // 10_000)

    def _find_at_once(self, text: bytes, folded: bytes, start: int, end: int) -> int:
        """`find` in O(length / 64) per byte of the text, no matter how much of it almost matches.

        Bit i of `begun` says that the last bytes read match the first i + 1 positions of the segment.
        """
        places = self.places = self.places or self._places()
        literal = self.literal
        found = 1 << (self.length - 1)
        begun = 0
        while start < end:
            if not begun and literal:
                start = folded.find(literal, start, end)
                if start < 0:
                    return -1
            begun = (begun << 1 | 1) & places[text[start]]
            start += 1
            if begun & found:
                return start - self.length
        return -1

    def _places(self) -> list[int]:
        """For each byte, the positions of the segment that it matches (bit i is position i)."""
        of_set: dict[int, bytearray] = {}
        size = self.length // 8 + 1
        expected = dict(self.masks or ())
        for offset, piece in ((0, self.literal), *self.pieces):
            for index, byte in enumerate(piece, offset):
                expected[index] = _byte_set(byte, self.nocase)
        for index in range(self.length):
            places = of_set.setdefault(expected.get(index, _ALL_BYTES), bytearray(size))
            places[index >> 3] |= 1 << (index & 7)
        sets = [(members, int.from_bytes(places, "little")) for members, places in of_set.items()]
        result = []
        for byte in range(256):
            bit = 1 << (byte ^ _SIGN)
            result.append(reduce(or_, (places for members, places in sets if members & bit), 0))
        return result


def _next_special(pattern: bytes, at: int) -> int:
    """The position of the first special byte from `at` on; the length of the pattern if there is none."""
    found = _SPECIAL.search(pattern, at, at + _NEAR)
    if found:
        return found.start()
    at += _NEAR
    stretch = 8 * _NEAR
    end = len(pattern)
    while at < end:
        # In growing stretches, so that a rare byte isn't searched for through the whole pattern again and again.
        places = [pattern.find(special, at, at + stretch) for special in (b"*", b"?", b"[", b"\\")]
        nearest = min((place for place in places if place >= 0), default=-1)
        if nearest >= 0:
            return nearest
        at += stretch
        stretch *= 8
    return end


def _parse(pattern: bytes, nocase: bool) -> list[_Segment] | None:
    """The segments between the stars: one more than the number of stars, a run of stars counting once.

    None if there are more than MAX_SPECIALS special bytes, or too many stars.
    """
    segments: list[_Segment] = []
    parts: list[bytes | int] = []
    at, end = 0, len(pattern)
    left = MAX_SPECIALS
    while at < end:
        stop = _next_special(pattern, at)
        if stop > at:
            parts.append(pattern[at:stop])
        if stop == end:
            break
        at = stop + 1
        left -= 1
        byte = pattern[stop]
        if byte == 0x2A:  # *
            run = _STARS.match(pattern, at)
            at = run.end() if run else at
            segments.append(_Segment(_folded(parts, nocase), nocase))
            parts = []
            if len(segments) > MAX_INNER_STARS + 1:
                return None
        elif byte == 0x3F:  # ?
            parts.append(_ALL_BYTES)
        elif byte == 0x5B:  # [
            # Allow two bytes more than the limit, so that a range at the limit is read whole.
            mask, behind = _parse_class(pattern, at, min(end, at + left + 2), nocase)
            left -= behind - at
            at = behind
            parts.append(mask)
        elif at < end:  # a backslash and the byte it protects
            parts.append(pattern[at : at + 1])
            at += 1
        else:
            parts.append(b"\\")
        if left < 0:
            return None
    segments.append(_Segment(_folded(parts, nocase), nocase))
    return segments


def _folded(parts: list[bytes | int], nocase: bool) -> list[bytes | int]:
    """Join adjacent literals, in lower case if `nocase`."""
    joined: list[bytes | int] = []
    run: list[bytes] = []
    for part in parts:
        if isinstance(part, bytes):
            run.append(part)
            continue
        if run:
            joined.append(b"".join(run))
            run.clear()
        joined.append(part)
    if run:
        joined.append(b"".join(run))
    return [part.lower() if isinstance(part, bytes) else part for part in joined] if nocase else joined


def _always(text: bytes) -> bool:
    return True


def _never(text: bytes) -> bool:
    return False


def _starts_with(prefix: bytes, text: bytes) -> bool:
    return text.startswith(prefix)


def _search(segments: list[_Segment], minimum: int, nocase: bool, text: bytes) -> bool:
    end = len(text)
    if end < minimum:
        return not end and len(segments) == 1 and not segments[0].length
    folded = text.lower() if nocase else text
    first = segments[0]
    if not first.at(text, folded, 0):
        return False
    if len(segments) == 1:
        return first.length == end
    last = segments[-1]
    place = first.length
    end -= last.length
    if not last.at(text, folded, end):
        return False
    for index in range(1, len(segments) - 1):
        segment = segments[index]
        place = segment.find(text, folded, place, end)
        if place < 0:
            return False
        place += segment.length
    return True


def _matcher(pattern: bytes, nocase: bool) -> Callable[[bytes], bool]:
    segments = _parse(pattern, nocase)
    if segments is None:
        return _never
    first = segments[0]
    open_ended = len(segments) > 1 and not segments[-1].length
    if len(segments) - 1 - open_ended > MAX_INNER_STARS:
        return _never
    if first.masks is None and not nocase:
        if len(segments) == 1:
            return first.literal.__eq__
        if len(segments) == 2 and open_ended and first.length:
            return partial(_starts_with, first.literal)
    minimum = max(1, sum(segment.length for segment in segments))
    return partial(_search, segments, minimum, nocase)


def is_glob(pattern: bytes) -> bool:
    """Whether a pattern may match anything but itself."""
    return _SPECIAL.search(pattern) is not None


class Glob:
    """A pattern compiled once, for matching many texts.

    `match(text)` returns whether the whole text matches. The pattern `*` (`matches_all`) matches every text including
    the empty one, as in KEYS and SCAN; no other wildcard matches the empty text, as in `stringmatchlen`.
    """

    __slots__ = ("match", "matches_all", "pattern")

    match: Callable[[bytes], bool]

    def __init__(self, pattern: bytes, nocase: bool = False) -> None:
        self.pattern = pattern
        self.matches_all = pattern == b"*"
        self.match = _always if self.matches_all else _matcher(pattern, nocase)
