# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of lzf.py."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from broker.formats.packed.lzf import MAX_INPUT, MAX_RATIO, WORTH_IT, BadCompression

cdef enum:
    MAX_DISTANCE = 8192
    MAX_LENGTH = 264
    MAX_LITERALS = 32
    HASH_BITS = 13
    MIN_HASH_BITS = 8

cdef Py_ssize_t _MAX_RATIO = MAX_RATIO
cdef Py_ssize_t _MAX_INPUT = MAX_INPUT
cdef Py_ssize_t _WORTH_IT = WORTH_IT


def decompress(bytes data not None, size):
    """Decompresses `data` to `size` bytes. Raises BadCompression."""
    if size < 0 or size > len(data) * _MAX_RATIO:
        raise BadCompression
    cdef Py_ssize_t wanted = size
    cdef bytes result = PyBytes_FromStringAndSize(NULL, wanted)
    if not _decompress(<const uint8_t*>PyBytes_AS_STRING(data), len(data), <uint8_t*>PyBytes_AS_STRING(result), wanted):
        raise BadCompression
    return result


cdef bint _decompress(const uint8_t* data, Py_ssize_t end, uint8_t* out, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0, written = 0, length, distance, i
    cdef uint8_t control
    while at < end:
        control = data[at]
        at += 1
        if control < MAX_LITERALS:
            length = control + 1
            if at + length > end or written + length > size:
                return False
            memcpy(out + written, data + at, length)
            at += length
            written += length
            continue
        length = (control >> 5) + 2
        if length == 9:
            if at >= end:
                return False
            length += data[at]
            at += 1
        if at >= end:
            return False
        distance = ((control & 31) << 8 | data[at]) + 1
        at += 1
        if distance > written or written + length > size:
            return False
        if distance >= length:
            memcpy(out + written, out + written - distance, length)
        else:
            for i in range(length):
                out[written + i] = out[written + i - distance]
        written += length
    return written == size


def compress(bytes data not None):
    """Returns `data` compressed, None if that saves no more than WORTH_IT bytes."""
    cdef Py_ssize_t end = len(data)
    if end <= _WORTH_IT or end > _MAX_INPUT:
        return None
    cdef Py_ssize_t limit = end - _WORTH_IT - 1
    cdef bytes buffer = PyBytes_FromStringAndSize(NULL, limit)
    cdef Py_ssize_t written = _compress(
        <const uint8_t*>PyBytes_AS_STRING(data), end, <uint8_t*>PyBytes_AS_STRING(buffer), limit
    )
    return None if written < 0 else buffer[:written]


cdef Py_ssize_t _compress(const uint8_t* data, Py_ssize_t end, uint8_t* out, Py_ssize_t limit) noexcept nogil:
    """Returns the number of bytes written, -1 if they would exceed `limit`."""
    cdef uint32_t places[1 << HASH_BITS]
    cdef Py_ssize_t at = 0, pending = 0, written = 0, place, longest, length, distance
    cdef uint32_t slot
    cdef int bits = MIN_HASH_BITS
    while bits < HASH_BITS and end >> (bits - 1):
        bits += 1
    memset(places, 0, sizeof(uint32_t) << bits)
    while at < end - 2:
        slot = (<uint32_t>data[at] << 16 | <uint32_t>data[at + 1] << 8 | data[at + 2]) * <uint32_t>2654435761
        slot >>= 32 - bits
        place = <Py_ssize_t>places[slot] - 1
        places[slot] = <uint32_t>(at + 1)
        if (
            place < 0 or at - place > MAX_DISTANCE
            or data[place] != data[at] or data[place + 1] != data[at + 1] or data[place + 2] != data[at + 2]
        ):
            at += 1
            continue
        longest = end - at
        if longest > MAX_LENGTH:
            longest = MAX_LENGTH
        length = 3
        while length < longest and data[place + length] == data[at + length]:
            length += 1
        written = _literals(out, written, limit, data, pending, at)
        if written < 0 or written + 2 + (length >= 9) > limit:
            return -1
        distance = at - place - 1
        if length < 9:
            out[written] = <uint8_t>((length - 2) << 5 | distance >> 8)
            written += 1
        else:
            out[written] = <uint8_t>(7 << 5 | distance >> 8)
            out[written + 1] = <uint8_t>(length - 9)
            written += 2
        out[written] = <uint8_t>(distance & 0xFF)
        written += 1
        at += length
        pending = at
    return _literals(out, written, limit, data, pending, end)


cdef Py_ssize_t _literals(
    uint8_t* out, Py_ssize_t written, Py_ssize_t limit, const uint8_t* data, Py_ssize_t start, Py_ssize_t end
) noexcept nogil:
    cdef Py_ssize_t run
    while start < end:
        run = end - start
        if run > MAX_LITERALS:
            run = MAX_LITERALS
        if written + run + 1 > limit:
            return -1
        out[written] = <uint8_t>(run - 1)
        memcpy(out + written + 1, data + start, run)
        written += run + 1
        start += run
    return written
