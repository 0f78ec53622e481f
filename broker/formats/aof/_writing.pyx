# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled twin of `unit_run` in writing.py: it measures first and then writes once.

A command of three arguments takes 0.05 us instead of 0.3.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from protocol.digits cimport bulk_size, digits_of, put_bulk, put_header

cdef const char* MULTI = b"*1\r\n$5\r\nMULTI\r\n"
cdef const char* EXEC = b"*1\r\n$4\r\nEXEC\r\n"

cdef enum:
    MULTI_SIZE = 15
    EXEC_SIZE = 14
    ELSEWHERE = -1


cdef Py_ssize_t unit_size(list unit, object database) except -2:
    """The bytes that a unit takes; ELSEWHERE if it is left to the general case.

    It has a command for another database, or an argument that is a bytearray, which may change its size.
    """
    cdef Py_ssize_t total = 0
    cdef tuple effect
    cdef list command
    for effect in unit:
        if effect[0] != database:
            return ELSEWHERE
        command = effect[1]
        total += digits_of(len(command)) + 3
        for word in command:
            if type(word) is not bytes:
                return ELSEWHERE
            total += bulk_size(PyBytes_GET_SIZE(word))
    return total + MULTI_SIZE + EXEC_SIZE if len(unit) > 1 else total


def unit_run(list units, Py_ssize_t start, database):
    """See the reference."""
    cdef Py_ssize_t end = start, total = 0, size, index, count = len(units)
    cdef list unit, command
    cdef tuple effect
    cdef bytes out
    cdef char* p
    while end < count:
        size = unit_size(units[end], database)
        if size == ELSEWHERE:
            break
        total += size
        end += 1
    out = PyBytes_FromStringAndSize(NULL, total)
    p = PyBytes_AS_STRING(out)
    for index in range(start, end):
        unit = units[index]
        if len(unit) > 1:
            memcpy(p, MULTI, MULTI_SIZE)
            p += MULTI_SIZE
        for effect in unit:
            command = effect[1]
            p = put_header(p, c"*", len(command))
            for word in command:
                p = put_bulk(p, PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word))
        if len(unit) > 1:
            memcpy(p, EXEC, EXEC_SIZE)
            p += EXEC_SIZE
    return out, end
