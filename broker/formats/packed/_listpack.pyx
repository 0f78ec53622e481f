# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of listpack.py's encode, element and decode."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from protocol.digits cimport parse_number
from broker.formats.packed.listpack import _BY_TEXT, _TINY_TEXTS, BadListpack

cdef enum:
    HEADER = 6
    END = 0xFF
    COUNT_UNKNOWN = 0xFFFF
    MAX_INTEGER_TEXT = 20
    # An element's maximum overhead besides its text.
    ELEMENT_BYTES = 10

cdef dict _TINY_BY_TEXT = _BY_TEXT
cdef list _TEXTS = _TINY_TEXTS


cdef Py_ssize_t put_integer(uint8_t* out, int64_t value) noexcept nogil:
    """Writes an integer's element; returns its size."""
    cdef Py_ssize_t width, at
    if 0 <= value < 128:
        out[0] = <uint8_t>value
        out[1] = 1
        return 2
    if -4096 <= value < 4096:
        out[0] = <uint8_t>(0xC0 | (value >> 8 & 0x1F))
        out[1] = <uint8_t>(value & 0xFF)
        out[2] = 2
        return 3
    if -32768 <= value < 32768:
        out[0] = 0xF1
        width = 2
    elif -8388608 <= value < 8388608:
        out[0] = 0xF2
        width = 3
    elif -<int64_t>0x80000000 <= value < <int64_t>0x80000000:
        out[0] = 0xF3
        width = 4
    else:
        out[0] = 0xF4
        width = 8
    for at in range(width):
        out[1 + at] = <uint8_t>(value >> (8 * at) & 0xFF)
    out[1 + width] = <uint8_t>(width + 1)
    return width + 2


cdef Py_ssize_t _put_backward(uint8_t* out, Py_ssize_t size) noexcept nogil:
    """Writes an element's length as it follows the element; returns the number of bytes written."""
    cdef Py_ssize_t count = 1, at
    cdef Py_ssize_t rest = size >> 7
    while rest:
        count += 1
        rest >>= 7
    for at in range(count - 1, -1, -1):
        out[at] = <uint8_t>(size & 0x7F) | (0 if at == 0 else 0x80)
        size >>= 7
    return count


cdef Py_ssize_t put_text(uint8_t* out, const uint8_t* text, Py_ssize_t length) noexcept nogil:
    """Writes a text's element, as an integer if it is one; returns its size, at most 10 more than the text's."""
    cdef Py_ssize_t head, at
    cdef int64_t value
    if 0 < length <= MAX_INTEGER_TEXT and parse_number(text, length, &value):
        return put_integer(out, value)
    head = 1 if length < 64 else 2 if length < 4096 else 5
    if head == 1:
        out[0] = <uint8_t>(0x80 | length)
    elif head == 2:
        out[0] = <uint8_t>(0xE0 | length >> 8)
        out[1] = <uint8_t>(length & 0xFF)
    else:
        out[0] = 0xF0
        for at in range(4):
            out[1 + at] = <uint8_t>(length >> (8 * at) & 0xFF)
    memcpy(out + head, text, length)
    return head + length + _put_backward(out + head + length, head + length)


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
    result = PyBytes_FromStringAndSize(NULL, head + length + _put_backward(tail, head + length))
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
    if 0 <= value < 128:
        return <bytes>_TEXTS[value]
    cdef char digits[24]
    cdef uint64_t rest = <uint64_t>value if value >= 0 else 0 - <uint64_t>value
    cdef Py_ssize_t at = 24
    while True:
        at -= 1
        digits[at] = <char>(48 + rest % 10)
        rest /= 10
        if not rest:
            break
    if value < 0:
        at -= 1
        digits[at] = 45
    return PyBytes_FromStringAndSize(digits + at, 24 - at)


cdef Py_ssize_t next_element(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t last, Py_ssize_t* head, Py_ssize_t* length
) noexcept nogil:
    """Returns the size of the element at `at`, without the length that follows it; -1 for a damaged one.

    There must not be an end mark at `at`; `last` is its position. Sets `length` to the length of the text (-1 for an
    integer) and `head` to the number of bytes before the text. The next element begins at `at` plus the size plus the
    bytes of the length that follows: 1 for a size below 128, otherwise one per seven bits.
    """
    cdef uint8_t first = data[at]
    cdef uint8_t back[8]
    cdef Py_ssize_t size, backward, step
    length[0] = -1
    head[0] = 1
    if first < 0x80:
        size = 1
    elif first < 0xC0:
        length[0] = first & 0x3F
        size = 1 + length[0]
    elif first < 0xE0:
        size = 2
    elif first < 0xF0:
        if at + 1 > last:
            return -1
        head[0] = 2
        length[0] = (first & 0x0F) << 8 | data[at + 1]
        size = 2 + length[0]
    elif first == 0xF0:
        if at + 4 > last:
            return -1
        head[0] = 5
        length[0] = <Py_ssize_t>(
            <uint32_t>data[at + 1] | <uint32_t>data[at + 2] << 8
            | <uint32_t>data[at + 3] << 16 | <uint32_t>data[at + 4] << 24
        )
        size = 5 + length[0]
    elif first == 0xF1:
        size = 3
    elif first == 0xF2:
        size = 4
    elif first == 0xF3:
        size = 5
    elif first == 0xF4:
        size = 9
    else:
        return -1
    backward = _put_backward(back, size)
    if at + size + backward > last:
        return -1
    for step in range(backward):
        if data[at + size + step] != back[step]:
            return -1
    return size


def decode(bytes blob not None, Py_ssize_t most=<Py_ssize_t>1 << 62):
    """Returns the elements as texts. Raises BadListpack, also if there are more than `most`."""
    cdef Py_ssize_t total = PyBytes_GET_SIZE(blob)
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(blob)
    cdef Py_ssize_t count, limit, at, last, head, length, size, found = 0
    cdef uint8_t first
    cdef list elements = []
    if total < HEADER + 1 or data[total - 1] != END:
        raise BadListpack
    if <uint32_t>(data[0] | data[1] << 8 | data[2] << 16 | <uint32_t>data[3] << 24) != <uint64_t>total:
        raise BadListpack
    count = data[4] | data[5] << 8
    limit = most if count == COUNT_UNKNOWN else count
    if limit > most:
        raise BadListpack
    at = HEADER
    last = total - 1
    while True:
        first = data[at]
        if first == END:
            break
        if found == limit:
            raise BadListpack
        found += 1
        # Nothing after `last` is read before the size is known.
        size = next_element(data, at, last, &head, &length)
        if size < 0:
            raise BadListpack
        if length >= 0:
            elements.append(PyBytes_FromStringAndSize(<const char*>data + at + head, length))
        elif first < 0x80:
            elements.append(_TEXTS[first])
        else:
            elements.append(_text_of(element_number(data + at, first, size)))
        at += size + 1
        while size >= 128:
            at += 1
            size >>= 7
    if at != last or (count != COUNT_UNKNOWN and count != found):
        raise BadListpack
    return elements


cdef int64_t element_number(const uint8_t* data, uint8_t first, Py_ssize_t size) noexcept nogil:
    cdef uint64_t value = 0
    cdef Py_ssize_t step
    if first < 0xE0:
        value = <uint64_t>(first & 0x1F) << 8 | data[1]
        return <int64_t>value - 8192 if value & 0x1000 else <int64_t>value
    for step in range(size - 1, 0, -1):
        value = value << 8 | data[step]
    # Extend the sign to 64 bits.
    step = 64 - 8 * (size - 1)
    return (<int64_t>(value << step)) >> step
