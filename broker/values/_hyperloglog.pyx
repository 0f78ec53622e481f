# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Functions of hyperloglog and hyperloglog_registers compiled: the same answers (see there for what they promise)."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memset

cdef enum:
    HEADER = 16
    REGISTERS = 16384
    PACKED_SIZE = 12288
    HASH_BITS = 50
    INDEX_BITS = 14
    VALUES = 64

ctypedef const unsigned char *Pointer
ctypedef unsigned char *Buffer

cdef uint64_t FACTOR = 0xC6A4A7935BD1E995ULL
cdef uint64_t SEED = 0xADC83B19ULL


cdef Pointer _pointer(value, Py_ssize_t *length) except NULL:
    if PyBytes_Check(value):
        length[0] = PyBytes_GET_SIZE(value)
        return <Pointer>PyBytes_AS_STRING(value)
    if PyByteArray_Check(value):
        length[0] = PyByteArray_GET_SIZE(value)
        return <Pointer>PyByteArray_AS_STRING(value)
    raise TypeError("a string is bytes or a bytearray")


cdef Pointer _sized(bytes value, Py_ssize_t size) except NULL:
    if value is None or PyBytes_GET_SIZE(value) != size:
        raise ValueError("not all registers")
    return <Pointer>PyBytes_AS_STRING(value)


cdef inline uint64_t _word(Pointer at, Py_ssize_t size) noexcept:
    """Up to eight bytes in little endian."""
    cdef uint64_t word = 0
    cdef Py_ssize_t i
    for i in range(size):
        word |= <uint64_t>at[i] << (8 * i)
    return word


cdef uint64_t _murmur_hash(Pointer at, Py_ssize_t length) noexcept:
    cdef uint64_t hashed = SEED ^ (<uint64_t>length * FACTOR)
    cdef uint64_t word
    while length >= 8:
        word = _word(at, 8) * FACTOR
        word = (word ^ (word >> 47)) * FACTOR
        hashed = (hashed ^ word) * FACTOR
        at += 8
        length -= 8
    if length:
        hashed = (hashed ^ _word(at, length)) * FACTOR
    hashed = (hashed ^ (hashed >> 47)) * FACTOR
    return hashed ^ (hashed >> 47)


def place(element):
    cdef Py_ssize_t length = 0
    cdef Pointer at = _pointer(element, &length)
    cdef uint64_t hashed = _murmur_hash(at, length)
    cdef uint64_t rest = (hashed >> INDEX_BITS) | (<uint64_t>1 << HASH_BITS)
    cdef int least = 1
    while not rest & 1:
        rest >>= 1
        least += 1
    return <int>(hashed & (REGISTERS - 1)), least


cdef inline Py_ssize_t _span(Pointer at, Py_ssize_t left) noexcept:
    """How many registers an opcode covers; a missing second byte counts as zero."""
    cdef unsigned char op = at[0]
    if op & 0x80:
        return (op & 3) + 1
    if op & 0x40:
        return ((<Py_ssize_t>(op & 0x3F) << 8) | (at[1] if left > 1 else 0)) + 1
    return op + 1


def _locate(value, Py_ssize_t index):
    cdef Py_ssize_t length = 0
    cdef Pointer start = _pointer(value, &length)
    cdef Py_ssize_t at = HEADER, first = 0, previous = -1, span
    while at < length:
        span = _span(start + at, length - at)
        if index < first + span:
            return at, first, previous
        first += span
        previous = at
        at += 2 if start[at] & 0xC0 == 0x40 else 1
    from broker.values.hyperloglog import Corrupted
    raise Corrupted


def _expand(value):
    cdef Py_ssize_t length = 0
    cdef Pointer start = _pointer(value, &length)
    cdef Py_ssize_t at = HEADER, covered = 0, span
    cdef bytes registers = PyBytes_FromStringAndSize(NULL, REGISTERS)
    cdef Buffer out = <Buffer>PyBytes_AS_STRING(registers)
    cdef unsigned char op
    while at < length:
        op = start[at]
        span = _span(start + at, length - at)
        if covered + span > REGISTERS:
            break
        memset(out + covered, ((op >> 2) & 0x1F) + 1 if op & 0x80 else 0, span)
        covered += span
        at += 2 if op & 0xC0 == 0x40 else 1
    if at < length or covered != REGISTERS:
        from broker.values.hyperloglog import Corrupted
        raise Corrupted
    return registers


def unpack(packed not None):
    cdef Pointer at = _sized(packed, PACKED_SIZE)
    cdef bytes registers = PyBytes_FromStringAndSize(NULL, REGISTERS)
    cdef Buffer out = <Buffer>PyBytes_AS_STRING(registers)
    cdef Py_ssize_t i
    cdef unsigned int four
    for i in range(REGISTERS // 4):
        four = at[0] | (<unsigned int>at[1] << 8) | (<unsigned int>at[2] << 16)
        out[0] = four & 0x3F
        out[1] = (four >> 6) & 0x3F
        out[2] = (four >> 12) & 0x3F
        out[3] = four >> 18
        at += 3
        out += 4
    return registers


def pack(registers not None):
    cdef Pointer at = _sized(registers, REGISTERS)
    cdef bytes packed = PyBytes_FromStringAndSize(NULL, PACKED_SIZE)
    cdef Buffer out = <Buffer>PyBytes_AS_STRING(packed)
    cdef Py_ssize_t i
    for i in range(REGISTERS // 4):
        out[0] = <unsigned char>(at[0] | at[1] << 6)
        out[1] = <unsigned char>(at[1] >> 2 | at[2] << 4)
        out[2] = <unsigned char>(at[2] >> 4 | at[3] << 2)
        at += 4
        out += 3
    return packed


def larger(registers not None, others not None):
    cdef Pointer a = _sized(registers, REGISTERS)
    cdef Pointer b = _sized(others, REGISTERS)
    cdef bytes result = PyBytes_FromStringAndSize(NULL, REGISTERS)
    cdef Buffer out = <Buffer>PyBytes_AS_STRING(result)
    cdef Py_ssize_t i
    for i in range(REGISTERS):
        out[i] = a[i] if a[i] > b[i] else b[i]
    return result


def histogram(registers not None):
    cdef Pointer at = _sized(registers, REGISTERS)
    cdef int counts[VALUES]
    cdef Py_ssize_t i
    memset(counts, 0, sizeof(counts))
    for i in range(REGISTERS):
        counts[at[i] & (VALUES - 1)] += 1
    return [counts[i] for i in range(VALUES)]
