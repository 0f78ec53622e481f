# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=False
"""Compiled twin of score_order.py: the same results in less time and memory. See there for what the methods promise.

Entries of consecutive ranks lie in blocks: an array of scores and an array of members, filled from `begin` up to
`end`. A search bisects the blocks' first scores, which lie together, and then one block; a change moves the shorter
side of a block. Ranks come from a Fenwick tree over the blocks' sizes. It is kept up to date while the blocks stay the
same, and rebuilt when a rank is needed after a split or a join. That takes O(n / ROOM), but the number of changes
between two rebuilds grows with ROOM. Everything else is O(log n).

Every allocation precedes the first change, and last references are dropped once all arrays are consistent again.
Between a search and the use of its result, no new container is created (which may run the garbage collector, and that
finalizers) and no method that a class could define is called. Nothing here can be part of a reference cycle, so the
collector can ignore it: members are bytes, which the blocks own.
"""

cimport cython
from cpython.bytes cimport PyBytes_Check
from cpython.dict cimport PyDict_Next, PyDict_Size
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check, PyFloat_CheckExact
from cpython.long cimport PyLong_AsDouble, PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memcpy, memmove

cdef extern from "Python.h":
    # Declared again, because a comparison within qsort() must not touch reference counts.
    Py_ssize_t PyBytes_GET_SIZE(PyObject *) nogil
    char *PyBytes_AS_STRING(PyObject *) nogil
    # Declared with NULL as the exception: then it returns the nearest representable number.
    Py_ssize_t PyNumber_AsSsize_t(object, PyObject *) except? -1

cdef enum:
    ROOM = 256  # entries in a full block
    ROOM_AT_FIRST = 4
    NEAR = 16  # blocks from the front that are looked at one by one
    BEFORE_TIES = -1
    AT_MEMBER = 0
    AFTER_TIES = 1

EMPTY = "an empty sorted set"

ctypedef struct Entry:
    double score
    PyObject *member


cdef inline int order_of_members(PyObject *one, PyObject *other) noexcept nogil:
    cdef Py_ssize_t one_size = PyBytes_GET_SIZE(one)
    cdef Py_ssize_t other_size = PyBytes_GET_SIZE(other)
    cdef int order = memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), min(one_size, other_size))
    return order if order else (one_size > other_size) - (one_size < other_size)


cdef inline int order_of(double score, PyObject *member, double other_score, PyObject *other, int place) noexcept nogil:
    """Returns < 0, 0 or > 0 for an entry before, at or after the place (`other` only counts with AT_MEMBER)."""
    if score < other_score:
        return -1
    if score > other_score:
        return 1
    return order_of_members(member, other) if place == AT_MEMBER else -place


cdef int order_of_entries(const void *one, const void *other) noexcept nogil:
    cdef const Entry *a = <const Entry *>one
    cdef const Entry *b = <const Entry *>other
    return order_of(a.score, a.member, b.score, b.member, AT_MEMBER)


cdef object _normal(score, double value):
    """Returns the score as it is stored: a float, 0 instead of -0."""
    return score if value and PyFloat_CheckExact(score) else value + 0.0


cdef int check_member(object member) except -1:
    if not PyBytes_Check(member):
        raise TypeError("a member is bytes")
    return 0


