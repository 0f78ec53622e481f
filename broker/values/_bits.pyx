# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""bits.count_in_bytes and bits.combine compiled: the same answers (see there for what they promise and why)."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check
from libc.stdint cimport uint64_t
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
    # Words of a block: the accumulators and a block of a source fit the nearest cache.
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
    """The set bits of each four, in four bits."""
    word -= (word >> 1) & 0x5555555555555555ULL
    return (word & 0x3333333333333333ULL) + ((word >> 2) & 0x3333333333333333ULL)


cdef inline uint64_t _word(Pointer at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


def count_in_bytes(value, Py_ssize_t start, Py_ssize_t end):
    cdef Pointer at = _pointer(value)
    cdef Py_ssize_t length = len(value)
    cdef uint64_t total = 0, eights, last
    start = min(max(start, 0), length)
    cdef Py_ssize_t left = max(min(end, length) - start, 0)
    at += start
    while left >= 24:
        # Three words of fours add up to 12 at most, which four bits hold.
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
    """Take a block of a further source into the block of the result."""
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
    """What is left to do once all sources are in `into`; `other` is the first source, or what several have."""
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
    """A block of a source, with zeros behind its end."""
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
    # Where the first source stands apart, the others alone are folded.
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
