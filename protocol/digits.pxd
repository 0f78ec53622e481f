"""Decimal numbers as text, for the compiled modules: measuring, writing and reading them; RESP headers and bulk strings.

Everything is inline: it is compiled into the modules that use it, and nothing is imported at run time.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy


cdef inline Py_ssize_t digits_of(uint64_t number) noexcept nogil:
    """How many digits a number has."""
    cdef Py_ssize_t digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


cdef inline char* put_digits(char* at, uint64_t number, Py_ssize_t digits) noexcept nogil:
    """Write a number that has this many digits; return where it ends."""
    cdef char* digit = at + digits
    while digit > at:
        digit -= 1
        digit[0] = <char>(48 + number % 10)
        number //= 10
    return at + digits


cdef inline char* put_number(char* at, uint64_t number) noexcept nogil:
    """Write a number; return where it ends."""
    return put_digits(at, number, digits_of(number))


cdef inline bytes integer_text(int64_t value):
    """Return a number as text."""
    cdef char text[24]
    cdef char* at = text
    if value < 0:
        at[0] = 45
        at += 1
    at = put_number(at, <uint64_t>value if value >= 0 else 0 - <uint64_t>value)
    return PyBytes_FromStringAndSize(text, at - text)


cdef inline char* put_header(char* at, char kind, uint64_t number) noexcept nogil:
    """Write a RESP header (a letter or sign, a number, and CRLF); return where it ends."""
    at[0] = kind
    at = put_number(at + 1, number)
    at[0] = 13
    at[1] = 10
    return at + 2


cdef inline Py_ssize_t bulk_size(uint64_t size) noexcept nogil:
    """How many bytes a bulk string of this size takes."""
    return size + digits_of(size) + 5


cdef inline char* put_bulk(char* at, const char* text, Py_ssize_t size) noexcept nogil:
    """Write a bulk string; return where it ends."""
    at = put_header(at, 36, size)
    memcpy(at, text, size)
    at[size] = 13
    at[size + 1] = 10
    return at + size + 2


cdef inline bint parse_number(const unsigned char* text, Py_ssize_t length, int64_t* value) noexcept nogil:
    """Read a signed 64-bit integer in its canonical form, the only one that Redis accepts; False for any other."""
    cdef bint negative = length > 0 and text[0] == 45
    cdef Py_ssize_t at = 1 if negative else 0
    cdef uint64_t total = 0
    cdef uint64_t digit
    cdef uint64_t limit = <uint64_t>0x8000000000000000 if negative else <uint64_t>0x7FFFFFFFFFFFFFFF
    if at == length or (text[at] == 48 and length > 1):
        return False
    while at < length:
        digit = <uint64_t>text[at] - 48
        if digit > 9 or total > (limit - digit) // 10:
            return False
        total = total * 10 + digit
        at += 1
    value[0] = <int64_t>(0 - total) if negative else <int64_t>total
    return True
