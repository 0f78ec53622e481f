# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of stream_listpack.py's encode and unpack.

They handle nearly all nodes: those whose IDs fit 32 bits relative to the first one. They pass the rest, and anything
damaged, to the pure functions.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from broker.values.listpack_elements cimport (
    MAX_INTEGER_TEXT, element_number, integer_size, next_element, put_integer, put_text, read_element,
)
from broker.values.streams.position_arrays cimport narrowest, position
from protocol.digits cimport parse_number
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
    OWN_NAMES = 0xFF
    # What most entries take besides their fields.
    ENTRY_BYTES = 9

cdef uint64_t LOW = 0xFFFFFFFF
cdef object _PART = (1 << 64) - 1
cdef array.array _LONGS = array.array("Q")


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

cdef int _element(_Buffer out, const uint8_t* text, Py_ssize_t length) except -1:
    out.reserve(length + ELEMENT_BYTES)
    out.size += put_text(out.data + out.size, text, length)
    return 0


cdef int _integer(_Buffer out, int64_t value) except -1:
    out.reserve(ELEMENT_BYTES)
    out.size += put_integer(out.data + out.size, value)
    return 0


cdef int _copy(_Buffer out, const uint8_t* data, Py_ssize_t size) except -1:
    out.reserve(size)
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


def encode(node not None):
    """Returns a node's key and its listpack."""
    if node.shift != NARROW:
        return _encode_any(node)
    cdef bytes packed
    cdef array.array ends, keys = node.keys
    packed, ends = node.packed()
    cdef list names = node.names
    cdef const uint8_t* fields = <const uint8_t*>PyBytes_AS_STRING(packed)
    cdef const uint8_t* text
    cdef uint64_t* key = <uint64_t*>keys.data.as_ulonglongs
    cdef Py_ssize_t lo = node.lo, total = len(keys), names_count = len(names), elements = 4 + names_count
    cdef Py_ssize_t i, step, begin, end, length
    cdef int64_t count
    cdef bint same
    cdef bytes name
    cdef _Buffer out = _Buffer()
    out.reserve(HEADER + PyBytes_GET_SIZE(packed) + ENTRY_BYTES * (total - lo))
    out.size = HEADER
    _integer(out, total - lo)
    _integer(out, 0)
    _integer(out, names_count)
    for name in names:
        _element(out, <const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    _integer(out, 0)
    begin = position(ends, lo - 1) if lo else 0
    for i in range(lo, total):
        end = position(ends, i)
        same = fields[begin] != OWN_NAMES
        _integer(out, ENTRY_SAME_FIELDS if same else 0)
        _integer(out, <int64_t>(key[i] >> 32) - <int64_t>(key[lo] >> 32))
        _integer(out, <int64_t>(key[i] & LOW) - <int64_t>(key[lo] & LOW))
        if same:
            count = names_count
        else:
            begin += 1
            read_element(fields + begin, &text, &length, &count)
        _copy(out, fields + begin, end - begin)
        _integer(out, count + 3 if same else 2 * count + 4)
        elements += count + 4 if same else 2 * count + 5
        begin = end
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

    cdef bint next_canonical(self) noexcept:
        """Reads an element; returns False also if we would have encoded it differently, which no server does."""
        cdef Py_ssize_t begin = self.at
        cdef int64_t number
        if not self.next():
            return False
        if self.length < 0:
            return self.at - begin == integer_size(self.number)
        if self.length <= MAX_INTEGER_TEXT and parse_number(self.text, self.length, &number):
            return False
        return self.text - self.data - begin == (1 if self.length < 64 else 2 if self.length < 4096 else 5)


cdef bytes _text(_Elements element):
    if element.length >= 0:
        return PyBytes_FromStringAndSize(<const char*>element.text, element.length)
    return b"%d" % element.number


def unpack(bytes blob not None, key not None, Py_ssize_t most):
    """Returns the node with this key, the highest ID in it, and how many entries it ever had."""
    node = _unpack_narrow(blob, key >> 64, key & _PART, most)
    return _unpack_any(blob, key, most) if node is None else node


cdef object _unpack_narrow(bytes blob, uint64_t key_ms, uint64_t key_seq, Py_ssize_t most):
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
    cdef Py_ssize_t i
    for i in range(names_count):
        if not element.next():
            return None
        names.append(_text(element))
    if not element.next_number() or element.number:
        return None
    cdef array.array keys = array.clone(_LONGS, live, False)
    cdef array.array ends = array.clone(_LONGS, live, False)
    cdef _Buffer out = _Buffer()
    cdef int64_t flags, own
    cdef uint64_t ms, seq, delta, latest_ms = 0, latest_seq = 0, first_ms = 0, first_seq = 0
    cdef uint64_t gone_ms = 0, gone_seq = 0
    cdef Py_ssize_t live_seen = 0, deleted_seen = 0, begin, end, size
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
        if flags & ENTRY_SAME_FIELDS:
            if not names_count:
                return None
            begin = element.at
            for i in range(names_count):
                if not element.next_canonical():
                    return None
            size = names_count + 3
        else:
            begin = element.at
            if not element.next_canonical() or element.length >= 0:
                return None
            own = element.number
            if own <= 0 or own > total:
                return None
            for i in range(2 * own):
                if not element.next_canonical():
                    return None
            size = 2 * own + 4
        end = element.at
        if not element.next_number() or element.number != size:
            return None
        if flags & ENTRY_DELETED:
            deleted_seen += 1
            gone_ms = ms
            gone_seq = seq
        else:
            if live_seen == live:
                return None
            out.reserve(1 + end - begin)
            if not flags & ENTRY_SAME_FIELDS:
                out.data[out.size] = OWN_NAMES
                out.size += 1
            _copy(out, element.data + begin, end - begin)
            keys.data.as_ulonglongs[live_seen] = delta << 32 | seq
            ends.data.as_ulonglongs[live_seen] = out.size
            live_seen += 1
        if element.seen > most:
            return None
    if live_seen != live or deleted_seen != deleted or (count != COUNT_UNKNOWN and count != element.seen):
        return None
    first = <object>first_ms << 64 | first_seq
    node = StreamNode.sealed(first, names, keys, NARROW, out.taken(), narrowest(ends, live))
    node.tombstone = <object>gone_ms << 64 | gone_seq
    return node, <object>latest_ms << 64 | latest_seq, live_seen + deleted_seen
