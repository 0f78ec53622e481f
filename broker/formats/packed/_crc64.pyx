# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled twin of crc64.py."""

from libc.stdint cimport uint8_t, uint64_t

cdef uint64_t _TABLES[8][256]


cdef void _fill():
    cdef uint64_t crc
    cdef int byte, bit, table
    for byte in range(256):
        crc = byte
        for bit in range(8):
            crc = (crc >> 1) ^ (<uint64_t>0x95AC9329AC4BC9B5 if crc & 1 else 0)
        _TABLES[0][byte] = crc
    for table in range(1, 8):
        for byte in range(256):
            crc = _TABLES[table - 1][byte]
            _TABLES[table][byte] = _TABLES[0][crc & 0xFF] ^ (crc >> 8)


_fill()


def crc64(data, uint64_t crc=0):
    """Returns the checksum of `data`; `crc` is that of the preceding data."""
    cdef const uint8_t[::1] view = data
    cdef const uint8_t* at
    cdef Py_ssize_t left = view.shape[0]
    if not left:
        return crc
    at = &view[0]
    with nogil:
        while left >= 8:
            crc ^= (
                <uint64_t>at[0] | <uint64_t>at[1] << 8 | <uint64_t>at[2] << 16 | <uint64_t>at[3] << 24
                | <uint64_t>at[4] << 32 | <uint64_t>at[5] << 40 | <uint64_t>at[6] << 48 | <uint64_t>at[7] << 56
            )
            crc = (
                _TABLES[7][crc & 0xFF] ^ _TABLES[6][crc >> 8 & 0xFF] ^ _TABLES[5][crc >> 16 & 0xFF]
                ^ _TABLES[4][crc >> 24 & 0xFF] ^ _TABLES[3][crc >> 32 & 0xFF] ^ _TABLES[2][crc >> 40 & 0xFF]
                ^ _TABLES[1][crc >> 48 & 0xFF] ^ _TABLES[0][crc >> 56]
            )
            at += 8
            left -= 8
        while left:
            crc = _TABLES[0][(crc ^ at[0]) & 0xFF] ^ (crc >> 8)
            at += 1
            left -= 1
    return crc
