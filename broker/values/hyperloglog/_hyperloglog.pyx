# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled twin of functions in sketch.py and registers.py, with the same results; see there for what they promise."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memmove, memset

cdef enum:
    HEADER = 16
    ENCODING = 4
    DENSE = 0
    SPARSE = 1
    SPARSE_VALUE_MAX = 32
    JOIN_OPCODES = 5
    REGISTERS = 16384
    PACKED_SIZE = 12288
    DENSE_SIZE = HEADER + PACKED_SIZE
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
    """Reads up to eight bytes in little endian."""
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


cdef inline Py_ssize_t _span(Pointer at, Py_ssize_t left) noexcept:
    """Returns how many registers an opcode covers; a missing second byte counts as zero."""
    cdef unsigned char op = at[0]
    if op & 0x80:
        return (op & 3) + 1
    if op & 0x40:
        return ((<Py_ssize_t>(op & 0x3F) << 8) | (at[1] if left > 1 else 0)) + 1
    return op + 1


cdef bint _is_hyperloglog(Pointer start, Py_ssize_t length) noexcept:
    if length < HEADER or memcmp(start, b"HYLL", 4):
        return False
    return start[ENCODING] == SPARSE or (start[ENCODING] == DENSE and length == DENSE_SIZE)


def is_hyperloglog(value):
    cdef Py_ssize_t length = 0
    cdef Pointer start = _pointer(value, &length)
    return _is_hyperloglog(start, length)


def add(bytearray value not None, bytes element not None, Py_ssize_t limit):
    cdef Buffer start = <Buffer>PyByteArray_AS_STRING(value)
    cdef uint64_t hashed, rest
    cdef int index, least = 1
    if not _is_hyperloglog(start, PyByteArray_GET_SIZE(value)):
        raise ValueError("not a HyperLogLog")
    hashed = _murmur_hash(<Pointer>PyBytes_AS_STRING(element), PyBytes_GET_SIZE(element))
    index = <int>(hashed & (REGISTERS - 1))
    rest = (hashed >> INDEX_BITS) | (<uint64_t>1 << HASH_BITS)
    while not rest & 1:
        rest >>= 1
        least += 1
    if start[ENCODING] == DENSE:
        return _set_dense(start + HEADER, index, least)
    if least <= SPARSE_VALUE_MAX:
        return _set_sparse(value, index, least, limit)
    return _set_made_dense(value, index, least)


cdef bint _set_dense(Buffer packed, int index, int least) noexcept:
    """Raises a register to `least`; returns whether it was lower."""
    cdef Buffer at = packed + (6 * index >> 3)
    cdef int shift = 6 * index & 7
    # The last register ends with the last byte: only a register that crosses a byte boundary has a second byte.
    cdef unsigned int pair = at[0] | (<unsigned int>at[1] << 8 if shift > 2 else 0)
    if <int>(pair >> shift & 0x3F) >= least:
        return False
    pair = (pair & ~(<unsigned int>0x3F << shift)) | (<unsigned int>least << shift)
    at[0] = pair & 0xFF
    if shift > 2:
        at[1] = <unsigned char>(pair >> 8)
    return True


cdef bint _set_made_dense(bytearray value, int index, int least) except -1:
    """Does the same for a sparse value that must become dense, which happens once in its life."""
    from broker.values.hyperloglog.sketch import make_dense
    make_dense(value)
    return _set_dense(<Buffer>PyByteArray_AS_STRING(value) + HEADER, index, least)


cdef Buffer _zeros(Buffer out, Py_ssize_t count) noexcept:
    """Writes the opcode for a run of zeros; returns its end."""
    if count > 64:
        out[0] = <unsigned char>(0x40 | (count - 1) >> 8)
        out[1] = (count - 1) & 0xFF
        return out + 2
    if count:
        out[0] = <unsigned char>(count - 1)
        return out + 1
    return out


cdef Buffer _values(Buffer out, int register, Py_ssize_t count) noexcept:
    """Writes the opcode for up to four registers of this value; returns its end."""
    if count:
        out[0] = <unsigned char>(0x80 | (register - 1) << 2 | (count - 1))
        return out + 1
    return out


cdef bint _set_sparse(bytearray value, int index, int least, Py_ssize_t limit) except -1:
    """Raises a register to `least`, at most 32; returns whether it was lower."""
    cdef Buffer start = <Buffer>PyByteArray_AS_STRING(value)
    cdef Py_ssize_t length = PyByteArray_GET_SIZE(value)
    cdef Py_ssize_t at = HEADER, first = 0, previous = HEADER, span = 0, size, growth, after
    cdef unsigned char run[5]
    cdef Buffer end
    cdef int old
    while at < length:
        span = _span(start + at, length - at)
        if index < first + span:
            break
        first += span
        previous = at
        at += 2 if start[at] & 0xC0 == 0x40 else 1
    else:
        from broker.values.hyperloglog.sketch import Corrupted
        raise Corrupted
    old = ((start[at] >> 2) & 0x1F) + 1 if start[at] & 0x80 else 0
    if old >= least:
        return False
    size = 2 if start[at] & 0xC0 == 0x40 else 1
    after = first + span - 1 - index
    if old:
        end = _values(_values(_values(run, old, index - first), least, 1), old, after)
    else:
        end = _zeros(_values(_zeros(run, index - first), least, 1), after)
    growth = (end - <Buffer>run) - size
    if growth > 0 and length + growth > limit:
        return _set_made_dense(value, index, least)
    if at + size > length:
        # The second byte of a long run is missing, so the last byte of its replacement is not written either.
        end -= 1
        size -= 1
    _replace(value, at, size, run, end - <Buffer>run)
    _join_values(value, previous)
    return True


cdef int _replace(bytearray value, Py_ssize_t at, Py_ssize_t size, Pointer run, Py_ssize_t run_size) except -1:
    """Does `value[at : at + size] = run`."""
    cdef Py_ssize_t length = PyByteArray_GET_SIZE(value)
    cdef Py_ssize_t growth = run_size - size, left = length - at - size
    if growth > 0:
        PyByteArray_Resize(value, length + growth)
    cdef Buffer place = <Buffer>PyByteArray_AS_STRING(value) + at
    if growth:
        memmove(place + run_size, place + size, left)
    memmove(place, run, run_size)
    if growth < 0:
        PyByteArray_Resize(value, length + growth)
    return 0


cdef int _join_values(bytearray value, Py_ssize_t at) except -1:
    """Joins equal values, from the opcode at `at` on."""
    cdef Buffer start = <Buffer>PyByteArray_AS_STRING(value)
    cdef Py_ssize_t length = PyByteArray_GET_SIZE(value), end = length
    cdef int count
    for _ in range(JOIN_OPCODES):
        if at >= end:
            break
        if not start[at] & 0x80:
            at += 2 if start[at] & 0x40 else 1
            continue
        if at + 1 < end and start[at] >> 2 == start[at + 1] >> 2:
            count = (start[at] & 3) + (start[at + 1] & 3) + 2
            if count <= 4:
                start[at] = <unsigned char>((start[at] & 0xFC) | (count - 1))
                memmove(start + at + 1, start + at + 2, end - at - 2)
                end -= 1
                continue
        at += 1
    if end < length:
        PyByteArray_Resize(value, end)
    return 0


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
        from broker.values.hyperloglog.sketch import Corrupted
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
