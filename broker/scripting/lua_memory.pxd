"""Lua's allocator, with a limit that can be set at any time, and what outlives a Lua state with it."""

from libc.stdlib cimport free, realloc


cdef struct Shared:
    # What Lua's allocator, the border and each function that is kept have in common; the last of them frees it.
    size_t owners
    size_t used
    size_t limit  # 0 for none
    int* dropped  # references to functions that nobody has any longer
    size_t dropped_count
    size_t dropped_room


cdef inline void disown(Shared* shared) noexcept nogil:
    shared.owners -= 1
    if not shared.owners:
        free(shared.dropped)
        free(shared)


cdef inline void* allocate(void* data, void* place, size_t old_size, size_t size) noexcept nogil:
    """Lua's allocator: what lupa's is as well, with a limit that is set without asking lupa."""
    cdef Shared* shared = <Shared*>data
    cdef void* found
    if place == NULL:
        old_size = 0
    if not size:
        free(place)
        shared.used -= old_size
        if not shared.used:  # the last that goes is the state itself
            disown(shared)
        return NULL
    if size > old_size and shared.limit and shared.used + (size - old_size) >= shared.limit:
        return NULL
    found = realloc(place, size)
    if found != NULL:
        shared.used += size - old_size
    return found
