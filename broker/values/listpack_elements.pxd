"""The elements of listpacks, for the compiled modules: writing and reading them.

Everything is inline: it is compiled into the modules that use it, and nothing is imported at run time.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from protocol.digits cimport parse_number

cdef enum:
    MAX_INTEGER_TEXT = 20


cdef inline Py_ssize_t integer_size(int64_t value) noexcept nogil:
    """Returns the size of an integer's element."""
    if 0 <= value < 128:
        return 2
    if -4096 <= value < 4096:
        return 3
    if -32768 <= value < 32768:
        return 4
    if -8388608 <= value < 8388608:
        return 5
    return 6 if -<int64_t>0x80000000 <= value < <int64_t>0x80000000 else 10


cdef inline Py_ssize_t put_integer(uint8_t* out, int64_t value) noexcept nogil:
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


cdef inline Py_ssize_t put_backward(uint8_t* out, Py_ssize_t size) noexcept nogil:
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


cdef inline Py_ssize_t put_text(uint8_t* out, const uint8_t* text, Py_ssize_t length) noexcept nogil:
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
    return head + length + put_backward(out + head + length, head + length)


cdef inline int64_t element_number(const uint8_t* data, uint8_t first, Py_ssize_t size) noexcept nogil:
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


cdef inline Py_ssize_t next_element(
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
    backward = put_backward(back, size)
    if at + size + backward > last:
        return -1
    for step in range(backward):
        if data[at + size + step] != back[step]:
            return -1
    return size


cdef inline const uint8_t* read_element(
    const uint8_t* at, const uint8_t** text, Py_ssize_t* length, int64_t* number
) noexcept nogil:
    """Reads an element that is known to be whole; returns where the next one begins.

    Sets `length` to the length of the text (-1 for an integer), and either `text` or `number`.
    """
    cdef uint8_t first = at[0]
    cdef Py_ssize_t size
    if first < 0x80:
        length[0] = -1
        number[0] = first
        return at + 2
    if first < 0xC0:
        length[0] = first & 0x3F
        text[0] = at + 1
        return at + length[0] + 2
    if first < 0xE0:
        length[0] = -1
        number[0] = element_number(at, first, 2)
        return at + 3
    if first > 0xF0:
        size = 9 if first == 0xF4 else first - 0xEE
        length[0] = -1
        number[0] = element_number(at, first, size)
        return at + size + 1
    if first < 0xF0:
        length[0] = (first & 0x0F) << 8 | at[1]
        size = 2 + length[0]
        text[0] = at + 2
    else:
        length[0] = <Py_ssize_t>(
            <uint32_t>at[1] | <uint32_t>at[2] << 8 | <uint32_t>at[3] << 16 | <uint32_t>at[4] << 24
        )
        size = 5 + length[0]
        text[0] = at + 5
    at += size + 1
    while size >= 128:
        at += 1
        size >>= 7
    return at
