"""HyperLogLog in Redis's format: counts distinct elements to about 0.8 %, in at most 12 KiB.

An element's hash selects one of 16384 registers, and the register keeps the length of the longest run of zeros at the
end of the rest of a hash, plus one. The value is a string, as in Redis, so that GET and SET move it from one server to
another: a header of 16 bytes (`HYLL`, the encoding, three unused bytes, the last estimate as an integer in little
endian whose highest bit means that it is out of date), and the registers in one of two encodings.

Dense: six bits per register, from the lowest bit of the first byte on.
Sparse, while that is shorter than a limit: runs of equal registers, as one or two bytes each:
    00nnnnnn              n + 1 registers are zero
    01nnnnnn nnnnnnnn     n + 1 registers are zero (a long run)
    1vvvvvnn              n + 1 registers are v + 1
The same elements in the same order produce the same bytes as in Redis.

Any value can come from a client and may be broken, in which case functions raise `Corrupted`.
`_hyperloglog.pyx` has compiled twins of `is_hyperloglog`, `add` and `_expand`, used when they are built, unless
TRIMARAN_PURE=1 is in the environment: adding an element then takes 0.1 us (dense) to 4 (sparse) instead of 2 to 50.
"""

import re
from typing import Final, NamedTuple

from broker.values.hyperloglog.murmur import murmur_hash
from broker.values.hyperloglog.registers import (
    HASH_BITS,
    PACKED_SIZE,
    REGISTERS,
    estimate,
    histogram,
    larger,
    pack,
    unpack,
)
from protocol.native import prefer

Bytes = bytes | bytearray

HEADER: Final = 16
DENSE: Final = 0
SPARSE: Final = 1

_MAGIC: Final = b"HYLL"
_ENCODING: Final = 4
_FLAGS: Final = 15
_OUT_OF_DATE: Final = 0x80
_DENSE_SIZE: Final = HEADER + PACKED_SIZE

_VALUE: Final = 0x80
_LONG: Final = 0x40
_KIND: Final = 0xC0
_SPARSE_VALUE_MAX: Final = 32
_VALUE_RUN_MAX: Final = 4
_ZERO_RUN_MAX: Final = 64
# After a change Redis checks this many opcodes for values that can be joined.
_JOIN_OPCODES: Final = 5

# The number of registers that a one-byte opcode covers, and those registers.
_SPANS: Final = bytes((op & 3) + 1 if op & _VALUE else (op & 0x3F) + 1 for op in range(256))
_RUNS: Final = [bytes(((op >> 2 & 0x1F) + 1 if op & _VALUE else 0,)) * _SPANS[op] for op in range(256)]
# A long run, whose second byte may be missing at the end; or one-byte opcodes, few enough to walk through.
_OPCODES: Final = re.compile(rb"[\x40-\x7f].?|[\x00-\x3f\x80-\xff]{1,64}", re.DOTALL)
_SET: Final = re.compile(rb"[^\x00]")
_SAME: Final = re.compile(rb"\x00+|(.)\1{0,3}", re.DOTALL)
# While registers are raised one by one, a sparse value temporarily exceeds its final length by at most this much.
_PASSING_GROWTH: Final = 3


class Corrupted(ValueError):
    """A string that looks like a HyperLogLog, but whose registers are broken."""


def empty() -> bytearray:
    """A HyperLogLog without elements."""
    return bytearray(_MAGIC + bytes((SPARSE,)) + bytes(11) + _zeros(REGISTERS))


def is_hyperloglog(value: Bytes) -> bool:
    """Whether a string looks like one; its registers may still be broken."""
    if len(value) < HEADER or not value.startswith(_MAGIC):
        return False
    return value[_ENCODING] == SPARSE or (value[_ENCODING] == DENSE and len(value) == _DENSE_SIZE)


def is_dense(value: Bytes) -> bool:
    """Whether a HyperLogLog has the dense encoding."""
    return value[_ENCODING] == DENSE


def kept_estimate(value: Bytes) -> int | None:
    """Returns the estimate stored in the header, None if it is out of date."""
    return None if value[_FLAGS] & _OUT_OF_DATE else int.from_bytes(value[8:HEADER], "little")


def keep_estimate(value: bytearray, estimated: int) -> None:
    """Stores an estimate in the header."""
    value[8:HEADER] = estimated.to_bytes(8, "little", signed=True)


def set_out_of_date(value: bytearray) -> None:
    """Marks the estimate in the header as out of date."""
    value[_FLAGS] |= _OUT_OF_DATE


