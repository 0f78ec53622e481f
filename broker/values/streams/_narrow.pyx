# cython: language_level=3
"""Compiled twin of narrow.py, with the same results; see there for what they promise."""

from cpython cimport array
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF

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