@cython.final
cdef class _Block:
    cdef double *scores
    cdef PyObject **members
    cdef int begin
    cdef int end
    cdef int room

    def __dealloc__(self):
        cdef int at
        for at in range(self.begin, self.end):
            Py_DECREF(<object>self.members[at])
        PyMem_Free(self.scores)

    def __len__(self):
        return self.end - self.begin

    def __sizeof__(self):
        return object.__sizeof__(self) + self.room * (sizeof(double) + sizeof(PyObject *))

    cdef int make_room(self, int room) except -1:
        """Moves to arrays with room for that many entries, and at least for the present ones."""
        cdef int count = self.end - self.begin
        cdef double *scores = <double *>PyMem_Malloc(room * (sizeof(double) + sizeof(PyObject *)))
        if scores == NULL:
            raise MemoryError
        cdef PyObject **members = <PyObject **>(scores + room)
        if count:
            memcpy(scores, self.scores + self.begin, count * sizeof(double))
            memcpy(members, self.members + self.begin, count * sizeof(PyObject *))
        PyMem_Free(self.scores)
        self.scores = scores
        self.members = members
        self.begin = 0
        self.end = count
        self.room = room
        return 0

    cdef int find(self, double score, PyObject *member, int place) noexcept:
        """Returns the index of the first entry that is not before the place, or `end`."""
        cdef int low = self.begin, high = self.end, middle
        while low < high:
            middle = (low + high) >> 1
            if order_of(self.scores[middle], self.members[middle], score, member, place) < 0:
                low = middle + 1
            else:
                high = middle
        return low

    cdef void shift(self, int source, int target, int count) noexcept:
        memmove(self.scores + target, self.scores + source, count * sizeof(double))
        memmove(self.members + target, self.members + source, count * sizeof(PyObject *))

    cdef void insert(self, int at, double score, PyObject *member) noexcept:
        """Inserts an entry before the one at `at`. There must be room; the block takes over the reference."""
        if self.begin and (self.end == self.room or at - self.begin < self.end - at):
            self.shift(self.begin, self.begin - 1, at - self.begin)
            self.begin -= 1
            at -= 1
        else:
            self.shift(at, at + 1, self.end - at)
            self.end += 1
        self.scores[at] = score
        self.members[at] = member

    cdef void remove(self, int at, int count) noexcept:
        """Closes the gap left by entries whose references the caller has taken over."""
        if at - self.begin < self.end - at - count:
            self.shift(self.begin, self.begin + count, at - self.begin)
            self.begin += count
        else:
            self.shift(at + count, at, self.end - at - count)
            self.end -= count
        if self.begin == self.end:
            self.begin = self.end = 0

    cdef void forget(self, int start, int stop) noexcept:
        """Removes entries and their references."""
        cdef PyObject *forgotten[ROOM]
        cdef int count = stop - start, at
        memcpy(forgotten, self.members + start, count * sizeof(PyObject *))
        self.remove(start, count)
        for at in range(count):
            Py_DECREF(<object>forgotten[at])

    cdef void move_to(self, _Block other, int count) noexcept:
        """Moves the last `count` entries to the end of another block, which has room for them there."""
        self.end -= count
        memcpy(other.scores + other.end, self.scores + self.end, count * sizeof(double))
        memcpy(other.members + other.end, self.members + self.end, count * sizeof(PyObject *))
        other.end += count

    cdef _Block copy(self):
        cdef _Block other = _Block()
        cdef int at
        other.make_room(max(self.end - self.begin, ROOM_AT_FIRST))
        for at in range(self.begin, self.end):
            Py_INCREF(<object>self.members[at])
            other.scores[other.end] = self.scores[at]
            other.members[other.end] = self.members[at]
            other.end += 1
        return other


ctypedef struct Place:
    # A block, its first score, and the count of the Fenwick tree's node that ends with it.
    PyObject *block
    double first
    Py_ssize_t counted


cdef inline _Block block_at(Place *places, Py_ssize_t at):
    return <_Block>places[at].block