# Adding


def place(element: bytes) -> tuple[int, int]:
    """Returns an element's register, and the least value of that register once the element is added."""
    hashed = murmur_hash(element)
    rest = hashed >> 14 | 1 << HASH_BITS
    return hashed & REGISTERS - 1, (rest & -rest).bit_length()


def add(value: bytearray, element: bytes, limit: int) -> bool:
    """Adds an element; returns whether that changed a register. Leaves the estimate in the header alone.

    A sparse value becomes dense before it would exceed `limit` bytes, or if it can't hold the register.
    Raises Corrupted, in which case nothing has changed.
    """
    index, least = place(element)
    if value[_ENCODING] == DENSE:
        return _set_dense(value, index, least)
    if least > _SPARSE_VALUE_MAX:
        make_dense(value)
        return _set_dense(value, index, least)
    at, first, previous = _locate(value, index)
    return _set_sparse(value, _Place(index, at, first, previous), least, limit)


def _set_dense(value: bytearray, index: int, least: int) -> bool:
    """Raises a register to `least`; returns whether it was lower."""
    at = HEADER + (6 * index >> 3)
    shift = 6 * index & 7
    if shift <= 2:
        byte = value[at]
        if byte >> shift & 0x3F >= least:
            return False
        value[at] = byte & ~(0x3F << shift) | least << shift
        return True
    pair = value[at] | value[at + 1] << 8
    if pair >> shift & 0x3F >= least:
        return False
    pair = pair & ~(0x3F << shift) | least << shift
    value[at] = pair & 0xFF
    value[at + 1] = pair >> 8
    return True


class _Place(NamedTuple):
    """The place of a register in a sparse value: the opcode at `at` covers it, and `first` is the first it covers.

    `previous` is the position of the opcode before, or -1.
    """

    register: int
    at: int
    first: int
    previous: int


def _locate(value: Bytes, index: int) -> tuple[int, int, int]:
    """Finds a register in a sparse value: returns `at`, `first` and `previous` of its place.

    Raises Corrupted if the opcodes don't reach that far.
    """
    first = 0
    previous = -1
    for match in _OPCODES.finditer(value, HEADER):
        at, end = match.span()
        if value[at] & _KIND == _LONG:
            span = _span(value, at)
            if index < first + span:
                return at, first, previous
            previous = at
        else:
            span = sum(match[0].translate(_SPANS))
            if index < first + span:
                while index >= first + (span := _SPANS[value[at]]):
                    previous = at
                    at += 1
                    first += span
                return at, first, previous
            previous = end - 1
        first += span
    raise Corrupted


def _span(value: Bytes, at: int) -> int:
    """Returns how many registers the opcode at `at` covers; a missing second byte counts as zero."""
    op = value[at]
    if op & _KIND != _LONG:
        return _SPANS[op]
    return ((op & 0x3F) << 8 | (value[at + 1] if at + 1 < len(value) else 0)) + 1


def _zeros(count: int) -> bytes:
    """Returns the opcode for a run of zeros, b"" for an empty one."""
    if count > _ZERO_RUN_MAX:
        return bytes((_LONG | count - 1 >> 8, count - 1 & 0xFF))
    return bytes((count - 1,)) if count else b""


def _values(register: int, count: int) -> bytes:
    """Returns the opcode for up to four registers of this value, b"" for none."""
    return bytes((_VALUE | register - 1 << 2 | count - 1,)) if count else b""


def _set_sparse(value: bytearray, place: _Place, least: int, limit: int) -> bool:
    """Raises a register to `least`, at most 32; returns whether it was lower. Raises Corrupted."""
    index, at, first, previous = place
    op = value[at]
    old = (op >> 2 & 0x1F) + 1 if op & _VALUE else 0
    if old >= least:
        return False
    after = first + _span(value, at) - 1 - index
    if old:
        run = _values(old, index - first) + _values(least, 1) + _values(old, after)
    else:
        run = _zeros(index - first) + _values(least, 1) + _zeros(after)
    size = 2 if op & _KIND == _LONG else 1
    growth = len(run) - size
    if growth > 0 and len(value) + growth > limit:
        make_dense(value)
        return _set_dense(value, index, least)
    if at + size > len(value):
        # The second byte of a long run is missing. Redis writes past the end, but keeps the length consistent.
        run = run[:-1]
    value[at : at + size] = run
    _join_values(value, previous if previous >= 0 else HEADER)
    return True


