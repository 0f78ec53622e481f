# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of packed_fields.py's pack, fields_text and narrow_text, with the same results."""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from broker.values.listpack_elements cimport put_integer, put_text, read_element
from broker.values.streams.position_arrays cimport narrowest, position
from protocol.digits cimport digits_of, put_digits, put_header, put_number

cdef enum:
    OWN_NAMES = 0xFF
    # The longest 64-bit number.
    MAX_DIGITS = 20
    # At most `$`, the digits, and CRLF.
    HEADER_BYTES = 23
    # `*2`, and the longest ID as a bulk string.
    PREFIX_BYTES = 4 + 5 + 41 + 2
    # How many more bytes a bulk string may take than the element: most for -9223372036854775808.
    ELEMENT_GROWTH = 17
    SMALL = 4096

cdef uint64_t LOW = 0xFFFFFFFF
cdef object _LONGS = array.array("Q")


# IDs

cdef struct _Milliseconds:
    # The last ones written: all digits but the last four as a number, and the text.
    uint64_t high
    Py_ssize_t digits
    char text[MAX_DIGITS]


cdef inline void _set_milliseconds(_Milliseconds* last, uint64_t ms) noexcept nogil:
    """Converts the milliseconds; of consecutive entries only the last four digits differ."""
    cdef uint64_t high = ms // 10000
    if last.digits and high == last.high:
        if high:
            put_digits(last.text + last.digits - 4, ms - high * 10000, 4)
            return
    last.high = high
    last.digits = put_number(last.text, ms) - last.text


cdef inline char* _put_prefix(char* out, _Milliseconds* last, uint64_t ms, uint64_t seq) noexcept nogil:
    """Writes what precedes the fields of an entry."""
    _set_milliseconds(last, ms)
    cdef Py_ssize_t seq_digits = digits_of(seq)
    memcpy(out, b"*2\r\n", 4)
    out += 4 + _put_length(out + 4, 36, last.digits + 1 + seq_digits)
    memcpy(out, last.text, last.digits)
    out += last.digits
    out[0] = 45
    out = put_digits(out + 1, seq, seq_digits)
    out[0] = 13
    out[1] = 10
    return out + 2


# Packing

cdef inline Py_ssize_t _number_line(const uint8_t** at) noexcept nogil:
    """Reads the number after the type byte at `at`, and moves `at` past the line."""
    cdef const uint8_t* here = at[0] + 1
    cdef Py_ssize_t number = 0
    while here[0] != 13:
        number = number * 10 + (here[0] - 48)
        here += 1
    at[0] = here + 2
    return number


cdef Py_ssize_t _put_values(uint8_t* out, const uint8_t* fields, list names):
    """Packs the values of an entry; returns their size, -1 if it has other names than these."""
    cdef uint8_t* begin = out
    cdef Py_ssize_t length
    cdef bytes name
    if _number_line(&fields) != 2 * len(names):
        return -1
    for name in names:
        length = _number_line(&fields)
        if length != PyBytes_GET_SIZE(name) or memcmp(fields, PyBytes_AS_STRING(name), length):
            return -1
        fields += length + 2
        length = _number_line(&fields)
        out += put_text(out, fields, length)
        fields += length + 2
    return out - begin


