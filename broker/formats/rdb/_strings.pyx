# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of strings.py."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_SetItem
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from protocol.digits cimport integer_text, parse_number
from broker.formats.packed import lzf

cdef enum:
    LENGTH_14 = 0x40
    LENGTH_32 = 0x80
    LENGTH_64 = 0x81
    ENCODED = 0xC0
    ENCODED_INT8 = 0xC0
    ENCODED_INT16 = 0xC1
    ENCODED_INT32 = 0xC2
    ENCODED_LZF = 0xC3
    STRING = 0
    OP_EXPIRETIME_MS = 252
    MAX_INTEGER_TEXT = 11
    MIN_COMPRESSED = 21
    # A length's first byte, and up to eight more.
    LENGTH_BYTES = 9
    DEADLINE_BYTES = 8

# Looked up when used, because lzf has its own twins.
cdef object _lzf = lzf
cdef object _BadCompression = lzf.BadCompression


# Writing

cdef Py_ssize_t _put_length(uint8_t* out, uint64_t length) noexcept nogil:
    cdef Py_ssize_t at, width
    if length < 64:
        out[0] = <uint8_t>length
        return 1
    if length < 1 << 14:
        out[0] = <uint8_t>(LENGTH_14 | length >> 8)
        out[1] = <uint8_t>(length & 0xFF)
        return 2
    if length < <uint64_t>1 << 32:
        out[0] = LENGTH_32
        width = 4
    else:
        out[0] = LENGTH_64
        width = 8
    for at in range(width):
        out[1 + at] = <uint8_t>(length >> (8 * (width - 1 - at)) & 0xFF)
    return 1 + width


cdef Py_ssize_t _put_integer(uint8_t* out, int64_t value) noexcept nogil:
    """Writes an integer of up to 32 bits; returns 0 for a larger one."""
    cdef Py_ssize_t width, at
    if -128 <= value < 128:
        out[0] = ENCODED_INT8
        width = 1
    elif -32768 <= value < 32768:
        out[0] = ENCODED_INT16
        width = 2
    elif -<int64_t>0x80000000 <= value < <int64_t>0x80000000:
        out[0] = ENCODED_INT32
        width = 4
    else:
        return 0
    for at in range(width):
        out[1 + at] = <uint8_t>(value >> (8 * at) & 0xFF)
    return 1 + width


cdef int _append(bytearray out, const uint8_t* text, Py_ssize_t length, object whole, bint compress) except -1:
    """Appends the string at `text`, which is also the object `whole`."""
    cdef Py_ssize_t start = PyByteArray_GET_SIZE(out)
    cdef Py_ssize_t size, packed_length
    cdef int64_t value
    cdef uint8_t* at
    cdef bytes packed
    if length <= MAX_INTEGER_TEXT:
        # 12 bytes suffice for either form.
        PyByteArray_Resize(out, start + MAX_INTEGER_TEXT + 1)
        at = <uint8_t*>PyByteArray_AS_STRING(out) + start
        size = _put_integer(at, value) if parse_number(text, length, &value) else 0
        if not size:
            at[0] = <uint8_t>length
            memcpy(at + 1, text, length)
            size = 1 + length
        PyByteArray_Resize(out, start + size)
        return 0
    if compress and length >= MIN_COMPRESSED:
        packed = _lzf.compress(whole if PyBytes_CheckExact(whole) else bytes(whole))
        if packed is not None:
            packed_length = PyBytes_GET_SIZE(packed)
            PyByteArray_Resize(out, start + 1 + 2 * LENGTH_BYTES + packed_length)
            at = <uint8_t*>PyByteArray_AS_STRING(out) + start
            at[0] = ENCODED_LZF
            size = 1 + _put_length(at + 1, packed_length)
            size += _put_length(at + size, length)
            memcpy(at + size, PyBytes_AS_STRING(packed), packed_length)
            PyByteArray_Resize(out, start + size + packed_length)
            return 0
    PyByteArray_Resize(out, start + LENGTH_BYTES + length)
    at = <uint8_t*>PyByteArray_AS_STRING(out) + start
    size = _put_length(at, length)
    memcpy(at + size, text, length)
    PyByteArray_Resize(out, start + size + length)
    return 0


def append_string(bytearray out not None, text not None, bint compress=True):
    """Appends a string: as an integer if it is the text of a 32-bit one, otherwise compressed if that pays off."""
    if not PyBytes_CheckExact(text):
        text = bytes(text)
    _append(out, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), text, compress)