def _join_values(value: bytearray, at: int) -> None:
    """Joins equal values, from the opcode at `at` on."""
    end = len(value)
    for _ in range(_JOIN_OPCODES):
        if at >= end:
            return
        op = value[at]
        if not op & _VALUE:
            at += 2 if op & _LONG else 1
            continue
        if at + 1 < end and op >> 2 == value[at + 1] >> 2:
            count = (op & 3) + (value[at + 1] & 3) + 2
            if count <= _VALUE_RUN_MAX:
                value[at : at + 2] = bytes((op & 0xFC | count - 1,))
                end -= 1
                continue
        at += 1


def make_dense(value: bytearray) -> None:
    """Converts a sparse value to the dense encoding. Raises Corrupted."""
    value[HEADER:] = pack(registers(value))
    value[_ENCODING] = DENSE


# Reading and merging


def registers(value: Bytes) -> bytes:
    """Returns all registers, a byte each. Raises Corrupted."""
    return unpack(bytes(value[HEADER:])) if value[_ENCODING] == DENSE else _expand(value)


def _expand(value: Bytes) -> bytes:
    """Returns all registers of a sparse value, a byte each. Raises Corrupted."""
    runs = []
    covered = 0
    for match in _OPCODES.finditer(value, HEADER):
        opcodes = match[0]
        if opcodes[0] & _KIND == _LONG:
            span = _span(opcodes, 0)
            runs.append(bytes(span))
        else:
            span = sum(opcodes.translate(_SPANS))
            runs += map(_RUNS.__getitem__, opcodes)
        covered += span
        if covered > REGISTERS:
            raise Corrupted
    if covered != REGISTERS:
        raise Corrupted
    return b"".join(runs)


def union(united: bytes, value: Bytes) -> bytes:
    """Merges the registers of a value into the registers `united`, and returns the result. Raises Corrupted."""
    return larger(united, registers(value))


def count(value: Bytes) -> int:
    """Returns the estimate from the registers. Raises Corrupted."""
    return estimate(histogram(registers(value)))


def raise_registers(value: bytearray, wanted: bytes, limit: int) -> None:
    """Raises all registers of a valid value to `wanted`, none of which is lower than the present one.

    For a sparse value they are at most 32. It gets the same bytes as in Redis, which raises one register after the
    other from the first on; here each search begins where the last one ended.
    """
    if value[_ENCODING] == SPARSE:
        if value[HEADER:] == _zeros(REGISTERS):
            # The common case, a new target, takes a fifth of the time this way.
            written = _write_sparse(wanted)
            if HEADER + len(written) + _PASSING_GROWTH <= limit:
                value[HEADER:] = written
                return
        own = int.from_bytes(registers(value), "little")
        differing = (own ^ int.from_bytes(wanted, "little")).to_bytes(REGISTERS, "little")
        before: list[tuple[int, int]] = []
        at, first = HEADER, 0
        for match in _SET.finditer(differing):
            index = match.start()
            while index >= first + (span := _span(value, at)):
                before.append((at, first))
                at += 2 if value[at] & _KIND == _LONG else 1
                first += span
            _set_sparse(value, _Place(index, at, first, before[-1][0] if before else -1), wanted[index], limit)
            if value[_ENCODING] == DENSE:
                break
            # The opcodes after the previous one may have been split or joined.
            at, first = before.pop() if before else (HEADER, 0)
        else:
            return
    value[HEADER:] = pack(wanted)


def _write_sparse(wanted: bytes) -> bytes:
    """Returns the opcodes that result from raising registers from zero one after the other, from the first one on."""
    return b"".join(
        _values(same[0][0], len(same[0])) if same[1] else _zeros(len(same[0])) for same in _SAME.finditer(wanted)
    )


def opcodes(value: Bytes) -> bytes:
    """Returns the opcodes of a sparse value as text: `z` and `Z` are runs of zeros, `v` is a value and its run."""
    words = []
    at = HEADER
    while at < len(value):
        op = value[at]
        if op & _VALUE:
            words.append(b"v:%d,%d" % ((op >> 2 & 0x1F) + 1, _SPANS[op]))
        else:
            words.append(b"%c:%d" % (b"Z" if op & _LONG else b"z", _span(value, at)))
        at += 2 if op & _KIND == _LONG else 1
    return b" ".join(words)


prefer(globals(), "broker.values.hyperloglog._hyperloglog", "_expand", "add", "is_hyperloglog")
