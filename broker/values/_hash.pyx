# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Compiled twin of hash.py's `Hash`: a small one is packed, as `length field length value` for each pair.

Finding a field means going through the pairs, which takes a nanosecond or two for each. A hash with more than
MOST_FIELDS fields, a text longer than LONGEST or a deadline becomes a dict, and stays one. The object holds nothing
that could be part of a reference cycle, so the garbage collector can ignore it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_SetItem
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memcpy, memmove

from random import choice, choices, sample

from broker.values import positions
from broker.values.field_deadlines import FieldDeadlines
from broker.values.hash import encoding_of
from protocol.digits cimport bulk_size, put_bulk
from protocol.replies import bulk_run

cdef enum:
    MOST_FIELDS = 64
    LONGEST = 127
    STEP = 16  # bytes by which the block grows: the allocator's granularity


@cython.no_gc
cdef class Hash:
    """See the reference."""

    type_name = "hash"
    __slots__ = ("fields", "deadlines")  # the parts of a large hash to free separately (broker.process.reclaim)

    cdef char* _data
    cdef uint32_t _size
    cdef uint32_t _room
    cdef uint32_t _count  # while it is packed
    cdef readonly dict fields  # None while it is packed
    cdef readonly object deadlines

    def __init__(self, content=None):
        if content is not None:
            self.update(content.items())

    def __dealloc__(self):
        PyMem_Free(self._data)

    def memory(self):
        """Estimates the bytes in use; assumes that all of a dict's texts are as long as the first ones."""
        if self.fields is None:
            return 64 + self._room
        some = [len(field) + len(value) + 66 for _, (field, value) in zip(range(10), self.fields.items())]
        texts = sum(some) * len(self.fields) // len(some) if some else 0
        deadlines = 0 if self.deadlines is None else self.deadlines.__sizeof__() + 120 * len(self.deadlines)
        return 64 + self.fields.__sizeof__() + texts + deadlines

    # The packed form

    cdef char* _find(self, const char* field, Py_ssize_t size) noexcept:
        """Returns where the pair of a field begins, NULL if it does not exist."""
        cdef char* at = self._data
        cdef char* end = at + self._size
        cdef Py_ssize_t length
        while at < end:
            length = at[0]
            if length == size and memcmp(at + 1, field, size) == 0:
                return at
            at += 1 + length
            at += 1 + at[0]
        return NULL

    cdef int _resize(self, Py_ssize_t size) except -1:
        """Makes room for that many bytes in total."""
        cdef Py_ssize_t room = (size + STEP - 1) // STEP * STEP
        cdef char* data
        if room != self._room:
            data = <char*>PyMem_Realloc(self._data, room)
            if data == NULL:
                raise MemoryError
            self._data = data
            self._room = <uint32_t>room
        return 0

    cdef int _put(self, bytes field, bytes value) except -1:
        cdef Py_ssize_t field_size = PyBytes_GET_SIZE(field), size = PyBytes_GET_SIZE(value), before
        cdef Py_ssize_t at
        cdef char* found
        cdef char* p
        if self.fields is not None:
            PyDict_SetItem(self.fields, field, value)
            return 0
        found = NULL
        if field_size <= LONGEST:
            found = self._find(PyBytes_AS_STRING(field), field_size)
        if field_size > LONGEST or size > LONGEST or (found == NULL and self._count == MOST_FIELDS):
            self._unpack()
            PyDict_SetItem(self.fields, field, value)
            return 0
        if found == NULL:
            at = self._size
            self._resize(at + field_size + size + 2)
            p = self._data + at
            p[0] = <char>field_size
            memcpy(p + 1, PyBytes_AS_STRING(field), field_size)
            self._size += <uint32_t>(field_size + size + 2)
            self._count += 1
            p += 1 + field_size
        else:
            before = found[1 + field_size]
            at = found - self._data + 1 + field_size  # the position of the value's length
            if before != size:
                self._move(at + 1 + before, at + 1 + size)
            p = self._data + at
        p[0] = <char>size
        memcpy(p + 1, PyBytes_AS_STRING(value), size)
        return 0

    cdef int _move(self, Py_ssize_t begin, Py_ssize_t to) except -1:
        """Moves everything from `begin` on to another position, which makes the block longer or shorter."""
        cdef Py_ssize_t size = self._size + to - begin
        if to > begin:
            self._resize(size)
        memmove(self._data + to, self._data + begin, self._size - begin)
        self._size = <uint32_t>size
        if to < begin:
            self._resize(size)
        return 0

    cdef int _unpack(self) except -1:
        """Converts the hash to a dict."""
        self.fields = dict(self._pairs())
        PyMem_Free(self._data)
        self._data = NULL
        self._size = self._room = self._count = 0
        return 0

    cdef list _pairs(self):
        cdef list pairs = []
        cdef char* at = self._data
        cdef char* end = at + self._size
        while at < end:
            field = PyBytes_FromStringAndSize(at + 1, at[0])
            at += 1 + at[0]
            pairs.append((field, PyBytes_FromStringAndSize(at + 1, at[0])))
            at += 1 + at[0]
        return pairs

    cdef list _texts(self, bint values):
        """Returns all fields, or all values."""
        cdef list texts = []
        cdef char* at = self._data
        cdef char* end = at + self._size
        while at < end:
            if values:
                at += 1 + at[0]
            texts.append(PyBytes_FromStringAndSize(at + 1, at[0]))
            at += 1 + at[0]
            if not values:
                at += 1 + at[0]
        return texts

    # As a dict

    def __len__(self):
        return self._count if self.fields is None else len(self.fields)

    def __contains__(self, bytes field not None):
        if self.fields is not None:
            return field in self.fields
        return self._find(PyBytes_AS_STRING(field), PyBytes_GET_SIZE(field)) != NULL

    def get(self, bytes field not None, default=None):
        """Returns the value of a field, or `default`."""
        cdef char* at
        cdef PyObject* value
        if self.fields is not None:
            value = PyDict_GetItem(self.fields, field)
            return default if value == NULL else <object>value
        at = self._find(PyBytes_AS_STRING(field), PyBytes_GET_SIZE(field))
        if at == NULL:
            return default
        at += 1 + at[0]
        return PyBytes_FromStringAndSize(at + 1, at[0])

    def __getitem__(self, bytes field not None):
        value = self.get(field)
        if value is None:
            raise KeyError(field)
        return value

    def __setitem__(self, bytes field not None, bytes value not None):
        self._put(field, value)

    def update(self, pairs):
        """Sets the fields of (field, value) pairs."""
        for field, value in pairs:
            if type(field) is not bytes or type(value) is not bytes:
                raise TypeError("fields and values are bytes")
            self._put(field, value)

    def __iter__(self):
        return iter(self._texts(False) if self.fields is None else self.fields)

    def keys(self):
        """Returns all fields."""
        return self._texts(False) if self.fields is None else self.fields.keys()

    def values(self):
        """Returns all values."""
        return self._texts(True) if self.fields is None else self.fields.values()

    def items(self):
        """Returns all pairs of a field and its value."""
        return self._pairs() if self.fields is None else self.fields.items()

    def __eq__(self, other):
        return dict(self.items()) == (dict(other.items()) if isinstance(other, Hash) else other)

    __hash__ = None

    def __repr__(self):
        return f"Hash({dict(self.items())!r})"

    # As a hash

    def discard(self, bytes field not None):
        """See the reference."""
        cdef char* at
        cdef char* behind
        if self.fields is not None:
            if self.fields.pop(field, None) is None:
                return False
            if self.deadlines is not None:
                self.deadlines.pop(field, None)
            return True
        at = self._find(PyBytes_AS_STRING(field), PyBytes_GET_SIZE(field))
        if at == NULL:
            return False
        behind = at + 1 + at[0]
        behind += 1 + behind[0]
        self._count -= 1
        self._move(behind - self._data, at - self._data)
        return True

    def expire_at(self, field, deadline):
        """See the reference."""
        if self.fields is None:
            self._unpack()
        if self.deadlines is None:
            self.deadlines = FieldDeadlines()
        self.deadlines.put(field, deadline)

    def persist(self, field):
        """See the reference."""
        return self.deadlines is not None and self.deadlines.pop(field, None) is not None

    def earliest_deadline(self):
        """See the reference."""
        earliest = self.deadlines and self.deadlines.earliest()
        return earliest[0] if earliest else None

    def remove_due(self, now, limit):
        """See the reference."""
        cdef list removed = []
        while len(removed) < limit and self.deadlines and (earliest := self.deadlines.earliest()):
            deadline, field = earliest
            if deadline >= now:
                break
            self.discard(field)
            removed.append(field)
        return removed

    def clone(self):
        """See the reference."""
        cdef Hash twin = Hash()
        if self.fields is None:
            twin._resize(self._size)
            memcpy(twin._data, self._data, self._size)
            twin._size = self._size
            twin._count = self._count
            return twin
        twin.fields = dict(self.fields)
        if self.deadlines is not None:
            twin.deadlines = self.deadlines.clone()
        return twin

    def bulk_run(self):
        """See the reference."""
        cdef char* at = self._data
        cdef char* end = at + self._size
        cdef Py_ssize_t total = 0
        cdef bytes out
        cdef char* p
        if self.fields is not None:
            return bulk_run([text for pair in self.fields.items() for text in pair])
        while at < end:
            total += bulk_size(at[0])
            at += 1 + at[0]
        out = PyBytes_FromStringAndSize(NULL, total)
        p = PyBytes_AS_STRING(out)
        at = self._data
        while at < end:
            p = put_bulk(p, at + 1, at[0])
            at += 1 + at[0]
        return out

    def scan(self, cursor, count):
        """See the reference. Returns a packed hash as a whole, whatever the cursor, so that nothing is ever missed."""
        if self.fields is None:
            return 0, self._texts(False)
        return positions.window(self.fields, cursor, count)

    def random_field(self):
        """See the reference."""
        if self.fields is None:
            return choice(self._texts(False))
        return positions.random_key(self.fields)

    def sample_fields(self, count):
        """See the reference."""
        if self.fields is None:
            return self._texts(False) if count >= self._count else sample(self._texts(False), count)
        return positions.sample_keys(self.fields, count)

    def draw_fields(self, count):
        """See the reference."""
        if self.fields is None:
            return choices(self._texts(False), k=count)
        return positions.draw_keys(self.fields, count)

    def encoding(self, max_entries, max_value):
        """See the reference."""
        if self.fields is None and max_value >= LONGEST and self._count <= max_entries:
            return b"listpack"
        return encoding_of(self.items(), self.deadlines is not None, max_entries, max_value)
