# cython: language_level=3
"""Compiled twin of narrow.py, with the same results; see there for what they promise."""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.string cimport memcpy

from protocol.digits cimport digits_of, put_digits

cdef enum:
    PART_BITS = 64

cdef unsigned long long LOW = 0xFFFFFFFFULL
_MAX_PART = (1 << 64) - 1


def narrow_upper(array.array keys not None, Py_ssize_t lo, unsigned long long ms, id):
    cdef unsigned long long *key = keys.data.as_ulonglongs
    cdef Py_ssize_t high = len(keys)
    cdef Py_ssize_t middle
    if id < 0:
        return lo
    cdef unsigned long long id_ms = id >> PART_BITS
    cdef unsigned long long seq = id & _MAX_PART
    if id_ms < ms:
        return lo
    if id_ms - ms > LOW:
        return high
    cdef unsigned long long wanted = (id_ms - ms) << 32 | (seq if seq < LOW else LOW)
    while lo < high:
        middle = (lo + high) // 2
        if wanted < key[middle]:
            high = middle
        else:
            lo = middle + 1
    return lo


def narrow_ids(array.array keys not None, Py_ssize_t start, Py_ssize_t end, unsigned long long ms):
    cdef unsigned long long *key = keys.data.as_ulonglongs
    cdef Py_ssize_t i
    if end > len(keys):
        end = len(keys)
    if start < 0 or start >= end:
        return []
    ids = PyList_New(end - start)
    for i in range(start, end):
        id = (<object>(ms + (key[i] >> 32)) << PART_BITS) | <object>(key[i] & LOW)
        Py_INCREF(id)
        PyList_SET_ITEM(ids, i - start, id)
    return ids


cdef inline Py_ssize_t _end(array.array ends, Py_ssize_t i) noexcept:
    """Returns one element of an array of any width."""
    if ends.ob_descr.itemsize == 2:
        return ends.data.as_ushorts[i]
    if ends.ob_descr.itemsize == 4:
        return ends.data.as_uints[i]
    return <Py_ssize_t>ends.data.as_ulonglongs[i]


def narrow_text(
    bytes blob not None, array.array ends not None, array.array keys not None, Py_ssize_t start, Py_ssize_t end,
    unsigned long long ms,
):
    cdef unsigned long long *key = keys.data.as_ulonglongs
    cdef Py_ssize_t i, id_length, ms_digits, seq_digits
    cdef Py_ssize_t stop
    if not 0 <= start < end <= len(keys) or end > len(ends):
        raise IndexError("no such entries")
    cdef Py_ssize_t first = _end(ends, start - 1) if start else 0
    cdef Py_ssize_t begin = first
    # The ID's header is `$n` or `$nn`, since the longest narrow ID has 20 + 1 + 10 digits.
    cdef Py_ssize_t total = _end(ends, end - 1) - first
    for i in range(start, end):
        id_length = digits_of(ms + (key[i] >> 32)) + 1 + digits_of(key[i] & LOW)
        total += 4 + (5 if id_length > 9 else 4) + id_length + 2
    text = PyBytes_FromStringAndSize(NULL, total)
    cdef char *at = PyBytes_AS_STRING(text)
    cdef const char *source = PyBytes_AS_STRING(blob)
    for i in range(start, end):
        ms_digits = digits_of(ms + (key[i] >> 32))
        seq_digits = digits_of(key[i] & LOW)
        id_length = ms_digits + 1 + seq_digits
        memcpy(at, b"*2\r\n$", 5)
        at = put_digits(at + 5, id_length, 2 if id_length > 9 else 1)
        at[0] = 13
        at[1] = 10
        at = put_digits(at + 2, ms + (key[i] >> 32), ms_digits)
        at[0] = 45
        at = put_digits(at + 1, key[i] & LOW, seq_digits)
        at[0] = 13
        at[1] = 10
        at += 2
        stop = _end(ends, i)
        memcpy(at, source + begin, stop - begin)
        at += stop - begin
        begin = stop
    return text


def pack(list texts not None):
    cdef Py_ssize_t total = 0
    cdef Py_ssize_t n
    cdef const char *source
    for text in texts:
        if not PyBytes_CheckExact(text):
            raise TypeError("entries are bytes")
        total += PyBytes_GET_SIZE(text) - _prefix(PyBytes_AS_STRING(text))
    blob = PyBytes_FromStringAndSize(NULL, total)
    cdef char *begin = PyBytes_AS_STRING(blob)
    cdef char *at = begin
    ends = []
    for text in texts:
        source = PyBytes_AS_STRING(text)
        n = _prefix(source)
        memcpy(at, source + n, PyBytes_GET_SIZE(text) - n)
        at += PyBytes_GET_SIZE(text) - n
        ends.append(at - begin)
    return blob, ends


cdef inline Py_ssize_t _prefix(const char *entry) noexcept:
    """Returns how many bytes precede the fields of an encoded entry: three lines."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t lines = 0
    while lines < 3:
        # Every encoded entry has these lines; for anything else the bytes object's final zero ends the loop.
        if entry[i] == 10:
            lines += 1
        elif entry[i] == 0:
            break
        i += 1
    return i
