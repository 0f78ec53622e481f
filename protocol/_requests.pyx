# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of protocol/requests.py, which explains what it does and why; it adds no behaviour.

A SET in a pipeline of 16 takes about 0.1 us instead of the pure parser's 1.3 us.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

from protocol.inline import split_line
from protocol.limits import MAX_ARGS, MAX_BULK, MAX_INLINE
from protocol.numbers import parse_integer
from protocol.requests import (
    BIG_BULK_LINE,
    BIG_INLINE,
    BIG_MULTIBULK_LINE,
    EXPECTED_CRLF,
    EXPECTED_DOLLAR,
    INVALID_BULK,
    INVALID_MULTIBULK,
    UNAUTHENTICATED_BULK,
    UNAUTHENTICATED_MULTIBULK,
    UNBALANCED_QUOTES,
    ProtocolError,
)
from protocol.limits import MAX_ARGS_UNAUTHENTICATED as _args_unauthenticated
from protocol.limits import MAX_BULK_UNAUTHENTICATED as _bulk_unauthenticated

cdef Py_ssize_t MAX_ARGS_UNAUTHENTICATED = _args_unauthenticated
cdef Py_ssize_t MAX_BULK_UNAUTHENTICATED = _bulk_unauthenticated
cdef Py_ssize_t NOT_A_NUMBER = -2  # lengths below zero all mean the same: an empty request or a bad bulk


cdef Py_ssize_t length_of(const char* p, Py_ssize_t size, Py_ssize_t limit):
    """A length by the rules of parse_integer: -1 if negative, NOT_A_NUMBER if malformed or above the limit."""
    cdef Py_ssize_t i, value
    if 0 < size <= 9 and (p[0] != c'0' or size == 1):
        value = 0
        for i in range(size):
            if p[i] < c'0' or p[i] > c'9':
                break
            value = value * 10 + (p[i] - c'0')
        else:
            return value if value <= limit else NOT_A_NUMBER
    number = parse_integer(PyBytes_FromStringAndSize(p, size))
    if number is None or number > limit:
        return NOT_A_NUMBER
    return -1 if number < 0 else number


# Short arguments recur: names of commands and fields, options, flags. The most recent ones are kept in a table by
# hash, so that equal ones are mostly one object. This saves 240 bytes per hash key of five fields. Finding one takes
# less time than creating one, and dicts already know its hash; a miss costs 20 ns.
cdef enum:
    SHORTEST = 2  # CPython already shares the empty and the one-byte objects
    LONGEST = 15  # within 48 bytes of memory
    PLACE_BITS = 11

cdef PyObject *recent[1 << PLACE_BITS]


cdef bytes recent_or_new(const char* p, Py_ssize_t size):
    """These bytes, as an existing object if the table has one."""
    cdef uint64_t head = 0, tail = 0
    cdef PyObject *there
    cdef PyObject **place
    cdef bytes made
    if size < SHORTEST or size > LONGEST:
        return PyBytes_FromStringAndSize(p, size)
    if size >= 8:
        memcpy(&head, p, 8)
        memcpy(&tail, p + size - 8, 8)
    else:
        memcpy(&head, p, size)
    head = (head ^ (tail * <uint64_t>0x9E3779B97F4A7C15) ^ <uint64_t>size) * <uint64_t>0xD6E8FEB86659FD93
    place = &recent[head >> (64 - PLACE_BITS)]
    there = place[0]
    if there != NULL and PyBytes_GET_SIZE(<bytes>there) == size:
        if not memcmp(PyBytes_AS_STRING(<bytes>there), p, size):
            return <bytes>there
    made = PyBytes_FromStringAndSize(p, size)
    Py_INCREF(made)
    place[0] = <PyObject *>made
    Py_XDECREF(there)
    return made


