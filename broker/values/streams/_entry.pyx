# cython: language_level=3
"""Compiled twin of entry.encode_entry, with the same results; see there for what it promises and why."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from protocol.digits cimport digits_of, put_header, put_number
from broker.values.listpack_size import element_size

cdef enum:
    MAX_SMALL_INTEGER_TEXT = 18
    MAX_INTEGER_TEXT = 20
    SHORT_TEXT = 64


cdef Py_ssize_t _element_size(field) except -1:
    """Does the same as listpack_size.element_size, which it calls in rare cases."""
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


def encode_entry(unsigned long long ms, unsigned long long seq, list fields not None):
    cdef Py_ssize_t count = len(fields)
    cdef Py_ssize_t raw = 0
    cdef Py_ssize_t values = 0
    cdef Py_ssize_t id_length = digits_of(ms) + 1 + digits_of(seq)
    cdef Py_ssize_t id_total = 1 + digits_of(id_length) + 2 + id_length + 2
    cdef Py_ssize_t total = 4 + id_total + 1 + digits_of(count) + 2
    cdef Py_ssize_t i, n
    for i in range(count):
        field = fields[i]
        if not PyBytes_CheckExact(field):
            raise TypeError("names and values are bytes")
        n = PyBytes_GET_SIZE(field)
        raw += n
        total += 1 + digits_of(n) + 2 + n + 2
        if i & 1:
            values += _element_size(field)
    entry = PyBytes_FromStringAndSize(NULL, total)
    cdef char *at = PyBytes_AS_STRING(entry)
    memcpy(at, b"*2\r\n", 4)
    cdef char *id_begin = at + 4
    at = put_header(id_begin, 36, id_length)
    at = put_number(at, ms)
    at[0] = 45
    at = put_number(at + 1, seq)
    at[0] = 13
    at[1] = 10
    at = put_header(at + 2, 42, count)
    for i in range(count):
        field = fields[i]
        n = PyBytes_GET_SIZE(field)
        at = put_header(at, 36, n)
        memcpy(at, PyBytes_AS_STRING(field), n)
        at += n
        at[0] = 13
        at[1] = 10
        at += 2
    return PyBytes_FromStringAndSize(id_begin, id_total), entry, raw, values
