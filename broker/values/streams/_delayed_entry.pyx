# cython: language_level=3
"""Compiled twin of delayed_entry.py, with the same results; see there for what they promise."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from broker.values.streams.delayed_entry import NotAnEntry

cdef enum:
    NUMBER = 8


cdef inline Py_ssize_t head_size(Py_ssize_t size, Py_ssize_t short, bint has_one) noexcept:
    """Returns the bytes before a string or an array of this size; `has_one`: a size may take one byte."""
    if size < short:
        return 1
    if has_one and size < 256:
        return 2
    return 3 if size < 1 << 16 else 5


cdef inline unsigned char *put_size(unsigned char *at, Py_ssize_t size, int width) noexcept:
    while width:
        width -= 1
        at[0] = <unsigned char>(size >> (8 * width))
        at += 1
    return at


cdef Py_ssize_t packed_size(list texts) except -1:
    cdef Py_ssize_t total = head_size(len(texts), 16, False), size
    cdef bytes text
    for text in texts:
        size = PyBytes_GET_SIZE(text)
        total += head_size(size, 32, True) + size
    return total


cdef unsigned char *put_array(unsigned char *at, list texts) except NULL:
    cdef Py_ssize_t size = len(texts)
    cdef bytes text
    if size < 16:
        at = put_size(at, 0x90 | size, 1)
    elif size < 1 << 16:
        at = put_size(put_size(at, 0xDC, 1), size, 2)
    else:
        at = put_size(put_size(at, 0xDD, 1), size, 4)
    for text in texts:
        size = PyBytes_GET_SIZE(text)
        if size < 32:
            at = put_size(at, 0xA0 | size, 1)
        elif size < 256:
            at = put_size(put_size(at, 0xD9, 1), size, 1)
        elif size < 1 << 16:
            at = put_size(put_size(at, 0xDA, 1), size, 2)
        else:
            at = put_size(put_size(at, 0xDB, 1), size, 4)
        memcpy(at, PyBytes_AS_STRING(text), size)
        at += size
    return at


def pack(unsigned long long number, list fields not None, list options not None):
    cdef Py_ssize_t size = NUMBER + packed_size(fields) + (packed_size(options) if options else 0)
    cdef bytes member = PyBytes_FromStringAndSize(NULL, size)
    cdef unsigned char *at = <unsigned char *>PyBytes_AS_STRING(member)
    at = put_array(put_size(at, number, NUMBER), fields)
    if options:
        put_array(at, options)
    return member


cdef inline Py_ssize_t get_size(const unsigned char *data, Py_ssize_t at, Py_ssize_t end, int width) except -1:
    """Returns the number of `width` bytes at `at`."""
    cdef Py_ssize_t size = 0
    if at + width > end:
        raise NotAnEntry
    while width:
        size = size << 8 | data[at]
        at += 1
        width -= 1
    return size


cdef Py_ssize_t take_array(bytes member, Py_ssize_t at, list texts) except -1:
    cdef const unsigned char *data = <const unsigned char *>PyBytes_AS_STRING(member)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(member), count, size
    cdef int head, width
    if at >= end:
        raise NotAnEntry
    head = data[at]
    at += 1
    if head & 0xF0 == 0x90:
        count = head & 0x0F
    elif head == 0xDC or head == 0xDD:
        width = 2 if head == 0xDC else 4
        count = get_size(data, at, end, width)
        at += width
    else:
        raise NotAnEntry
    while count:
        count -= 1
        if at >= end:
            raise NotAnEntry
        head = data[at]
        at += 1
        if head & 0xE0 == 0xA0:
            size = head & 0x1F
        else:
            if head == 0xD9 or head == 0xC4:
                width = 1
            elif head == 0xDA or head == 0xC5:
                width = 2
            elif head == 0xDB or head == 0xC6:
                width = 4
            else:
                raise NotAnEntry
            size = get_size(data, at, end, width)
            at += width
        if size > end - at:
            raise NotAnEntry
        texts.append(PyBytes_FromStringAndSize(<const char *>data + at, size))
        at += size
    return at


def unpack(bytes member not None):
    cdef list fields = [], options = []
    cdef Py_ssize_t at = take_array(member, NUMBER, fields)
    if not fields or len(fields) & 1:
        raise NotAnEntry
    if at < PyBytes_GET_SIZE(member):
        at = take_array(member, at, options)
    if at != PyBytes_GET_SIZE(member):
        raise NotAnEntry
    return fields, options


def unpack_plain(list members not None, Py_ssize_t start):
    cdef list entries = [], fields, options
    cdef Py_ssize_t i
    for i in range(start, len(members)):
        try:
            fields, options = unpack(members[i])
        except NotAnEntry:
            break
        if options:
            break
        entries.append(fields)
    return entries