cdef class RequestParser:
    """One client's parser: see protocol.requests.RequestParser."""

    cdef public Py_ssize_t max_args
    cdef public Py_ssize_t max_bulk
    cdef public Py_ssize_t max_inline
    cdef public bint authenticated
    cdef bytearray _tail        # received, not consumed
    cdef list _args             # the complete arguments of the incomplete request
    cdef Py_ssize_t _wanted     # arguments it still lacks, 0 between requests
    cdef Py_ssize_t _bulk       # length of the bulk being received, -1 before its header
    cdef Py_ssize_t _taken      # bytes of the incomplete request already consumed

    def __init__(
        self, *, max_args=MAX_ARGS, max_bulk=MAX_BULK, max_inline=MAX_INLINE, authenticated=True
    ):
        self.max_args = max_args
        self.max_bulk = max_bulk
        self.max_inline = max_inline
        self.authenticated = authenticated
        self._tail = bytearray()
        self._args = []
        self._wanted = 0
        self._bulk = -1
        self._taken = 0

    @property
    def buffered(self):
        """Bytes held for the incomplete request, headers included."""
        return self._taken + len(self._tail)

    def feed(self, bytes data not None):
        """Return the requests that `data` completes: see protocol.requests.RequestParser.feed."""
        cdef list requests = []
        cdef Py_ssize_t held = len(self._tail)
        if held:
            data = self._joined(data, held, requests)
        if data is not None:
            self._parse(data, requests)
        return requests

    cdef bytes _joined(self, bytes data, Py_ssize_t held, list requests):
        """The data to parse now, or None while parsing could not make progress."""
        cdef bytearray tail = self._tail
        cdef Py_ssize_t bulk = self._bulk
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef bint waiting
        if bulk >= 0:
            waiting = held + size - 2 < bulk
        else:
            waiting = (
                memchr(PyBytes_AS_STRING(data), c'\n', size) == NULL and held + size <= self.max_inline
            )
        tail += data
        if waiting and size:
            return None
        self._tail = bytearray()
        if not waiting and bulk >= 0 and tail[bulk:bulk + 2] == b"\r\n":
            with memoryview(tail) as view:
                self._args.append(bytes(view[:bulk]))
            self._taken += bulk + 2
            self._bulk_done(requests)
            return bytes(tail[bulk + 2:])
        return bytes(tail)

    cdef _parse(self, bytes data, list requests):
        """Consume `data` part by part, and keep what is incomplete."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t pos = 0, start = 0, end, longest
        cdef const char* found
        cdef bytes error = None
        while pos < size:
            if self._bulk >= 0:
                if size - pos - 2 < self._bulk:
                    break
                end = pos + self._bulk
                if p[end] != c'\r' or p[end + 1] != c'\n':
                    error = EXPECTED_CRLF
                    break
                # The first argument is usually a key, which exists as one object in any case.
                if len(self._args) == 1:
                    self._args.append(PyBytes_FromStringAndSize(p + pos, self._bulk))
                else:
                    self._args.append(recent_or_new(p + pos, self._bulk))
                pos = end + 2
                self._bulk_done(requests)
            else:
                longest = min(size - pos, self.max_inline + 1)
                found = <const char*>memchr(p + pos, c'\n', longest)
                if found == NULL:
                    if size - pos > self.max_inline:
                        error = self._too_big(p[pos])
                    break
                end = found - p
                error = self._line(p + pos, end - pos, requests)
                if error is not None:
                    break
                pos = end + 1
            if not self._wanted:
                self._taken = 0
                start = pos
        self._taken += pos - start
        if pos < size:
            self._tail += data[pos:]
        if error is not None:
            raise ProtocolError(error, requests)

    cdef _bulk_done(self, list requests):
        self._bulk = -1
        self._wanted -= 1
        if not self._wanted:
            requests.append(self._args)
            self._args = []
            self._taken = 0

    cdef bytes _line(self, const char* p, Py_ssize_t size, list requests):
        """Consume a line, given without its LF; return the error's text if it is malformed."""
        cdef Py_ssize_t number
        cdef bint cr = size > 0 and p[size - 1] == c'\r'
        if self._wanted:
            if size == 0 or p[0] != c'$':
                return EXPECTED_DOLLAR % <unsigned char>p[0]
            number = length_of(p + 1, size - 2, self.max_bulk) if cr else NOT_A_NUMBER
            if number < 0:
                return INVALID_BULK
            if number > MAX_BULK_UNAUTHENTICATED and not self.authenticated:
                return UNAUTHENTICATED_BULK
            self._bulk = number
            return None
        if size and p[0] == c'*':
            number = length_of(p + 1, size - 2, self.max_args) if cr else NOT_A_NUMBER
            if number == NOT_A_NUMBER:
                return INVALID_MULTIBULK
            if number > MAX_ARGS_UNAUTHENTICATED and not self.authenticated:
                return UNAUTHENTICATED_MULTIBULK
            self._wanted = max(number, 0)
            return None
        args = split_line(PyBytes_FromStringAndSize(p, size - 1 if cr else size))
        if args is None:
            return UNBALANCED_QUOTES
        if args:
            requests.append(args)
        return None

    cdef bytes _too_big(self, char first):
        if self._wanted:
            return BIG_BULK_LINE
        return BIG_MULTIBULK_LINE if first == c'*' else BIG_INLINE
