# cython: language_level=3
"""stream_entry.encode_entry compiled: the same answers (see there for what it promises and why)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from broker.values.listpack_size import element_size

cdef enum:
    MAX_SMALL_INTEGER_TEXT = 18
    MAX_INTEGER_TEXT = 20
    SHORT_TEXT = 64


cdef Py_ssize_t _element_size(field) except -1:
    """listpack_size.element_size, here but for what is rare."""
    cdef const unsigned char *text = <const unsigned char *>PyBytes_AS_STRING(field)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(field)
    cdef Py_ssize_t i
    cdef long long number = 0
    if n == 0 or n >= SHORT_TEXT:
        return element_size(field)
    # No integer's text is longer than 20 bytes or begins with a letter.
    if n > MAX_INTEGER_TEXT or text[0] > 57:
        return n + 2
    if n > MAX_SMALL_INTEGER_TEXT or text[0] == 45 or (text[0] == 48 and n > 1):
        return element_size(field)
    for i in range(n):
        if not 48 <= text[i] <= 57:
            return n + 2
        number = number * 10 + (text[i] - 48)
    if number <= 127:
        return 2
    if number <= 4095:
        return 3
    if number <= 32767:
        return 4
    if number <= 8388607:
        return 5
    return 6 if number <= 2147483647 else 10


cdef inline Py_ssize_t _length(unsigned long long number) noexcept:
    """How many digits a number has."""
    cdef Py_ssize_t n = 1
    while number >= 10:
        number //= 10
        n += 1
    return n


cdef inline char *_write(char *at, unsigned long long number) noexcept:
    """Write a number; where it ends."""
    cdef Py_ssize_t n = _length(number)
    cdef char *end = at + n
    cdef char *digit = end
    while digit > at:
        digit -= 1
        digit[0] = <char>(48 + number % 10)
        number //= 10
    return end


cdef inline char *_header(char *at, char kind, unsigned long long number) noexcept:
    """Write a RESP header; where it ends."""
    at[0] = kind
    at = _write(at + 1, number)
    at[0] = 13
    at[1] = 10
    return at + 2


def encode_entry(unsigned long long ms, unsigned long long seq, list fields not None):
    cdef Py_ssize_t count = len(fields)
    cdef Py_ssize_t raw = 0
    cdef Py_ssize_t values = 0
    cdef Py_ssize_t id_length = _length(ms) + 1 + _length(seq)
    cdef Py_ssize_t id_total = 1 + _length(id_length) + 2 + id_length + 2
    cdef Py_ssize_t total = 4 + id_total + 1 + _length(count) + 2
    cdef Py_ssize_t i, n
    for i in range(count):
        field = fields[i]
        if not PyBytes_CheckExact(field):
            raise TypeError("names and values are bytes")
        n = PyBytes_GET_SIZE(field)
        raw += n
        total += 1 + _length(n) + 2 + n + 2
        if i & 1:
            values += _element_size(field)
    entry = PyBytes_FromStringAndSize(NULL, total)
    cdef char *at = PyBytes_AS_STRING(entry)
    memcpy(at, b"*2\r\n", 4)
    cdef char *id_begin = at + 4
    at = _header(id_begin, 36, id_length)
    at = _write(at, ms)
    at[0] = 45
    at = _write(at + 1, seq)
    at[0] = 13
    at[1] = 10
    at = _header(at + 2, 42, count)
    for i in range(count):
        field = fields[i]
        n = PyBytes_GET_SIZE(field)
        at = _header(at, 36, n)
        memcpy(at, PyBytes_AS_STRING(field), n)
        at += n
        at[0] = 13
        at[1] = 10
        at += 2
    return PyBytes_FromStringAndSize(id_begin, id_total), entry, raw, values
