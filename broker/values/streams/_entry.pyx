# cython: language_level=3
"""Compiled twins of entry.encode_entry, encode_added, encode_run and field_value, with the same results; see there for what they
promise and why."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsUnsignedLongLongMask
from libc.string cimport memcmp, memcpy

from protocol.digits cimport digits_of, put_header, put_number
from broker.values.listpack_size import element_size, integer_size, wrapped_integer_size

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


ctypedef struct _Sizes:
    Py_ssize_t raw
    Py_ssize_t values
    Py_ssize_t id


cdef bytes _encode(unsigned long long ms, unsigned long long seq, list fields, _Sizes *sizes):
    """Returns the entry."""
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
    sizes.raw = raw
    sizes.values = values
    sizes.id = id_total
    return entry


cdef inline bytes _id_bulk(bytes entry, _Sizes *sizes):
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(entry) + 4, sizes.id)


cdef Py_ssize_t _small_integer_size(Py_ssize_t value) except -1:
    """Does the same as listpack_size.integer_size, which it calls in rare cases."""
    return 2 if 0 <= value <= 127 else integer_size(value)


cdef bint _same_names(list fields, list names) except -1:
    cdef Py_ssize_t count = len(fields), i
    if count != 2 * len(names):
        return False
    for i in range(len(names)):
        # Short names are mostly the same objects.
        if fields[2 * i] is not names[i] and fields[2 * i] != names[i]:
            return False
    return True


cdef Py_ssize_t _stored_size(list fields, list names, _Sizes *sizes) except -1:
    """Returns what a node's listpack stores for these fields, in a node with these names."""
    cdef Py_ssize_t count = len(fields), size = sizes.values, i
    if _same_names(fields, names):
        return size + _small_integer_size(count // 2 + 3) - 2
    for i in range(0, count, 2):
        size += _element_size(fields[i])
    return size + _small_integer_size(count // 2) + _small_integer_size(count + 4) - 2


def encode_entry(unsigned long long ms, unsigned long long seq, list fields not None):
    cdef _Sizes sizes
    cdef bytes entry = _encode(ms, seq, fields, &sizes)
    return _id_bulk(entry, &sizes), entry, sizes.raw, sizes.values


def encode_added(id, list fields not None, list names not None):
    cdef _Sizes sizes
    cdef unsigned long long ms = id >> 64
    cdef unsigned long long seq = PyLong_AsUnsignedLongLongMask(id)
    cdef bytes entry = _encode(ms, seq, fields, &sizes)
    return _id_bulk(entry, &sizes), entry, sizes.raw, _stored_size(fields, names, &sizes), ms, seq


def encode_run(
    id, list entries not None, Py_ssize_t start, list names not None, Py_ssize_t space, Py_ssize_t room, first
):
    cdef _Sizes sizes
    cdef unsigned long long ms = id >> 64
    cdef unsigned long long seq = PyLong_AsUnsignedLongLongMask(id)
    cdef unsigned long long first_seq = PyLong_AsUnsignedLongLongMask(first)
    cdef Py_ssize_t delta = 2 + wrapped_integer_size(ms - (first >> 64))
    cdef Py_ssize_t count = min(len(entries) - start, room), i
    cdef list fields, texts = []
    cdef bytes entry
    for i in range(start, start + count):
        fields = entries[i]
        entry = _encode(ms, seq, fields, &sizes)
        if sizes.raw >= space:
            break
        texts.append(entry)
        space -= _stored_size(fields, names, &sizes) + 2 + delta + _small_integer_size(<Py_ssize_t>(seq - first_seq))
        seq += 1
    return texts, space


cdef const char *_number_at(const char *at, Py_ssize_t *number):
    """Reads the number after the character at `at`; returns where its line ends and the next begins."""
    number[0] = 0
    at += 1
    while at[0] != 13:
        number[0] = number[0] * 10 + (at[0] - 48)
        at += 1
    return at + 2


def field_value(bytes entry not None, bytes name not None):
    # An entry is well-formed: it was encoded by this module or its twin.
    cdef Py_ssize_t count, length, wanted = PyBytes_GET_SIZE(name), i
    cdef const char *at = _number_at(PyBytes_AS_STRING(entry) + 4, &length)
    cdef const char *begin
    cdef bint found
    at = _number_at(at + length + 2, &count)
    for i in range(count // 2):
        begin = _number_at(at, &length)
        found = length == wanted and memcmp(begin, PyBytes_AS_STRING(name), wanted) == 0
        begin = _number_at(begin + length + 2, &length)
        if found:
            return PyBytes_FromStringAndSize(begin, length)
        at = begin + length + 2
    return None