def append_string_keys(
    bytearray out not None, list items not None, Py_ssize_t at, dict expires not None, list hints, bint compress,
    Py_ssize_t most,
):
    """Appends keys and their values while these are plain strings and `out` is shorter than `most` bytes."""
    cdef Py_ssize_t end = len(items)
    cdef Py_ssize_t start, step
    cdef bint some_expire = len(expires) > 0
    cdef tuple item
    cdef object deadline
    cdef int64_t moment
    cdef uint8_t* place
    while at < end and PyByteArray_GET_SIZE(out) < most:
        item = <tuple>items[at]
        if not PyBytes_CheckExact(item[1]):
            break
        key, value = item
        if some_expire:
            deadline = expires.get(key)
            if deadline is not None:
                moment = deadline
                start = PyByteArray_GET_SIZE(out)
                PyByteArray_Resize(out, start + 1 + DEADLINE_BYTES)
                place = <uint8_t*>PyByteArray_AS_STRING(out) + start
                place[0] = OP_EXPIRETIME_MS
                for step in range(DEADLINE_BYTES):
                    place[1 + step] = <uint8_t>(moment >> (8 * step) & 0xFF)
        if hints is not None:
            out += hints[at]
        start = PyByteArray_GET_SIZE(out)
        PyByteArray_Resize(out, start + 1)
        (<uint8_t*>PyByteArray_AS_STRING(out))[start] = STRING
        _append(out, <const uint8_t*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), key, compress)
        _append(out, <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), value, compress)
        at += 1
    return at


# Reading

cdef Py_ssize_t _read_length(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, uint64_t* length) noexcept nogil:
    """Returns where the length at `at` ends; -1 if it is incomplete or invalid."""
    cdef uint8_t first
    cdef Py_ssize_t width, step
    if at >= end:
        return -1
    first = data[at]
    if first < LENGTH_14:
        length[0] = first
        return at + 1
    if first < LENGTH_32:
        if at + 1 >= end:
            return -1
        length[0] = <uint64_t>(first & 0x3F) << 8 | data[at + 1]
        return at + 2
    if first == LENGTH_32:
        width = 4
    elif first == LENGTH_64:
        width = 8
    else:
        return -1
    if end - at <= width:
        return -1
    length[0] = 0
    for step in range(width):
        length[0] = length[0] << 8 | data[at + 1 + step]
    return at + 1 + width


cdef bytes _read_string(const uint8_t* data, Py_ssize_t* place, Py_ssize_t end):
    """Reads the string at `place`, which moves past it; returns None if it is incomplete or invalid."""
    cdef Py_ssize_t at = place[0]
    cdef uint64_t length, size
    cdef uint32_t number
    cdef uint8_t first
    if at >= end:
        return None
    first = data[at]
    if first < ENCODED:
        at = _read_length(data, at, end, &length)
        if at < 0 or length > <uint64_t>(end - at):
            return None
        place[0] = at + <Py_ssize_t>length
        return PyBytes_FromStringAndSize(<const char*>data + at, <Py_ssize_t>length)
    if first == ENCODED_INT8:
        if end - at < 2:
            return None
        place[0] = at + 2
        return integer_text(<int8_t>data[at + 1])
    if first == ENCODED_INT16:
        if end - at < 3:
            return None
        place[0] = at + 3
        return integer_text(<int16_t>(<uint32_t>data[at + 1] | <uint32_t>data[at + 2] << 8))
    if first == ENCODED_INT32:
        if end - at < 5:
            return None
        number = (
            <uint32_t>data[at + 1] | <uint32_t>data[at + 2] << 8
            | <uint32_t>data[at + 3] << 16 | <uint32_t>data[at + 4] << 24
        )
        place[0] = at + 5
        return integer_text(<int32_t>number)
    if first != ENCODED_LZF:
        return None
    at = _read_length(data, at + 1, end, &length)
    if at < 0:
        return None
    at = _read_length(data, at, end, &size)
    if at < 0 or length > <uint64_t>(end - at):
        return None
    try:
        text = _lzf.decompress(PyBytes_FromStringAndSize(<const char*>data + at, <Py_ssize_t>length), size)
    except (_BadCompression, OverflowError):
        return None
    place[0] = at + <Py_ssize_t>length
    return text


def read_strings(bytes data not None, Py_ssize_t at, Py_ssize_t count, list out not None):
    """Appends up to `count` complete strings in `data` from `at` on to `out`; returns where the next one begins."""
    cdef const uint8_t* bytes_ = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
    cdef bytes text
    while count > 0:
        text = _read_string(bytes_, &at, end)
        if text is None:
            break
        out.append(text)
        count -= 1
    return at


def read_string_keys(
    bytes data not None, Py_ssize_t at, Py_ssize_t most, dict values not None, dict deadlines not None
):
    """Reads up to `most` complete keys of plain strings in `data` from `at` on; returns their end and their number."""
    cdef const uint8_t* bytes_ = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t here, step, count = 0
    cdef uint64_t moment = 0
    cdef bint expires
    cdef bytes key, value
    while count < most and at < end:
        here = at
        expires = bytes_[here] == OP_EXPIRETIME_MS
        if expires:
            if end - here < 2 + DEADLINE_BYTES:
                break
            moment = 0
            for step in range(DEADLINE_BYTES, 0, -1):
                moment = moment << 8 | bytes_[here + step]
            here += 1 + DEADLINE_BYTES
        if bytes_[here] != STRING:
            break
        here += 1
        key = _read_string(bytes_, &here, end)
        if key is None:
            break
        value = _read_string(bytes_, &here, end)
        if value is None:
            break
        if expires:
            PyDict_SetItem(deadlines, key, <int64_t>moment)
        PyDict_SetItem(values, key, value)
        count += 1
        at = here
    return at, count
