# The storage of a compiled list: elements packed in blocks. Included by _list.pyx, which gives the reasons.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memcpy, memmove

cdef enum:
    BLOCK = 4096
    SMALLEST = 64  # bytes of a list's first block
    FURTHER = 512  # initial bytes of further blocks: the list is large by then
    PLAIN = 1024
    OBJECT_SIZE = 33  # overhead of a bytes object
    BLOCKS_AT_ONCE = 4

cdef struct Block:
    char* data  # NULL: `plain` is the one element
    PyObject* plain
    uint32_t begin
    uint32_t end
    uint32_t capacity
    uint32_t count


cdef struct Cursor:
    Block* block
    const char* at  # where the next element of the block begins
    Py_ssize_t left  # elements left in the block from there on
    const char* text  # the last element stepped over
    Py_ssize_t size


cdef inline Py_ssize_t packed_size(Py_ssize_t size) noexcept nogil:
    return size + (2 if size < 128 else 4)


cdef inline void put(char* at, const char* element, Py_ssize_t size) noexcept nogil:
    """Writes an element with its length on either side."""
    if size < 128:
        at[0] = at[size + 1] = <char>size
        memcpy(at + 1, element, size)
        return
    at[0] = at[size + 3] = <char>(0x80 | (size & 0x7F))
    at[1] = at[size + 2] = <char>(size >> 7)
    memcpy(at + 2, element, size)


cdef inline Py_ssize_t size_behind(const char* at) noexcept nogil:
    """Returns the length of the element that begins here."""
    cdef unsigned char first = <unsigned char>at[0]
    return first if first < 128 else (first & 0x7F) | <Py_ssize_t>(<unsigned char>at[1]) << 7


cdef inline Py_ssize_t size_before(const char* at) noexcept nogil:
    """Returns the length of the element that ends here."""
    cdef unsigned char last = <unsigned char>(at - 1)[0]
    return last if last < 128 else (last & 0x7F) | <Py_ssize_t>(<unsigned char>(at - 2)[0]) << 7


cdef inline const char* content(const char* at, Py_ssize_t size) noexcept nogil:
    return at + (1 if size < 128 else 2)


cdef inline void step(Cursor* cursor) noexcept:
    """Steps over the next element, which must exist."""
    if cursor.left == 0:
        cursor.block += 1
        cursor.left = cursor.block.count
        cursor.at = cursor.block.data + cursor.block.begin
    cursor.left -= 1
    if cursor.block.data == NULL:
        cursor.text = PyBytes_AS_STRING(<object>cursor.block.plain)
        cursor.size = PyBytes_GET_SIZE(<object>cursor.block.plain)
        return
    cursor.size = size_behind(cursor.at)
    cursor.text = content(cursor.at, cursor.size)
    cursor.at += packed_size(cursor.size)


cdef inline bint _equal(Block* block, const char* text, Py_ssize_t size) noexcept:
    """Whether a plain block's element equals this text."""
    if PyBytes_GET_SIZE(<object>block.plain) != size:
        return False
    return memcmp(PyBytes_AS_STRING(<object>block.plain), text, size) == 0


