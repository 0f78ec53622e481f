"""Text that grows while it is written, for C functions which Lua may leave by a jump: nothing in it has to be freed.

It begins in the function's own frame, and goes on in userdata of Lua's, which count as its memory and end with it.
"""

from libc.string cimport memcpy
from broker.scripting.lua cimport Api, Lua

cdef enum:
    FIRST_ROOM = 4096

cdef struct Text:
    char* at  # where the next byte goes
    char* end
    char* start
    Api* lua
    Lua L
    int slot  # of Lua's stack: where the userdata is
    char first[FIRST_ROOM]


cdef inline void begin(Text* text, Api* lua, Lua L, int slot) noexcept nogil:
    text.at = text.start = text.first
    text.end = text.first + FIRST_ROOM
    text.lua = lua
    text.L = L
    text.slot = slot


cdef inline void grow(Text* text, size_t size) noexcept nogil:
    cdef size_t written = text.at - text.start
    cdef size_t room = 2 * (written + size)
    cdef char* more = <char*>text.lua.newuserdata(text.L, room)
    memcpy(more, text.start, written)
    text.lua.replace(text.L, text.slot)
    text.start = more
    text.at = more + written
    text.end = more + room


cdef inline void reserve(Text* text, size_t size) noexcept nogil:
    """Make room for so many bytes at `at`."""
    if <size_t>(text.end - text.at) < size:
        grow(text, size)


cdef inline void put(Text* text, char byte) noexcept nogil:
    reserve(text, 1)
    text.at[0] = byte
    text.at += 1


cdef inline void put_text(Text* text, const char* bytes, size_t size) noexcept nogil:
    reserve(text, size)
    memcpy(text.at, bytes, size)
    text.at += size
