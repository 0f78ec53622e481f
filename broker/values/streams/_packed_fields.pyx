# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of packed_fields.py's pack, fields_text and narrow_text, with the same results."""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from broker.values.listpack_elements cimport put_integer, put_text, read_element
from broker.values.streams.position_arrays cimport narrowest, position
from protocol.digits cimport digits_of, put_digits, put_header, put_number

cdef enum:
    OWN_NAMES = 0xFF
    # The longest 64-bit number.
    MAX_DIGITS = 20

cdef uint64_t LOW = 0xFFFFFFFF
cdef object _LONGS = array.array("Q")


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

cdef inline Py_ssize_t _bulk_size(Py_ssize_t length) noexcept nogil:
    return 1 + digits_of(length) + 2 + length + 2


cdef inline uint64_t _magnitude(int64_t number) noexcept nogil:
    return <uint64_t>number if number >= 0 else 0 - <uint64_t>number


cdef inline const uint8_t* _add_size(const uint8_t* at, Py_ssize_t* size) noexcept nogil:
    """Adds the size of an element as a bulk string; returns where the next one begins."""
    cdef const uint8_t* text
    cdef Py_ssize_t length
    cdef int64_t number
    at = read_element(at, &text, &length, &number)
    if length < 0:
        length = digits_of(_magnitude(number)) + (number < 0)
    size[0] += _bulk_size(length)
    return at


cdef inline char* _put_bulk(char* out, const void* text, Py_ssize_t length) noexcept nogil:
    out = put_header(out, 36, length)
    memcpy(out, text, length)
    out += length
    out[0] = 13
    out[1] = 10
    return out + 2


cdef inline const uint8_t* _put_element(const uint8_t* at, char** out) noexcept nogil:
    """Writes an element as a bulk string; returns where the next one begins."""
    cdef const uint8_t* text
    cdef Py_ssize_t length
    cdef int64_t number
    cdef char digits[MAX_DIGITS + 1]
    at = read_element(at, &text, &length, &number)
    if length < 0:
        digits[0] = 45
        length = put_number(digits + (number < 0), _magnitude(number)) - digits
        text = <const uint8_t*>digits
    out[0] = _put_bulk(out[0], text, length)
    return at


cdef Py_ssize_t _names_size(list names):
    """Returns the size of everything but the values in an entry's fields."""
    cdef Py_ssize_t size = 1 + digits_of(2 * len(names)) + 2
    cdef bytes name
    for name in names:
        size += _bulk_size(PyBytes_GET_SIZE(name))
    return size


cdef Py_ssize_t _fields_size(const uint8_t* at, const uint8_t* end, Py_ssize_t names_size) noexcept nogil:
    """Returns the size of an entry's fields as clients read them."""
    cdef Py_ssize_t size = names_size, length
    cdef const uint8_t* text
    cdef int64_t count
    if at < end and at[0] == OWN_NAMES:
        at = read_element(at + 1, &text, &length, &count)
        size = 1 + digits_of(2 * count) + 2
    while at < end:
        at = _add_size(at, &size)
    return size


cdef char* _put_entry(char* out, const uint8_t* at, const uint8_t* end, list names):
    """Writes an entry's fields as clients read them; returns where they end."""
    cdef const uint8_t* text
    cdef Py_ssize_t length
    cdef int64_t count
    cdef bytes name
    if at < end and at[0] == OWN_NAMES:
        at = read_element(at + 1, &text, &length, &count)
        out = put_header(out, 42, 2 * count)
        while at < end:
            at = _put_element(at, &out)
        return out
    out = put_header(out, 42, 2 * len(names))
    for name in names:
        out = _put_bulk(out, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
        at = _put_element(at, &out)
    return out


def fields_text(bytes packed not None, Py_ssize_t begin, Py_ssize_t end, list names not None):
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(packed)
    if not 0 <= begin <= end <= PyBytes_GET_SIZE(packed):
        raise IndexError("no such fields")
    text = PyBytes_FromStringAndSize(NULL, _fields_size(data + begin, data + end, _names_size(names)))
    _put_entry(PyBytes_AS_STRING(text), data + begin, data + end, names)
    return text


def narrow_text(
    bytes packed not None, array.array ends not None, array.array keys not None, Py_ssize_t start, Py_ssize_t end,
    uint64_t ms, list names not None,
):
    cdef uint64_t* key = keys.data.as_ulonglongs
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(packed)
    cdef Py_ssize_t i, id_length, seq_digits, ms_digits, begin, stop
    if not 0 <= start < end <= len(keys) or end > len(ends):
        raise IndexError("no such entries")
    cdef Py_ssize_t first = position(ends, start - 1) if start else 0
    cdef Py_ssize_t names_size = _names_size(names)
    # Most nodes' milliseconds all have the same number of digits.
    cdef Py_ssize_t usual_digits = digits_of(ms + (key[start] >> 32))
    if usual_digits != digits_of(ms + (key[end - 1] >> 32)):
        usual_digits = 0
    # The ID's header is `$n` or `$nn`, since the longest narrow ID has 20 + 1 + 10 digits.
    cdef Py_ssize_t total = 0
    begin = first
    for i in range(start, end):
        ms_digits = usual_digits or digits_of(ms + (key[i] >> 32))
        id_length = ms_digits + 1 + digits_of(key[i] & LOW)
        stop = position(ends, i)
        total += 4 + (5 if id_length > 9 else 4) + id_length + 2
        total += _fields_size(data + begin, data + stop, names_size)
        begin = stop
    text = PyBytes_FromStringAndSize(NULL, total)
    cdef char* at = PyBytes_AS_STRING(text)
    # The last entry's milliseconds, which others often share.
    cdef char ms_text[MAX_DIGITS]
    cdef uint64_t delta = ~(key[start] >> 32)
    begin = first
    for i in range(start, end):
        if key[i] >> 32 != delta:
            delta = key[i] >> 32
            ms_digits = usual_digits or digits_of(ms + delta)
            put_digits(ms_text, ms + delta, ms_digits)
        seq_digits = digits_of(key[i] & LOW)
        id_length = ms_digits + 1 + seq_digits
        memcpy(at, b"*2\r\n$", 5)
        at = put_digits(at + 5, id_length, 2 if id_length > 9 else 1)
        at[0] = 13
        at[1] = 10
        memcpy(at + 2, ms_text, ms_digits)
        at += 2 + ms_digits
        at[0] = 45
        at = put_digits(at + 1, key[i] & LOW, seq_digits)
        at[0] = 13
        at[1] = 10
        stop = position(ends, i)
        at = _put_entry(at + 2, data + begin, data + stop, names)
        begin = stop
    return text
