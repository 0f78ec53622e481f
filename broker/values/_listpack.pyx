# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of listpack.py's encode, element and decode."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from protocol.digits cimport integer_text, parse_number
from broker.values.listpack_elements cimport (
    MAX_INTEGER_TEXT, element_number, next_element, put_backward, put_integer, put_text,
)
from broker.values.listpack import _BY_TEXT, _TINY_TEXTS, BadListpack

cdef enum:
    HEADER = 6
    END = 0xFF
    COUNT_UNKNOWN = 0xFFFF
    # An element's maximum overhead besides its text.
    ELEMENT_BYTES = 10

cdef dict _TINY_BY_TEXT = _BY_TEXT
cdef list _TEXTS = _TINY_TEXTS


def element(bytes text not None):
    """Encodes one text as an element, as an integer if it is the text of one."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef uint8_t small[MAX_INTEGER_TEXT]
    cdef uint8_t tail[8]
    cdef int64_t value
    cdef Py_ssize_t head
    cdef bytes result
    if 0 < length <= 3:
        tiny = _TINY_BY_TEXT.get(text)
        if tiny is not None:
            return tiny
    if 0 < length <= MAX_INTEGER_TEXT and parse_number(data, length, &value):
        return PyBytes_FromStringAndSize(<char*>small, put_integer(small, value))
    head = 1 if length < 64 else 2 if length < 4096 else 5
    result = PyBytes_FromStringAndSize(NULL, head + length + put_backward(tail, head + length))
    put_text(<uint8_t*>PyBytes_AS_STRING(result), data, length)
    return result


def encode(elements not None):
    """Encodes these texts as a listpack."""
    cdef list texts = elements if isinstance(elements, list) else list(elements)
    cdef Py_ssize_t count = len(texts), size = HEADER, most = HEADER + 1, at
    cdef bytes text
    cdef uint8_t* out
    for text in texts:
        if text is None:
            raise TypeError("elements are bytes")
        most += PyBytes_GET_SIZE(text) + ELEMENT_BYTES
    out = <uint8_t*>malloc(most)
    if out == NULL:
        raise MemoryError
    for text in texts:
        size += put_text(out + size, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    out[size] = END
    size += 1
    for at in range(4):
        out[at] = <uint8_t>(size >> (8 * at) & 0xFF)
    if count > COUNT_UNKNOWN:
        count = COUNT_UNKNOWN
    out[4] = <uint8_t>(count & 0xFF)
    out[5] = <uint8_t>(count >> 8)
    try:
        return PyBytes_FromStringAndSize(<char*>out, size)
    finally:
        free(out)


cdef bytes _text_of(int64_t value):
    return <bytes>_TEXTS[value] if 0 <= value < 128 else integer_text(value)


def decode(bytes blob not None, Py_ssize_t most=<Py_ssize_t>1 << 62):
    """Returns the elements as texts. Raises BadListpack, also if there are more than `most`."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(blob)
    cdef list elements = []
    cdef Py_ssize_t count
    if decode_run(blob, 0, most, elements) != PyBytes_GET_SIZE(blob):
        raise BadListpack
    count = data[4] | data[5] << 8
    if count != COUNT_UNKNOWN and count != len(elements):
        raise BadListpack
    return elements


cpdef Py_ssize_t decode_run(bytes blob, Py_ssize_t at, Py_ssize_t most, list out) except -1:
    """See the reference."""
    cdef Py_ssize_t total, last, head, length, size
    cdef const uint8_t* data
    cdef uint8_t first
    if blob is None or out is None:
        raise TypeError("a listpack is bytes, its elements are a list")
    total = PyBytes_GET_SIZE(blob)
    data = <const uint8_t*>PyBytes_AS_STRING(blob)
    last = total - 1
    if not at:
        if total < HEADER + 1 or data[last] != END:
            raise BadListpack
        if <uint32_t>(data[0] | data[1] << 8 | data[2] << 16 | <uint32_t>data[3] << 24) != <uint64_t>total:
            raise BadListpack
        at = HEADER
    elif not HEADER <= at < total or data[last] != END:
        raise BadListpack
    while True:
        first = data[at]
        if first == END:
            if at != last:
                raise BadListpack
            return total
        if not most:
            return at
        most -= 1
        # Nothing after `last` is read before the size is known.
        size = next_element(data, at, last, &head, &length)
        if size < 0:
            raise BadListpack
        if length >= 0:
            out.append(PyBytes_FromStringAndSize(<const char*>data + at + head, length))
        elif first < 0x80:
            out.append(_TEXTS[first])
        else:
            out.append(_text_of(element_number(data + at, first, size)))
        at += size + 1
        while size >= 128:
            at += 1
            size >>= 7