cdef class Blocks:
    """The blocks of a list, and access to elements by position; the caller checks the length."""

    cdef Block* _blocks  # those in use begin at `_first`
    cdef Py_ssize_t _first
    cdef Py_ssize_t _used
    cdef Py_ssize_t _room
    cdef Py_ssize_t _length
    cdef Py_ssize_t _bytes  # allocated for blocks and for plain elements

    def __dealloc__(self):
        self._free_all()

    # Blocks

    cdef void _free(self, Block* block) noexcept:
        if block.data != NULL:
            self._bytes -= block.capacity
            PyMem_Free(block.data)
        elif block.plain != NULL:
            self._bytes -= PyBytes_GET_SIZE(<object>block.plain) + OBJECT_SIZE
            Py_XDECREF(block.plain)

    cdef void _free_all(self) noexcept:
        cdef Py_ssize_t i
        for i in range(self._first, self._first + self._used):
            self._free(&self._blocks[i])
        PyMem_Free(self._blocks)
        self._blocks = NULL
        self._first = self._used = self._room = self._length = 0

    cdef Block* _insert_block(self, Py_ssize_t place) except NULL:
        """Makes room for a block at position `place`, moving later ones, and returns it, all zero."""
        cdef Py_ssize_t room, first, before = place, behind = self._used - place
        cdef Block* blocks
        cdef Block* block
        if before <= behind and self._first > 0:
            self._first -= 1
            memmove(&self._blocks[self._first], &self._blocks[self._first + 1], before * sizeof(Block))
        elif behind <= before and self._first + self._used < self._room:
            block = &self._blocks[self._first + place]
            memmove(block + 1, block, behind * sizeof(Block))
        else:
            # Half as much again, on the side that grows.
            room = self._used + self._used // 2 + BLOCKS_AT_ONCE
            if self._used == 0:
                room = 1
            blocks = <Block*>PyMem_Malloc(room * sizeof(Block))
            if blocks == NULL:
                raise MemoryError
            first = 0
            if self._used:
                first = room - self._used - 1 if before < behind or (before == 0 and behind > 0) else 0
            memcpy(&blocks[first], &self._blocks[self._first], before * sizeof(Block))
            memcpy(&blocks[first + place + 1], &self._blocks[self._first + place], behind * sizeof(Block))
            PyMem_Free(self._blocks)
            self._blocks = blocks
            self._first = first
            self._room = room
        self._used += 1
        block = &self._blocks[self._first + place]
        block.data = NULL
        block.plain = NULL
        block.begin = block.end = block.capacity = block.count = 0
        return block

    cdef void _remove_block(self, Py_ssize_t place) noexcept:
        """Frees the block at position `place`. Keeps the array, since a list that was long may grow again."""
        cdef Block* block = &self._blocks[self._first + place]
        self._free(block)
        if place <= self._used - 1 - place:
            memmove(&self._blocks[self._first + 1], &self._blocks[self._first], place * sizeof(Block))
            self._first += 1
        else:
            memmove(block, block + 1, (self._used - 1 - place) * sizeof(Block))
        self._used -= 1

    cdef int _allocate(self, Block* block, Py_ssize_t capacity, Py_ssize_t begin) except -1:
        """Gives a block a new buffer of that size, with its content at `begin`."""
        cdef char* data = <char*>PyMem_Malloc(capacity)
        cdef Py_ssize_t used = block.end - block.begin
        if data == NULL:
            raise MemoryError
        if block.data != NULL:
            memcpy(data + begin, block.data + block.begin, used)
            PyMem_Free(block.data)
        self._bytes += capacity - block.capacity
        block.data = data
        block.capacity = <uint32_t>capacity
        block.begin = <uint32_t>begin
        block.end = <uint32_t>(begin + used)
        return 0

    cdef Block* _block_for(self, Py_ssize_t need, bint left) except NULL:
        """Returns the block at an end, with room for that many bytes on its outer side."""
        cdef Block* block
        cdef Py_ssize_t used, capacity
        if self._used:
            block = &self._blocks[self._first + (0 if left else self._used - 1)]
            if block.data != NULL:
                used = block.end - block.begin
                # Move the content only if that frees a quarter of the block, so that the cost per element is low.
                if used + need <= block.capacity and used <= block.capacity - (block.capacity >> 2):
                    capacity = block.capacity - used if left else 0
                    memmove(block.data + capacity, block.data + block.begin, used)
                    block.begin = <uint32_t>capacity
                    block.end = <uint32_t>(capacity + used)
                    return block
                if used + need <= BLOCK and block.capacity < BLOCK:
                    capacity = block.capacity * 2
                    while capacity < used + need:
                        capacity *= 2
                    self._allocate(block, capacity, capacity - used if left else 0)
                    return block
        capacity = FURTHER if self._used else SMALLEST
        while capacity < need:
            capacity *= 2
        block = self._insert_block(0 if left else self._used)
        try:
            self._allocate(block, capacity, 0)
        except MemoryError:
            self._used -= 1
            if left:
                self._first += 1
            raise
        if left:
            block.begin = block.end = <uint32_t>capacity
        return block

    # Elements at the ends

    cdef int _push_plain(self, bytes element, bint left) except -1:
        cdef Block* block = self._insert_block(0 if left else self._used)
        Py_INCREF(element)
        block.plain = <PyObject*>element
        block.count = 1
        self._bytes += PyBytes_GET_SIZE(element) + OBJECT_SIZE
        self._length += 1
        return 0

    cdef int _push_right(self, bytes element) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(element)
        cdef Py_ssize_t need = packed_size(size)
        cdef Block* block
        if size > PLAIN:
            return self._push_plain(element, False)
        block = &self._blocks[self._first + self._used - 1]
        if self._used == 0 or block.data == NULL or block.capacity - block.end < need:
            block = self._block_for(need, False)
        put(block.data + block.end, PyBytes_AS_STRING(element), size)
        block.end += <uint32_t>need
        block.count += 1
        self._length += 1
        return 0

    cdef int _push_left(self, bytes element) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(element)
        cdef Py_ssize_t need = packed_size(size)
        cdef Block* block
        if size > PLAIN:
            return self._push_plain(element, True)
        block = &self._blocks[self._first]
        if self._used == 0 or block.data == NULL or block.begin < need:
            block = self._block_for(need, True)
        block.begin -= <uint32_t>need
        put(block.data + block.begin, PyBytes_AS_STRING(element), size)
        block.count += 1
        self._length += 1
        return 0

    cdef bytes _take_left(self):
        cdef Block* block = &self._blocks[self._first]
        cdef bytes element
        cdef Py_ssize_t size
        if block.data == NULL:
            element = <bytes>block.plain
        else:
            size = size_behind(block.data + block.begin)
            element = PyBytes_FromStringAndSize(content(block.data + block.begin, size), size)
            block.begin += <uint32_t>packed_size(size)
        block.count -= 1
        self._length -= 1
        if block.count == 0:
            self._remove_block(0)
        return element

    cdef bytes _take_right(self):
        cdef Block* block = &self._blocks[self._first + self._used - 1]
        cdef bytes element
        cdef Py_ssize_t size
        if block.data == NULL:
            element = <bytes>block.plain
        else:
            size = size_before(block.data + block.end)
            block.end -= <uint32_t>packed_size(size)
            element = PyBytes_FromStringAndSize(content(block.data + block.end, size), size)
        block.count -= 1
        self._length -= 1
        if block.count == 0:
            self._remove_block(self._used - 1)
        return element

    # Elements by index

    cdef Py_ssize_t _find(self, Py_ssize_t* index) noexcept:
        """Returns the position of the block with the element at `index`, which becomes the index in that block."""
        cdef Py_ssize_t place, behind
        if index[0] < self._length // 2:
            place = 0
            while index[0] >= self._blocks[self._first + place].count:
                index[0] -= self._blocks[self._first + place].count
                place += 1
            return place
        behind = self._length - index[0]  # elements from this one to the end
        place = self._used - 1
        while behind > self._blocks[self._first + place].count:
            behind -= self._blocks[self._first + place].count
            place -= 1
        index[0] = self._blocks[self._first + place].count - behind
        return place

    cdef const char* _at(self, Block* block, Py_ssize_t index) noexcept:
        """Returns where an element of a block begins, or the end for the index after the last."""
        cdef const char* at
        if index <= <Py_ssize_t>block.count // 2:
            at = block.data + block.begin
            for _ in range(index):
                at += packed_size(size_behind(at))
            return at
        at = block.data + block.end
        for _ in range(block.count - index):
            at -= packed_size(size_before(at))
        return at

    cdef list _elements(self, Block* block):
        """Returns the elements of a block."""
        cdef const char* at
        cdef Py_ssize_t i, size
        cdef list elements
        if block.data == NULL:
            return [<bytes>block.plain]
        elements = PyList_New(block.count)
        at = block.data + block.begin
        for i in range(block.count):
            size = size_behind(at)
            element = PyBytes_FromStringAndSize(content(at, size), size)
            Py_INCREF(element)
            PyList_SET_ITEM(elements, i, element)
            at += packed_size(size)
        return elements

    cdef int _rewrite(self, Py_ssize_t place, list elements) except -1:
        """Replaces the elements of the block at position `place`, with one block or, if they are many, two halves."""
        cdef Py_ssize_t at, total = 0
        cdef Blocks fresh = Blocks.__new__(Blocks)
        cdef bytes element
        for element in elements:
            total += packed_size(PyBytes_GET_SIZE(element))
        half = len(elements) // 2 if total > BLOCK else 0
        for at, element in enumerate(elements):
            if at and at == half and PyBytes_GET_SIZE(element) <= PLAIN:
                fresh._allocate(fresh._insert_block(fresh._used), FURTHER, 0)
            fresh._push_right(element)
        for at in range(1, fresh._used):
            self._insert_block(place + 1)
        self._length += fresh._length - self._blocks[self._first + place].count
        for at in range(fresh._used):
            if at == 0:
                self._free(&self._blocks[self._first + place])
            self._blocks[self._first + place + at] = fresh._blocks[fresh._first + at]
        self._bytes += fresh._bytes
        fresh._used = 0
        return 0

    cdef Cursor _from(self, Py_ssize_t index) noexcept:
        """Returns a cursor in front of an existing element."""
        cdef Cursor cursor
        cursor.block = &self._blocks[self._first + self._find(&index)]
        cursor.left = cursor.block.count - index
        cursor.at = NULL if cursor.block.data == NULL else self._at(cursor.block, index)
        return cursor
