"""Functions on encoded elements that _listpack.pyx shares with other compiled modules."""

from libc.stdint cimport int64_t, uint8_t

cdef Py_ssize_t put_integer(uint8_t* out, int64_t value) noexcept nogil
cdef Py_ssize_t put_text(uint8_t* out, const uint8_t* text, Py_ssize_t length) noexcept nogil
cdef Py_ssize_t next_element(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t last, Py_ssize_t* head, Py_ssize_t* length
) noexcept nogil
cdef int64_t element_number(const uint8_t* data, uint8_t first, Py_ssize_t size) noexcept nogil
