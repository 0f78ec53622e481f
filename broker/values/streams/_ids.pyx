# cython: language_level=3
"""Compiled twins of ids.format_ids and parse_id, with the same results; see there for what they promise and why."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsUnsignedLongLongMask

from protocol.digits cimport digits_of, put_number

from broker.values.streams.ids import parse_unusual_id


cdef Py_ssize_t _digits(const unsigned char *text, Py_ssize_t length, unsigned long long *value) noexcept:
    """Reads a number at the start of the text; returns its number of digits, 0 if it is not of the usual form."""
    cdef Py_ssize_t i = 0
    cdef unsigned long long number = 0
    while i < length and 48 <= text[i] <= 57:
        if i == 18:
            return 0
        number = number * 10 + (text[i] - 48)
        i += 1
    if i > 1 and text[0] == 48:
        return 0
    value[0] = number
    return i


def parse_id(bytes text not None, missing_seq=0):
    cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(text)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    cdef unsigned long long ms = 0
    cdef unsigned long long seq = 0
    cdef Py_ssize_t first = _digits(data, length, &ms)
    if first == 0 or first == length or data[first] != 45:
        return parse_unusual_id(text, missing_seq)
    cdef Py_ssize_t second = _digits(data + first + 1, length - first - 1, &seq)
    if second == 0 or first + 1 + second != length:
        return parse_unusual_id(text, missing_seq)
    return (<object>ms << 64) | <object>seq


def format_ids(first, Py_ssize_t count):
    cdef unsigned long long ms = first >> 64
    cdef unsigned long long seq = PyLong_AsUnsignedLongLongMask(first)
    cdef list texts = []
    cdef bytes text
    cdef char *at
    for _ in range(count):
        text = PyBytes_FromStringAndSize(NULL, digits_of(ms) + 1 + digits_of(seq))
        at = put_number(PyBytes_AS_STRING(text), ms)
        at[0] = 45
        put_number(at + 1, seq)
        texts.append(text)
        seq += 1
        if not seq:
            ms += 1
    return texts