@cython.no_gc
cdef class ScoreOrder:
    # For memory usage and freeing in slices.
    __slots__ = ("scores", "_blocks")

    cdef readonly dict scores
    cdef Place *places  # at least one; no block is empty unless it is the only one
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef Py_ssize_t length
    cdef bint counted  # the tree is up to date

    def __cinit__(self, *_):
        self.scores = {}
        self._adopt([])

    def __init__(self, dict scores=None):
        if scores is not None:
            self._fill(scores)

    def __dealloc__(self):
        cdef Py_ssize_t at
        for at in range(self.count):
            Py_DECREF(<object>self.places[at].block)
        PyMem_Free(self.places)

    def __reduce__(self):
        return self.__class__, (dict(self.scores),)

    def __sizeof__(self):
        return object.__sizeof__(self) + self.room * sizeof(Place)

    def __len__(self):
        return len(self.scores)

    def __contains__(self, member):
        return member in self.scores

    def __iter__(self):
        # One block at a time, so that a change during the iteration does no harm.
        cdef Py_ssize_t at = 0
        cdef list entries
        while at < self.count:
            entries = []
            self._append(entries, at, block_at(self.places, at).begin, ROOM, True)
            at += 1
            yield from entries

    @property
    def _blocks(self):
        cdef list blocks = []
        cdef Py_ssize_t at
        for at in range(self.count):
            blocks.append(block_at(self.places, at))
        return blocks

    def clone(self):
        cdef ScoreOrder other = self.__class__.__new__(self.__class__)
        cdef list blocks = []
        cdef Py_ssize_t at
        other.scores = dict(self.scores)
        for at in range(self.count):
            blocks.append(block_at(self.places, at).copy())
        other._adopt(blocks)
        return other

    def insert(self, member, score):
        self._add(member, score, score)

    def move(self, member, double old, score):
        self._change(member, old, score, score)

    def put(self, member, score):
        cdef double value = score
        old = self.scores.get(member)
        if old is None:
            self._add(member, score, value)
        elif <double>old != value:
            self._change(member, old, score, value)
        return old

    def discard(self, member):
        score = self.scores.pop(member, None)
        if score is None:
            return False
        self._take(score, member)
        return True

    def rank(self, member, double score):
        check_member(member)
        return self._rank(score, <PyObject *>member, AT_MEMBER)

    def first(self):
        return self._entry(0, block_at(self.places, 0).begin)

    def last(self):
        cdef Py_ssize_t at = self.count - 1
        return self._entry(at, block_at(self.places, at).end - 1)

    def pop_first(self):
        return self._pop(0, block_at(self.places, 0).begin)

    def pop_last(self):
        cdef Py_ssize_t at = self.count - 1
        return self._pop(at, block_at(self.places, at).end - 1)

    def score_span(self, double low, bint above_low, double high, bint below_high):
        cdef Py_ssize_t start = self._rank(low, NULL, AFTER_TIES if above_low else BEFORE_TIES)
        cdef Py_ssize_t stop = self._rank(high, NULL, BEFORE_TIES if below_high else AFTER_TIES)
        return start, max(start, stop)

    def lex_span(self, low, high):
        cdef Py_ssize_t start, stop = self.length
        cdef _Block block, last
        cdef double score
        if low is None or not self.length:
            return 0, 0
        check_member(low)
        block = block_at(self.places, 0)
        last = block_at(self.places, self.count - 1)
        score = block.scores[block.begin]
        if last.scores[last.end - 1] != score:
            return None
        start = self._rank(score, <PyObject *>low, AT_MEMBER)
        if high is not None:
            check_member(high)
            stop = self._rank(score, <PyObject *>high, AT_MEMBER)
        return start, max(start, stop)

    def span(self, start, stop, bint reverse=False):
        return self._span(PyNumber_AsSsize_t(start, NULL), PyNumber_AsSsize_t(stop, NULL), reverse, True)

    def members(self, start, stop, bint reverse=False):
        return self._span(PyNumber_AsSsize_t(start, NULL), PyNumber_AsSsize_t(stop, NULL), reverse, False)

    def remove_span(self, Py_ssize_t start, Py_ssize_t stop):
        # This list keeps the members alive until everything is done.
        cdef list members = self._span(start, stop, False, False)
        cdef Py_ssize_t count = len(members)
        if count == self.length:
            self._adopt([])
            self.scores.clear()
            return count
        if count:
            if start < 0:
                start = max(start + self.length, 0)
            self._cut(start, count)
        for member in members:
            del self.scores[member]
        return count

    # Building

    cdef int _fill(self, dict scores) except -1:
        """Takes ownership of a dict and adds its entries."""
        cdef Py_ssize_t count = PyDict_Size(scores), at = 0, position = 0
        cdef PyObject *member
        cdef PyObject *score
        cdef list blocks = []
        cdef _Block block = None
        cdef Entry *entries = <Entry *>PyMem_Malloc(max(count, 1) * sizeof(Entry))
        if entries == NULL:
            raise MemoryError
        try:
            while at < count and PyDict_Next(scores, &position, &member, &score):
                check_member(<object>member)
                entries[at].member = member
                # Neither branch calls a method that a class could define.
                if PyFloat_Check(<object>score):
                    entries[at].score = PyFloat_AS_DOUBLE(<object>score)
                elif PyLong_Check(<object>score):
                    entries[at].score = PyLong_AsDouble(<object>score)
                else:
                    raise TypeError("a score is a float")
                if entries[at].score != entries[at].score:
                    raise ValueError("a score is NaN")
                at += 1
            count = at
            qsort(entries, count, sizeof(Entry), order_of_entries)
            for at in range(count):
                if block is None or block.end == ROOM:
                    block = _Block()
                    block.make_room(<int>min(max(count - at, ROOM_AT_FIRST), ROOM))
                    blocks.append(block)
                Py_INCREF(<object>entries[at].member)
                block.insert(block.end, entries[at].score, entries[at].member)
        finally:
            PyMem_Free(entries)
        self._adopt(blocks)
        self.scores = scores
        return 0

    cdef int _adopt(self, list blocks) except -1:
        """Replaces the blocks with these, none of which is empty."""
        cdef Py_ssize_t old_count, at
        cdef Place *old
        cdef Place *places
        cdef _Block block
        if not blocks:
            blocks = [_Block()]
        old = self.places
        old_count = self.count
        places = <Place *>PyMem_Malloc(len(blocks) * sizeof(Place))
        if places == NULL:
            raise MemoryError
        self.places = places
        self.count = self.room = len(blocks)
        self.length = 0
        self.counted = False
        for at in range(self.count):
            block = blocks[at]
            Py_INCREF(block)
            places[at].block = <PyObject *>block
            self.length += block.end - block.begin
            self._note_first(at)
        for at in range(old_count):
            Py_DECREF(<object>old[at].block)
        PyMem_Free(old)
        return 0

    cdef inline void _note_first(self, Py_ssize_t at) noexcept:
        cdef _Block block = block_at(self.places, at)
        if block.begin < block.end:
            self.places[at].first = block.scores[block.begin]

    # Places

    cdef void _locate(self, double score, PyObject *member, int place, Py_ssize_t *at, int *within) noexcept:
        """Finds the block and the index in it where an entry with this score and member is, or would be inserted."""
        cdef Py_ssize_t low = 0, high = self.count - 1, middle
        cdef _Block block
        while low < high:
            middle = (low + high + 1) >> 1
            if self.places[middle].first != score:
                if self.places[middle].first < score:
                    low = middle
                else:
                    high = middle - 1
            else:
                block = block_at(self.places, middle)
                if order_of(score, block.members[block.begin], score, member, place) <= 0:
                    low = middle
                else:
                    high = middle - 1
        at[0] = low
        within[0] = block_at(self.places, low).find(score, member, place)

    cdef int _locate_entry(self, double score, member, Py_ssize_t *at, int *within) except -1:
        """Does `_locate` for an entry that must exist."""
        cdef _Block block
        self._locate(score, <PyObject *>member, AT_MEMBER, at, within)
        block = block_at(self.places, at[0])
        if within[0] == block.end or order_of(
            block.scores[within[0]], block.members[within[0]], score, <PyObject *>member, AT_MEMBER
        ):
            raise ValueError("not in the order")
        return 0

    cdef void _count(self) noexcept:
        """Rebuilds the tree."""
        cdef Py_ssize_t count = self.count, at, above
        cdef _Block block
        for at in range(count):
            block = block_at(self.places, at)
            self.places[at].counted = block.end - block.begin
        # The node of block number n - 1 covers as many blocks as the value of n's lowest set bit.
        for at in range(1, count + 1):
            above = at + (at & -at)
            if above <= count:
                self.places[above - 1].counted += self.places[at - 1].counted
        self.counted = True

    cdef inline void _resized(self, Py_ssize_t at, int change) noexcept:
        """Updates the tree after the size of a block has changed by `change`."""
        cdef Py_ssize_t count
        if self.counted:
            count = self.count
            at += 1
            while at <= count:
                self.places[at - 1].counted += change
                at += at & -at

    cdef Py_ssize_t _rank(self, double score, PyObject *member, int place) noexcept:
        cdef Py_ssize_t at, rank
        cdef int within
        self._locate(score, member, place, &at, &within)
        rank = within - block_at(self.places, at).begin
        if at:
            if not self.counted:
                self._count()
            while at:
                rank += self.places[at - 1].counted
                at &= at - 1
        return rank

    cdef void _find(self, Py_ssize_t rank, Py_ssize_t *at, int *within) noexcept:
        """Finds the block and the index in it of the entry with an existing rank."""
        cdef Py_ssize_t count = self.count, step = 1, found = 0, left = rank
        cdef _Block block
        if not self.counted:
            # A set that serves as a queue changes at its front, and needs no tree there.
            for found in range(min(count, NEAR)):
                block = block_at(self.places, found)
                if left < block.end - block.begin or found == count - 1:
                    at[0] = found
                    within[0] = block.begin + <int>left
                    return
                left -= block.end - block.begin
            found = 0
            self._count()
        if count > 1:
            while 2 * step <= count:
                step *= 2
            while step:
                if found + step <= count and self.places[found + step - 1].counted <= rank:
                    found += step
                    rank -= self.places[found - 1].counted
                step >>= 1
        at[0] = found
        within[0] = block_at(self.places, found).begin + <int>rank

    # Changes

    cdef int _insert(self, double score, PyObject *member) except -1:
        """Adds an entry; the caller updates the dict."""
        cdef Py_ssize_t at
        cdef int within
        self._locate(score, member, AT_MEMBER, &at, &within)
        self._insert_at(at, within, score, member)
        return 0

    cdef int _insert_at(self, Py_ssize_t at, int within, double score, PyObject *member) except -1:
        """Adds an entry at its place."""
        cdef _Block block = block_at(self.places, at)
        if block.end - block.begin == ROOM:
            self._split(&at, &within)
            block = block_at(self.places, at)
        elif block.end == block.room and not block.begin:
            block.make_room(min(max(2 * block.room, ROOM_AT_FIRST), ROOM))
        Py_INCREF(<object>member)
        block.insert(within, score, member)
        self.length += 1
        self._note_first(at)
        self._resized(at, 1)
        return 0

    cdef int _split(self, Py_ssize_t *at, int *within) except -1:
        """Makes room at a place in a full block, and updates the place."""
        cdef Py_ssize_t count = self.count
        cdef _Block block = block_at(self.places, at[0])
        cdef _Block upper = _Block()
        # At the very end nothing moves, and at the very beginning everything does, so that blocks filled in ascending or
        # descending order end up full.
        cdef int given = ROOM // 2
        if at[0] == count - 1 and within[0] == block.end:
            given = 0
        elif at[0] == 0 and within[0] == block.begin:
            given = ROOM
        cdef Py_ssize_t room
        cdef Place *places
        upper.make_room(ROOM if given else ROOM_AT_FIRST)
        if count == self.room:
            room = count + (count >> 1) + 1
            places = <Place *>PyMem_Realloc(self.places, room * sizeof(Place))
            if places == NULL:
                raise MemoryError
            self.places = places
            self.room = room
        memmove(self.places + at[0] + 2, self.places + at[0] + 1, (count - at[0] - 1) * sizeof(Place))
        Py_INCREF(upper)
        self.places[at[0] + 1].block = <PyObject *>upper
        self.count += 1
        self.counted = False
        block.move_to(upper, given)
        self._note_first(at[0] + 1)
        if within[0] > block.end or not given:
            within[0] -= block.end
            at[0] += 1
        return 0

    cdef object _remove(self, Py_ssize_t at, int within):
        """Removes an entry and returns its member; the caller updates the dict."""
        cdef _Block block = block_at(self.places, at)
        cdef object member = <object>block.members[within]
        block.remove(within, 1)
        Py_DECREF(member)  # the block's reference, not that of this function
        self.length -= 1
        self._note_first(at)
        self._resized(at, -1)
        self._settle(at)
        return member

    cdef void _settle(self, Py_ssize_t at) noexcept:
        """Joins a block that has few entries left with a neighbour, or shrinks it if it is the only one."""
        cdef Py_ssize_t count = self.count
        cdef _Block block = block_at(self.places, at)
        cdef int size = block.end - block.begin
        if size >= block.room >> 2:
            return
        if count == 1:
            if block.room > ROOM_AT_FIRST:
                try:
                    block.make_room(max(block.room >> 1, ROOM_AT_FIRST))
                except MemoryError:
                    pass  # it just does not shrink
        elif not size:
            self._drop(at, at + 1)
        elif at + 1 < count and self._joins(at):
            self._drop(at + 1, at + 2)
        elif at and self._joins(at - 1):
            self._drop(at, at + 1)

    cdef int _cut(self, Py_ssize_t start, Py_ssize_t count) except -1:
        """Removes `count` entries, but not all, from rank `start` on."""
        # Keeps the blocks in between alive until everything is consistent again.
        cdef list dropped = []
        cdef Py_ssize_t at, last_at, each
        cdef int within, last_within
        cdef _Block block, last
        if count >= self.length or start + count > self.length:
            raise RuntimeError("the sorted set has changed meanwhile")
        self._find(start, &at, &within)
        self._find(start + count - 1, &last_at, &last_within)
        for each in range(at, last_at + 1):
            dropped.append(block_at(self.places, each))
        block = block_at(self.places, at)
        last = block_at(self.places, last_at)
        self.length -= count
        self.counted = False
        if at == last_at:
            block.forget(within, last_within + 1)
        else:
            block.forget(within, block.end)
            last.forget(last.begin, last_within + 1)
        self._drop(at if block.begin == block.end else at + 1, last_at + 1 if last.begin == last.end else last_at)
        for each in range(min(at + 1, self.count - 1), at - 1, -1):
            self._note_first(each)
            self._settle(each)
        return 0

    cdef bint _joins(self, Py_ssize_t at) noexcept:
        """Moves all of the next block's entries to this one, if that leaves half of it free; returns whether it did."""
        cdef _Block block = block_at(self.places, at)
        cdef _Block following = block_at(self.places, at + 1)
        cdef int size = following.end - following.begin
        if block.end - block.begin + size > block.room >> 1:
            return False
        block.shift(block.begin, 0, block.end - block.begin)
        block.end -= block.begin
        block.begin = 0
        following.move_to(block, size)
        following.begin = following.end = 0
        return True

    cdef void _drop(self, Py_ssize_t start, Py_ssize_t stop) noexcept:
        """Drops blocks, but not all, that are empty or that the caller keeps alive."""
        cdef Py_ssize_t at
        if start < stop:
            for at in range(start, stop):
                Py_DECREF(<object>self.places[at].block)
            memmove(self.places + start, self.places + stop, (self.count - stop) * sizeof(Place))
            self.count -= stop - start
            self.counted = False

    cdef object _take(self, double score, member):
        """Removes an entry that must exist."""
        cdef Py_ssize_t at
        cdef int within
        check_member(member)
        self._locate_entry(score, member, &at, &within)
        return self._remove(at, within)

    cdef int _move(self, double old, double new, member) except -1:
        """Changes the score of an entry that must exist."""
        cdef Py_ssize_t at, target, count = self.count
        cdef int within, place
        cdef _Block block
        cdef PyObject *held
        self._locate_entry(old, member, &at, &within)
        self._locate(new, <PyObject *>member, AT_MEMBER, &target, &place)
        block = block_at(self.places, at)
        held = block.members[within]
        if target != at:
            self._insert_at(target, place, new, held)
            if self.count == count:
                self._remove(at, within)
            else:
                self._take(old, <object>held)
            return 0
        # Scores mostly change little: only the entries between the two places move, by one.
        if place > within:
            place -= 1
            block.shift(within + 1, within, place - within)
        else:
            block.shift(place, place + 1, within - place)
        block.scores[place] = new
        block.members[place] = held
        self._note_first(at)
        return 0

    cdef int _add(self, member, score, double value) except -1:
        check_member(member)
        self._insert(value + 0.0, <PyObject *>member)
        try:
            self.scores[member] = _normal(score, value)
        except BaseException:
            self._take(value, member)
            raise
        return 0

    cdef int _change(self, member, double old, score, double value) except -1:
        check_member(member)
        self._move(old, value + 0.0, member)
        self.scores[member] = _normal(score, value)
        return 0

    cdef tuple _pop(self, Py_ssize_t at, int within):
        cdef double score
        cdef object member
        if not self.length:
            raise IndexError(EMPTY)
        score = block_at(self.places, at).scores[within]
        member = self._remove(at, within)
        del self.scores[member]
        return score, member

    # Reading

    cdef tuple _entry(self, Py_ssize_t at, int within):
        cdef _Block block = block_at(self.places, at)
        if not self.length:
            raise IndexError(EMPTY)
        return block.scores[within], <object>block.members[within]

    cdef Py_ssize_t _append(
        self, list found, Py_ssize_t at, int within, Py_ssize_t count, bint with_scores
    ) except -1:
        """Appends up to `count` entries of a block, or their members; returns how many."""
        cdef _Block block = block_at(self.places, at)
        cdef int first = within
        # A new tuple may run the garbage collector, and that a finalizer that changes the block.
        while block.begin <= within < block.end and count:
            if with_scores:
                found.append((block.scores[within], <object>block.members[within]))
            else:
                found.append(<object>block.members[within])
            within += 1
            count -= 1
        return within - first

    cdef list _span(self, Py_ssize_t start, Py_ssize_t stop, bint reverse, bint with_scores):
        cdef Py_ssize_t length = self.length, at, left
        cdef int within
        cdef list found = []
        # Same rules as Python's slices.
        start = min(start, length) if start >= 0 else max(start + length, 0)
        stop = min(stop, length) if stop >= 0 else max(stop + length, 0)
        left = stop - start
        if left <= 0:
            return found
        self._find(start, &at, &within)
        while left and at < self.count:
            if within < 0:
                within = block_at(self.places, at).begin
            left -= self._append(found, at, within, left, with_scores)
            within = -1
            at += 1
        if reverse:
            found.reverse()
        return found
