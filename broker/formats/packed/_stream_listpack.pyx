# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of stream_listpack.py's encode and unpack.

They handle nearly all nodes: those whose IDs fit 32 bits relative to the first one. They pass the rest, and anything
damaged, to the pure functions.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from protocol.digits cimport put_header, put_number
from broker.formats.packed._listpack cimport element_number, next_element, put_integer, put_text
from broker.formats.packed.stream_listpack import NARROW, encode as _encode_any, unpack as _unpack_any
from broker.values.streams.node import StreamNode

cdef enum:
    HEADER = 6
    END = 0xFF
    COUNT_UNKNOWN = 0xFFFF
    ENTRY_DELETED = 1
    ENTRY_SAME_FIELDS = 2
    # An element's maximum overhead besides its text.
    ELEMENT_BYTES = 10
    # `$`, 20 digits, and two line ends.
    BULK_BYTES = 25

cdef uint64_t LOW = 0xFFFFFFFF
cdef object _PART = (1 << 64) - 1
cdef array.array _LONGS = array.array("Q")
cdef array.array _SHORTS = array.array("H")
cdef array.array _WORDS = array.array("I")


cdef class _Buffer:
    """A growing buffer of bytes."""

    cdef uint8_t* data
    cdef Py_ssize_t size, capacity

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, Py_ssize_t extra) except -1:
        """Makes room for `extra` more bytes."""
        cdef Py_ssize_t wanted = self.size + extra
        cdef uint8_t* data
        if wanted > self.capacity:
            wanted += wanted >> 1
            data = <uint8_t*>realloc(self.data, wanted)
            if data == NULL:
                raise MemoryError
            self.data = data
            self.capacity = wanted
        return 0

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(<char*>self.data, self.size)


# Saving

cdef Py_ssize_t _number_line(const uint8_t* data, Py_ssize_t* at) noexcept nogil:
    """Reads the number after the type byte at `at`, and moves `at` past the line."""
    cdef Py_ssize_t number = 0, here = at[0] + 1
    while data[here] != 13:
        number = number * 10 + (data[here] - 48)
        here += 1
    at[0] = here + 2
    return number


cdef int _element(_Buffer out, const uint8_t* text, Py_ssize_t length) except -1:
    out.reserve(length + ELEMENT_BYTES)
    out.size += put_text(out.data + out.size, text, length)
    return 0


cdef int _integer(_Buffer out, int64_t value) except -1:
    out.reserve(ELEMENT_BYTES)
    out.size += put_integer(out.data + out.size, value)
    return 0


cdef Py_ssize_t _end(array.array ends, Py_ssize_t i) noexcept:
    """Returns one element of an array of any width."""
    if ends.ob_descr.itemsize == 2:
        return ends.data.as_ushorts[i]
    if ends.ob_descr.itemsize == 4:
        return ends.data.as_uints[i]
    return <Py_ssize_t>ends.data.as_ulonglongs[i]


cdef bint _same_names(const uint8_t* fields, Py_ssize_t at, Py_ssize_t count, list names):
    """Whether an entry, whose first field is at `at`, has these names."""
    cdef Py_ssize_t i, length
    cdef bytes name
    if count != len(names):
        return False
    for i in range(count):
        name = <bytes>names[i]
        length = _number_line(fields, &at)
        if length != PyBytes_GET_SIZE(name) or memcmp(fields + at, PyBytes_AS_STRING(name), length):
            return False
        at += length + 2
        length = _number_line(fields, &at)
        at += length + 2
    return True


