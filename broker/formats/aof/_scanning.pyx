# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of scanning.py, which says what it does."""

from zlib import crc32

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.string cimport memcmp

from protocol._requests cimport recent_or_new

cdef object _crc32 = crc32

cdef enum:
    LINE = 15  # bytes of a checksum line
    SHORT = 512  # bytes that are copied faster than a memoryview of them is made


cdef Py_ssize_t read_header(const char* p, Py_ssize_t size, Py_ssize_t* at, char kind, Py_ssize_t longest) noexcept:
    """Returns the number of the header at `at`, which moves past it; -1 if it is incomplete or not in its shortest form."""
    cdef Py_ssize_t pos = at[0], number = 0, begin
    if pos >= size or p[pos] != kind:
        return -1
    pos += 1
    begin = pos
    while pos < size and c"0" <= p[pos] <= c"9":
        if pos - begin == longest:
            return -1
        number = number * 10 + (p[pos] - c"0")
        pos += 1
    if pos == begin or (p[begin] == c"0" and pos - begin > 1):
        return -1
    if size - pos < 2 or p[pos] != c"\r" or p[pos + 1] != c"\n":
        return -1
    at[0] = pos + 2
    return number


cdef bint is_line(const char* p, uint32_t checksum) noexcept:
    """Whether the bytes, as many as a checksum line has, are that of this checksum."""
    cdef int place, digit
    if memcmp(p, b"#CRC:", 5) or p[13] != c"\r" or p[14] != c"\n":
        return False
    for place in range(8):
        digit = checksum >> (28 - 4 * place) & 15
        if p[5 + place] != (c"0" + digit if digit < 10 else c"a" + digit - 10):
            return False
    return True


cdef class CommandScanner:
    """See the reference."""

    cdef public list args
    cdef public Py_ssize_t wanted
    cdef public uint32_t running
    cdef public Py_ssize_t covered
    cdef public Py_ssize_t checksums
    cdef public Py_ssize_t verified
    cdef public Py_ssize_t confirmed

    def __init__(self):
        self.args = []
        self.verified = -1

    def cover(self, bytes data not None, Py_ssize_t end):
        """See the reference."""
        cdef Py_ssize_t begin = self.covered
        if not 0 <= begin <= end <= PyBytes_GET_SIZE(data):
            raise ValueError("not a part of the data")
        if begin == end:
            return
        if end - begin < SHORT:
            self.running = _crc32(PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + begin, end - begin), self.running)
        else:
            self.running = _crc32(memoryview(data)[begin:end], self.running)
        self.covered = end

    def scan(self, bytes data not None, Py_ssize_t at, list commands not None, list ends not None):
        """See the reference."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t number, begin
        cdef list args = self.args
        if at < 0:
            raise ValueError("not a position")
        while at < size:
            if not self.wanted:
                if p[at] == c"#":
                    if size - at < LINE or memcmp(p + at, b"#CRC:", 5):
                        return at
                    self.cover(data, at)
                    if not is_line(p + at, self.running):
                        return at
                    at += LINE
                    self.covered = self.verified = at
                    self.checksums += 1
                    self.running = 0
                    self.confirmed = len(commands)
                    continue
                begin = at
                number = read_header(p, size, &begin, c"*", 10)
                if number <= 0:
                    return at
                self.wanted = number
                at = begin
            while self.wanted:
                begin = at
                number = read_header(p, size, &begin, c"$", 18)
                if number < 0 or size - begin - 2 < number:
                    return at
                if p[begin + number] != c"\r" or p[begin + number + 1] != c"\n":
                    return at
                # As in RequestParser: the first argument is usually a key, which exists as one object in any case.
                if len(args) == 1:
                    args.append(PyBytes_FromStringAndSize(p + begin, number))
                else:
                    args.append(recent_or_new(p + begin, number))
                at = begin + number + 2
                self.wanted -= 1
            commands.append(args)
            ends.append(at)
            number = len(args)
            args = self.args = []
            if number == 1:
                return at
        return at
