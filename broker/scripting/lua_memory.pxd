"""Lua's allocator, with a limit that can be set at any time, and what outlives a Lua state with it."""

from libc.stdlib cimport free, malloc, realloc

cdef extern from *:
    """
    #ifdef __GLIBC__
    #include <malloc.h>
    #define trimaran_capacity(place, size) malloc_usable_size(place)
    #else
    #define trimaran_capacity(place, size) (size)
    #endif
    """
    size_t trimaran_capacity(void* place, size_t size) nogil

cdef enum:
    KINDS = 16
    MOST_KEPT = 1 << 20

cdef struct Place:
    Place* next

cdef struct Shared:
    # What Lua's allocator, the border and each function that is kept have in common; the last of them frees it.
    size_t owners
    size_t used
    size_t limit  # 0 for none
    int* dropped  # references to functions that nobody has any longer
    size_t dropped_count
    size_t dropped_room
    # Small places that Lua has freed, by what they hold: at least 8, 24, 40, 56, ... bytes, as glibc has them. Lua frees
    # thousands at once, more than the C library has at hand: taking them here saves a twentieth of a short script.
    Place* places[KINDS]
    size_t kept  # bytes of all of them


cdef inline void disown(Shared* shared) noexcept nogil:
    cdef Place* place
    cdef size_t kind
    shared.owners -= 1
    if shared.owners:
        return
    for kind in range(KINDS):
        while shared.places[kind] != NULL:
            place = shared.places[kind]
            shared.places[kind] = place.next
            free(place)
    free(shared.dropped)
    free(shared)


cdef inline void* take(Shared* shared, size_t size) noexcept nogil:
    cdef size_t kind = (size + 7) >> 4
    cdef Place* place
    if kind >= KINDS:
        return malloc(size)
    place = shared.places[kind]
    if place == NULL:
        return malloc((kind << 4) + 8)
    shared.places[kind] = place.next
    shared.kept -= (kind << 4) + 8
    return place


cdef inline void give_back(Shared* shared, void* place, size_t size) noexcept nogil:
    cdef size_t capacity, kind
    if size > KINDS << 4 or shared.kept >= MOST_KEPT:
        free(place)
        return
    capacity = trimaran_capacity(place, size)
    kind = (capacity - 8) >> 4
    if capacity < 8 or kind >= KINDS:
        free(place)
        return
    (<Place*>place).next = shared.places[kind]
    shared.places[kind] = <Place*>place
    shared.kept += (kind << 4) + 8


cdef inline void* allocate(void* data, void* place, size_t old_size, size_t size) noexcept nogil:
    """Lua's allocator: what lupa's is as well, with a limit that is set without asking lupa."""
    cdef Shared* shared = <Shared*>data
    cdef void* found
    if place == NULL:
        old_size = 0
    if not size:
        if place != NULL:
            give_back(shared, place, old_size)
        shared.used -= old_size
        if not shared.used:  # the last that goes is the state itself
            disown(shared)
        return NULL
    if size > old_size and shared.limit and shared.used + (size - old_size) >= shared.limit:
        return NULL
    found = take(shared, size) if place == NULL else realloc(place, size)
    if found != NULL:
        shared.used += size - old_size
    return found