cdef Py_ssize_t _put_fields(uint8_t* out, const uint8_t* fields) noexcept nogil:
    """Packs an entry's names and values; returns their size."""
    cdef uint8_t* begin = out
    cdef Py_ssize_t count = _number_line(&fields)
    cdef Py_ssize_t i, length
    out[0] = OWN_NAMES
    out += 1 + put_integer(out + 1, count // 2)
    for i in range(count):
        length = _number_line(&fields)
        out += put_text(out, fields, length)
        fields += length + 2
    return out - begin


def pack(list texts not None, list names not None):
    cdef Py_ssize_t count = len(texts), most = 1, size = 0, added, i
    cdef const uint8_t* fields
    cdef array.array ends = array.clone(_LONGS, count, False)
    for text in texts:
        if not PyBytes_CheckExact(text):
            raise TypeError("entries are bytes")
        # No entry's packed fields are longer than its text.
        most += PyBytes_GET_SIZE(text)
    cdef uint8_t* out = <uint8_t*>malloc(most)
    if out == NULL:
        raise MemoryError
    try:
        for i in range(count):
            # After `*2` comes the ID.
            fields = <const uint8_t*>PyBytes_AS_STRING(texts[i]) + 4
            added = _number_line(&fields)
            fields += added + 2
            added = _put_values(out + size, fields, names)
            if added < 0:
                added = _put_fields(out + size, fields)
            size += added
            ends.data.as_ulonglongs[i] = size
        return PyBytes_FromStringAndSize(<char*>out, size), narrowest(ends, count)
    finally:
        free(out)


# Reading

cdef inline Py_ssize_t _put_length(char* out, char kind, Py_ssize_t length) noexcept nogil:
    """Writes a header, most of which have one or two digits; returns its size."""
    if length >= 100:
        return put_header(out, kind, length) - out
    out[0] = kind
    if length >= 10:
        out[1] = <char>(48 + length // 10)
        out[2] = <char>(48 + length % 10)
        out[3] = 13
        out[4] = 10
        return 5
    out[1] = <char>(48 + length)
    out[2] = 13
    out[3] = 10
    return 4


cdef inline char* _put_bulk(char* out, const void* text, Py_ssize_t length) noexcept nogil:
    out += _put_length(out, 36, length)
    memcpy(out, text, length)
    out += length
    out[0] = 13
    out[1] = 10
    return out + 2


cdef const uint8_t* _number_text(uint8_t* end, int64_t number) noexcept nogil:
    """Writes a number so that its text stops at `end`; returns where it begins."""
    cdef uint64_t left = <uint64_t>number if number >= 0 else 0 - <uint64_t>number
    cdef uint64_t rest
    cdef uint32_t four, two
    # Four digits at a time: a division waits for the one before, and those within a group hardly do.
    while left >= 10000:
        rest = left // 10000
        four = <uint32_t>(left - rest * 10000)
        left = rest
        two = four // 100
        four -= two * 100
        end -= 4
        end[0] = <uint8_t>(48 + two // 10)
        end[1] = <uint8_t>(48 + two % 10)
        end[2] = <uint8_t>(48 + four // 10)
        end[3] = <uint8_t>(48 + four % 10)
    while True:
        end -= 1
        end[0] = <uint8_t>(48 + left % 10)
        left //= 10
        if not left:
            break
    if number < 0:
        end -= 1
        end[0] = 45
    return end


cdef inline const uint8_t* _put_element(const uint8_t* at, char** out) noexcept nogil:
    """Writes an element as a bulk string; returns where the next one begins."""
    cdef const uint8_t* text
    cdef Py_ssize_t length
    cdef int64_t number
    cdef uint8_t digits[MAX_DIGITS + 1]
    at = read_element(at, &text, &length, &number)
    if length < 0:
        text = _number_text(&digits[MAX_DIGITS + 1], number)
        length = &digits[MAX_DIGITS + 1] - text
    out[0] = _put_bulk(out[0], text, length)
    return at


cdef Py_ssize_t _names_size(list names):
    """Returns at least the size of everything but the values in an entry's fields."""
    cdef Py_ssize_t size = HEADER_BYTES
    cdef bytes name
    for name in names:
        size += HEADER_BYTES + PyBytes_GET_SIZE(name) + 2
    return size


cdef inline Py_ssize_t _most(const uint8_t* at, const uint8_t* end, Py_ssize_t names_size, Py_ssize_t names) noexcept:
    """Returns at least the size of an entry's fields as clients read them."""
    cdef const uint8_t* text
    cdef Py_ssize_t length
    cdef int64_t count
    if at[0] == OWN_NAMES:
        read_element(at + 1, &text, &length, &count)
        return HEADER_BYTES + end - at + 2 * count * ELEMENT_GROWTH
    return names_size + end - at + names * ELEMENT_GROWTH


cdef char* _put_entry(char* out, const uint8_t* at, list names):
    """Writes an entry's fields as clients read them; returns where they end."""
    cdef const uint8_t* text
    cdef Py_ssize_t length, i
    cdef int64_t count
    cdef bytes name
    if at[0] == OWN_NAMES:
        at = read_element(at + 1, &text, &length, &count)
        out += _put_length(out, 42, 2 * count)
        for i in range(2 * count):
            at = _put_element(at, &out)
        return out
    out += _put_length(out, 42, 2 * len(names))
    for name in names:
        out = _put_bulk(out, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        at = _put_element(at, &out)
    return out


def fields_text(bytes packed not None, Py_ssize_t begin, Py_ssize_t end, list names not None):
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(packed)
    if not 0 <= begin < end <= PyBytes_GET_SIZE(packed):
        raise IndexError("no such fields")
    cdef char* out = <char*>malloc(_most(data + begin, data + end, _names_size(names), len(names)))
    if out == NULL:
        raise MemoryError
    try:
        return PyBytes_FromStringAndSize(out, _put_entry(out, data + begin, names) - out)
    finally:
        free(out)


def narrow_text(
    bytes packed not None, array.array ends not None, array.array keys not None, Py_ssize_t start, Py_ssize_t end,
    uint64_t ms, list names not None,
):
    cdef uint64_t* key = <uint64_t*>keys.data.as_ulonglongs
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(packed)
    cdef Py_ssize_t i, begin, stop
    if not 0 <= start < end <= len(keys) or end > len(ends):
        raise IndexError("no such entries")
    cdef Py_ssize_t first = position(ends, start - 1) if start else 0
    cdef Py_ssize_t names_size = _names_size(names), names_count = len(names), most = 0
    begin = first
    for i in range(start, end):
        stop = position(ends, i)
        most += PREFIX_BYTES + _most(data + begin, data + stop, names_size, names_count)
        begin = stop
    # Writing to memory that is at hand and copying the result takes less time than to measure it first.
    cdef char small[SMALL]
    cdef char* out = &small[0]
    if most > SMALL:
        out = <char*>malloc(most)
        if out == NULL:
            raise MemoryError
    cdef char* at = out
    cdef _Milliseconds clock
    clock.digits = 0
    begin = first
    try:
        for i in range(start, end):
            at = _put_prefix(at, &clock, ms + (key[i] >> 32), key[i] & LOW)
            at = _put_entry(at, data + begin, names)
            begin = position(ends, i)
        return PyBytes_FromStringAndSize(out, at - out)
    finally:
        if most > SMALL:
            free(out)
