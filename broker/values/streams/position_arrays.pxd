"""Ascending positions in arrays of 2, 4 or 8 bytes each (see ends_array in packed_fields.py), for the compiled modules.

Everything is inline: it is compiled into the modules that use it, and nothing is imported at run time.
"""

from cpython cimport array
from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef inline Py_ssize_t position(array.array positions, Py_ssize_t i) noexcept:
    """Returns one element of such an array."""
    if positions.ob_descr.itemsize == 2:
        return positions.data.as_ushorts[i]
    if positions.ob_descr.itemsize == 4:
        return positions.data.as_uints[i]
    return <Py_ssize_t>positions.data.as_ulonglongs[i]


cdef inline array.array narrowest(array.array positions, Py_ssize_t count):
    """Returns the first `count` positions, all in 8 bytes, in the narrowest array that can hold them."""
    cdef uint64_t* source = <uint64_t*>positions.data.as_ulonglongs
    cdef uint64_t last = source[count - 1] if count else 0
    cdef Py_ssize_t i
    cdef array.array narrow
    if last <= 0xFFFF:
        narrow = array.clone(array.array("H"), count, False)
        for i in range(count):
            narrow.data.as_ushorts[i] = <uint16_t>source[i]
    elif last <= 0xFFFFFFFF:
        narrow = array.clone(array.array("I"), count, False)
        for i in range(count):
            narrow.data.as_uints[i] = <uint32_t>source[i]
    else:
        return positions[:count]
    return narrow
