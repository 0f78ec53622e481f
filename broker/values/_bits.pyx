# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled twin of functions in bits.py, with the same results; see there for what they promise and why."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    AND = 0
    OR = 1
    XOR = 2
    NOT = 3
    DIFF = 4
    DIFF1 = 5
    ANDOR = 6
    ONE = 7
    # Words per block: the accumulators and a source's block fit the nearest cache.
    WORDS = 512
    BLOCK = 8 * WORDS

cdef dict _OPERATIONS = {
    b"AND": AND, b"OR": OR, b"XOR": XOR, b"NOT": NOT, b"DIFF": DIFF, b"DIFF1": DIFF1, b"ANDOR": ANDOR, b"ONE": ONE,
}

ctypedef const unsigned char *Pointer


cdef Pointer _pointer(value) except NULL:
    if PyBytes_Check(value):
        return <Pointer>PyBytes_AS_STRING(value)
    if PyByteArray_Check(value):
        return <Pointer>PyByteArray_AS_STRING(value)
    raise TypeError("a string is bytes or a bytearray")


cdef inline uint64_t _pairs(uint64_t word) noexcept nogil:
    """Returns the number of set bits in each group of four, as four bits."""
    word -= (word >> 1) & 0x5555555555555555ULL
    return (word & 0x3333333333333333ULL) + ((word >> 2) & 0x3333333333333333ULL)


cdef inline uint64_t _word(Pointer at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


def offset_of(bytes text not None, int unit, int64_t limit):
    cdef Pointer digits = <Pointer>PyBytes_AS_STRING(text)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text), i
    cdef uint64_t number = 0
    # A text with more digits than the largest integer is out of range; 19 digits can't overflow 64 bits.
    if not 1 <= length <= 19 or (digits[0] == b"0" and length > 1):
        return -1
    for i in range(length):
        if not b"0" <= digits[i] <= b"9":
            return -1
        number = number * 10 + (digits[i] - <unsigned char>b"0")
    if number > <uint64_t>(INT64_MAX // unit):
        return -1
    number *= unit
    return number if <int64_t>(number >> 3) < limit else -1


def exchange(value, int64_t offset, bint bit):
    cdef unsigned char *at
    cdef unsigned char mask = 0x80 >> (offset & 7), byte
    if not PyByteArray_Check(value) or offset < 0 or offset >> 3 >= PyByteArray_GET_SIZE(value):
        return -1
    at = <unsigned char *>PyByteArray_AS_STRING(value) + (offset >> 3)
    byte = at[0]
    at[0] = byte | mask if bit else byte & ~mask
    return 1 if byte & mask else 0


def count_in_bytes(value, Py_ssize_t start, Py_ssize_t end):
    cdef Pointer at = _pointer(value)
    cdef Py_ssize_t length = len(value)
    cdef uint64_t total = 0, eights, last
    start = min(max(start, 0), length)
    cdef Py_ssize_t left = max(min(end, length) - start, 0)
    at += start
    while left >= 24:
        # Three words add up to at most 12 per group, which four bits hold.
        eights = _pairs(_word(at)) + _pairs(_word(at + 8)) + _pairs(_word(at + 16))
        eights = (eights & 0x0F0F0F0F0F0F0F0FULL) + ((eights >> 4) & 0x0F0F0F0F0F0F0F0FULL)
        total += (eights * 0x0101010101010101ULL) >> 56
        at += 24
        left -= 24
    while left > 0:
        last = 0
        memcpy(&last, at, min(left, 8))
        eights = _pairs(last)
        eights = (eights & 0x0F0F0F0F0F0F0F0FULL) + ((eights >> 4) & 0x0F0F0F0F0F0F0F0FULL)
        total += (eights * 0x0101010101010101ULL) >> 56
        at += 8
        left -= 8
    return total


cdef void _fold(int operation, uint64_t *into, uint64_t *several, const uint64_t *words) noexcept nogil:
    """Combines a block of another source into the block of the result."""
    cdef Py_ssize_t i
    cdef uint64_t word
    if operation == AND:
        for i in range(WORDS):
            into[i] &= words[i]
    elif operation == XOR:
        for i in range(WORDS):
            into[i] ^= words[i]
    elif operation == ONE:
        for i in range(WORDS):
            several[i] |= into[i] & words[i]
            into[i] |= words[i]
    else:
        for i in range(WORDS):
            into[i] |= words[i]


cdef void _finish(int operation, uint64_t *into, const uint64_t *other) noexcept nogil:
    """Finishes a block once all sources are in `into`; `other` is the first source, or the bits that several have."""
    cdef Py_ssize_t i
    if operation == NOT:
        for i in range(WORDS):
            into[i] = ~into[i]
    elif operation == DIFF:
        for i in range(WORDS):
            into[i] = other[i] & ~into[i]
    elif operation == DIFF1 or operation == ONE:
        for i in range(WORDS):
            into[i] &= ~other[i]
    elif operation == ANDOR:
        for i in range(WORDS):
            into[i] &= other[i]


cdef inline void _load(uint64_t *words, Pointer source, Py_ssize_t length, Py_ssize_t at) noexcept nogil:
    """Loads a block of a source, with zeros after its end."""
    cdef Py_ssize_t size = min(max(length - at, 0), <Py_ssize_t>BLOCK)
    if size:
        memcpy(words, source + at, size)
    if size < BLOCK:
        memset(<char *>words + size, 0, BLOCK - size)


def combine(operation, sources):
    cdef int code = _OPERATIONS[operation]
    cdef Py_ssize_t count = len(sources), length = 0, at, i
    cdef Pointer *pointers = <Pointer *>malloc(count * sizeof(Pointer))
    cdef Py_ssize_t *lengths = <Py_ssize_t *>malloc(count * sizeof(Py_ssize_t))
    cdef uint64_t into[WORDS]
    cdef uint64_t words[WORDS]
    cdef uint64_t other[WORDS]
    # If the first source has a special role, only the others are folded.
    cdef bint apart = code == DIFF or code == DIFF1 or code == ANDOR
    cdef char *out
    try:
        if pointers == NULL or lengths == NULL:
            raise MemoryError
        for i in range(count):
            pointers[i] = _pointer(sources[i])
            lengths[i] = len(sources[i])
            length = max(length, lengths[i])
        result = bytearray(length)
        out = PyByteArray_AS_STRING(result)
        at = 0
        while at < length:
            if apart:
                _load(other, pointers[0], lengths[0], at)
                memset(into, 0, BLOCK)
            else:
                memset(other, 0, BLOCK)
                _load(into, pointers[0], lengths[0], at)
            for i in range(1, count):
                _load(words, pointers[i], lengths[i], at)
                _fold(code, into, other, words)
            _finish(code, into, other)
            memcpy(out + at, into, min(length - at, <Py_ssize_t>BLOCK))
            at += BLOCK
        return result
    finally:
        free(pointers)
        free(lengths)