def encode(node not None):
    """Returns a node's key and its listpack."""
    if node.texts is not None or node.shift != NARROW:
        return _encode_any(node)
    cdef bytes blob = node.packed_fields()
    cdef array.array ends = node.packed_ends()
    cdef array.array keys = node.keys
    cdef list names = node.names
    cdef const uint8_t* fields = <const uint8_t*>PyBytes_AS_STRING(blob)
    cdef unsigned long long* key = keys.data.as_ulonglongs
    cdef Py_ssize_t lo = node.lo, total = len(keys), i, step, at, count, length, elements
    cdef Py_ssize_t names_count = len(names)
    cdef uint64_t ms = key[lo] >> 32, seq = key[lo] & LOW
    cdef bint same
    cdef bytes name
    cdef _Buffer out = _Buffer()
    out.reserve(HEADER + PyBytes_GET_SIZE(blob))
    out.size = HEADER
    _integer(out, total - lo)
    _integer(out, 0)
    _integer(out, names_count)
    for i in range(names_count):
        name = <bytes>names[i]
        _element(out, <const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    _integer(out, 0)
    elements = 4 + names_count
    at = _end(ends, lo - 1) if lo else 0
    for i in range(lo, total):
        count = _number_line(fields, &at) // 2
        same = _same_names(fields, at, count, names)
        _integer(out, ENTRY_SAME_FIELDS if same else 0)
        _integer(out, <int64_t>(key[i] >> 32) - <int64_t>ms)
        _integer(out, <int64_t>(key[i] & LOW) - <int64_t>seq)
        if not same:
            _integer(out, count)
        for step in range(2 * count):
            length = _number_line(fields, &at)
            if not same or step & 1:
                _element(out, fields + at, length)
            at += length + 2
        _integer(out, count + 3 if same else 2 * count + 4)
        elements += count + 4 if same else 2 * count + 5
    out.reserve(1)
    out.data[out.size] = END
    out.size += 1
    for step in range(4):
        out.data[step] = <uint8_t>(out.size >> (8 * step) & 0xFF)
    if elements > COUNT_UNKNOWN:
        elements = COUNT_UNKNOWN
    out.data[4] = <uint8_t>(elements & 0xFF)
    out.data[5] = <uint8_t>(elements >> 8)
    return node.id_at(lo), out.taken()


# Loading

cdef class _Elements:
    """A position in a listpack."""

    cdef const uint8_t* data
    cdef Py_ssize_t at, last, seen
    # The last element read: where its text begins, its length (-1: a number), the number.
    cdef const uint8_t* text
    cdef Py_ssize_t length
    cdef int64_t number

    cdef bint next(self) noexcept:
        """Reads an element; returns False at the end and for a damaged one."""
        cdef Py_ssize_t size, head
        cdef uint8_t first = self.data[self.at]
        if self.at >= self.last or first == END:
            return False
        size = next_element(self.data, self.at, self.last, &head, &self.length)
        if size < 0:
            return False
        if self.length >= 0:
            self.text = self.data + self.at + head
        elif first < 0x80:
            self.number = first
        else:
            self.number = element_number(self.data + self.at, first, size)
        self.seen += 1
        self.at += size + 1
        while size >= 128:
            self.at += 1
            size >>= 7
        return True

    cdef bint next_number(self) noexcept:
        return self.next() and self.length < 0


cdef int _bulk(_Buffer out, _Elements element) except -1:
    """Appends the last element read as a bulk string."""
    cdef uint8_t digits[24]
    cdef const uint8_t* text = element.text
    cdef Py_ssize_t length = element.length
    if length < 0:
        text = digits
        if element.number < 0:
            digits[0] = 45
            length = put_number(<char*>digits + 1, 0 - <uint64_t>element.number) - <char*>digits
        else:
            length = put_number(<char*>digits, <uint64_t>element.number) - <char*>digits
    out.reserve(length + BULK_BYTES)
    out.size = put_header(<char*>out.data + out.size, 36, length) - <char*>out.data
    memcpy(out.data + out.size, text, length)
    out.size += length
    out.data[out.size] = 13
    out.data[out.size + 1] = 10
    out.size += 2
    return 0


cdef bytes _text(_Elements element):
    if element.length >= 0:
        return PyBytes_FromStringAndSize(<const char*>element.text, element.length)
    return b"%d" % element.number


cdef int _append(_Buffer out, _Buffer other, Py_ssize_t begin, Py_ssize_t end) except -1:
    out.reserve(end - begin)
    memcpy(out.data + out.size, other.data + begin, end - begin)
    out.size += end - begin
    return 0


def unpack(bytes blob not None, key not None, Py_ssize_t most, Py_ssize_t space):
    """Returns the node with this key, the highest ID in it, and how many entries it ever had."""
    node = _unpack_narrow(blob, key >> 64, key & _PART, most, space)
    return _unpack_any(blob, key, most, space) if node is None else node


cdef object _unpack_narrow(bytes blob, uint64_t key_ms, uint64_t key_seq, Py_ssize_t most, Py_ssize_t space):
    """Returns None if the pure function must do it, or find out what is wrong."""
    cdef _Elements element = _Elements()
    cdef Py_ssize_t total = PyBytes_GET_SIZE(blob)
    element.data = <const uint8_t*>PyBytes_AS_STRING(blob)
    element.at = HEADER
    element.last = total - 1
    if total < HEADER + 1 or element.data[total - 1] != END:
        return None
    if <uint32_t>(
        element.data[0] | element.data[1] << 8 | element.data[2] << 16 | <uint32_t>element.data[3] << 24
    ) != <uint64_t>total:
        return None
    cdef Py_ssize_t count = element.data[4] | element.data[5] << 8
    cdef int64_t live, deleted, names_count
    if not element.next_number():
        return None
    live = element.number
    if not element.next_number():
        return None
    deleted = element.number
    if not element.next_number():
        return None
    names_count = element.number
    # Each takes at least two bytes.
    if live <= 0 or deleted < 0 or names_count < 0 or live > total or deleted > total or names_count > total:
        return None
    cdef list names = []
    cdef _Buffer name_bulks = _Buffer()
    cdef Py_ssize_t i
    cdef array.array name_ends = array.clone(_LONGS, names_count, False)
    for i in range(names_count):
        if not element.next():
            return None
        names.append(_text(element))
        _bulk(name_bulks, element)
        name_ends.data.as_ulonglongs[i] = name_bulks.size
    if not element.next_number() or element.number:
        return None
    cdef array.array keys = array.clone(_LONGS, live, False)
    cdef array.array ends = array.clone(_LONGS, live, False)
    cdef _Buffer out = _Buffer()
    cdef int64_t flags, own
    cdef uint64_t ms, seq, delta, latest_ms = 0, latest_seq = 0, first_ms = 0, first_seq = 0
    cdef uint64_t gone_ms = 0, gone_seq = 0
    cdef Py_ssize_t live_seen = 0, deleted_seen = 0, before, begin, size
    while element.at < element.last:
        if not element.next_number():
            return None
        flags = element.number
        if not element.next_number():
            return None
        ms = key_ms + <uint64_t>element.number
        if not element.next_number():
            return None
        seq = key_seq + <uint64_t>element.number
        if live_seen + deleted_seen:
            if ms < latest_ms or (ms == latest_ms and seq <= latest_seq):
                return None
        else:
            if ms < key_ms or (ms == key_ms and seq < key_seq) or not (ms | seq):
                return None
            first_ms = ms
            first_seq = seq
            if seq >> 31:
                return None
        latest_ms = ms
        latest_seq = seq
        delta = ms - first_ms
        if (delta | seq) >> 32:
            return None
        before = out.size
        if flags & ENTRY_SAME_FIELDS:
            if not names_count:
                return None
            out.reserve(BULK_BYTES)
            out.size = put_header(<char*>out.data + out.size, 42, 2 * names_count) - <char*>out.data
            begin = 0
            for i in range(names_count):
                if not element.next():
                    return None
                _append(out, name_bulks, begin, name_ends.data.as_ulonglongs[i])
                begin = name_ends.data.as_ulonglongs[i]
                _bulk(out, element)
                if out.size > space:
                    return None
            size = names_count + 3
        else:
            if not element.next_number():
                return None
            own = element.number
            if own <= 0 or own > total:
                return None
            out.reserve(BULK_BYTES)
            out.size = put_header(<char*>out.data + out.size, 42, 2 * own) - <char*>out.data
            for i in range(2 * own):
                if not element.next():
                    return None
                _bulk(out, element)
                if out.size > space:
                    return None
            size = 2 * own + 4
        if not element.next_number() or element.number != size:
            return None
        if flags & ENTRY_DELETED:
            deleted_seen += 1
            out.size = before
            gone_ms = ms
            gone_seq = seq
        else:
            if live_seen == live:
                return None
            keys.data.as_ulonglongs[live_seen] = delta << 32 | seq
            ends.data.as_ulonglongs[live_seen] = out.size
            live_seen += 1
        if element.seen > most:
            return None
    if live_seen != live or deleted_seen != deleted or (count != COUNT_UNKNOWN and count != element.seen):
        return None
    first = <object>first_ms << 64 | first_seq
    node = StreamNode.sealed(first, names, keys, NARROW, out.taken(), _narrowed(ends, out.size))
    node.tombstone = <object>gone_ms << 64 | gone_seq
    return node, <object>latest_ms << 64 | latest_seq, live_seen + deleted_seen


cdef array.array _narrowed(array.array ends, Py_ssize_t size):
    """Returns the ends in the narrowest array that can hold them."""
    cdef Py_ssize_t i, count = len(ends)
    cdef array.array narrow
    if size <= 0xFFFF:
        narrow = array.clone(_SHORTS, count, False)
        for i in range(count):
            narrow.data.as_ushorts[i] = <unsigned short>ends.data.as_ulonglongs[i]
        return narrow
    if size <= <Py_ssize_t>LOW:
        narrow = array.clone(_WORDS, count, False)
        for i in range(count):
            narrow.data.as_uints[i] = <unsigned int>ends.data.as_ulonglongs[i]
        return narrow
    return ends
