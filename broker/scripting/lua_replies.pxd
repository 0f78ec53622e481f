"""From what a script returns to an encoded reply, where that is plain: the cage writes the rest, and can write all."""

from libc.stdlib cimport realloc
from libc.string cimport memcpy

from broker.scripting.lua cimport BOOLEAN, NUMBER, STRING, TABLE, Api, Lua
from protocol.digits cimport put_header, put_number

cdef enum:
    # Bytes of a reply, and tables within each other: more is written within Lua's memory and its hook's sight.
    MOST_WRITTEN = 1 << 20
    MOST_NESTED = 32

cdef struct Out:
    # What has been written; it stays for the next reply.
    char* start
    Py_ssize_t size, room


cdef inline char* reserve(Out* out, Py_ssize_t size) noexcept nogil:
    """Room for so many bytes behind what is written; NULL where the reply would be too large."""
    cdef Py_ssize_t wanted = out.size + size
    cdef char* more
    if wanted > MOST_WRITTEN:
        return NULL
    if wanted > out.room:
        more = <char*>realloc(out.start, 2 * wanted + 1024)
        if more == NULL:
            return NULL
        out.start = more
        out.room = 2 * wanted + 1024
    return out.start + out.size


cdef inline bint write_text(Out* out, const char* text, Py_ssize_t size) noexcept nogil:
    cdef char* at = reserve(out, size)
    if at == NULL:
        return False
    memcpy(at, text, size)
    out.size += size
    return True


cdef inline bint write_header(Out* out, char kind, unsigned long long number) noexcept nogil:
    cdef char* at = reserve(out, 24)
    if at == NULL:
        return False
    out.size = put_header(at, kind, number) - out.start
    return True


cdef inline bint write_integer(Out* out, double number) noexcept nogil:
    """As C's printf writes it, truncated."""
    cdef long long whole = <long long>number
    cdef char* at = reserve(out, 24)
    if at == NULL:
        return False
    at[0] = c":"
    at += 1
    if whole < 0:
        at[0] = c"-"
        at += 1
    at = put_number(at, 0 - <unsigned long long>whole if whole < 0 else <unsigned long long>whole)
    at[0] = c"\r"
    at[1] = c"\n"
    out.size = at + 2 - out.start
    return True


cdef inline bint write_status(Out* out, const char* text) noexcept nogil:
    """A status: its text ends at a zero byte, and has no ends of lines."""
    cdef Py_ssize_t size = 0, i
    cdef char* at
    while text[size]:
        size += 1
    at = reserve(out, size + 3)
    if at == NULL:
        return False
    at[0] = c"+"
    for i in range(size):
        at[1 + i] = c" " if text[i] == c"\r" or text[i] == c"\n" else text[i]
    at[size + 1] = c"\r"
    at[size + 2] = c"\n"
    out.size += size + 3
    return True


cdef inline bint has_field(Api* lua, Lua L, const char* name, size_t size, int kind) noexcept nogil:
    """Whether the table on top has such a field; it is pushed where it has."""
    lua.pushlstring(L, name, size)
    lua.rawget(L, -2)
    if lua.type(L, -1) == kind:
        return True
    lua.settop(L, -2)
    return False


cdef inline bint write_table(Api* lua, Lua L, Out* out, int resp, int depth) noexcept nogil:
    cdef int size = 0, i
    if depth > MOST_NESTED or not lua.checkstack(L, 8):
        return False
    while True:
        lua.rawgeti(L, -1, size + 1)
        i = lua.type(L, -1)
        lua.settop(L, -2)
        if not i:
            break
        size += 1
    # A table that has nothing beside these is no status, error or map.
    if size:
        lua.pushnumber(L, size)
    else:
        lua.pushnil(L)
    if lua.next(L, -2):
        lua.settop(L, -3)
        if has_field(lua, L, b"err", 3, STRING):
            return False
        if has_field(lua, L, b"ok", 2, STRING):
            if not write_status(out, lua.tolstring(L, -1, NULL)):
                return False
            lua.settop(L, -2)
            return True
        if (
            has_field(lua, L, b"double", 6, NUMBER) or has_field(lua, L, b"big_number", 10, STRING)
            or has_field(lua, L, b"verbatim_string", 15, TABLE) or has_field(lua, L, b"map", 3, TABLE)
            or has_field(lua, L, b"set", 3, TABLE)
        ):
            return False
    if not write_header(out, c"*", size):
        return False
    for i in range(1, size + 1):
        lua.rawgeti(L, -1, i)
        if not write(lua, L, out, resp, depth):
            return False
        lua.settop(L, -2)
    return True


cdef inline bint write(Api* lua, Lua L, Out* out, int resp, int depth) noexcept nogil:
    """Write the value on top as a reply; False for one that is left to the cage, which can write all.

    Nothing has been said about the version of the replies that the script sees: that is left to the cage as well.
    """
    cdef int kind = lua.type(L, -1)
    cdef const char* text
    cdef size_t size
    if kind == STRING:
        text = lua.tolstring(L, -1, &size)
        return write_header(out, c"$", size) and write_text(out, text, size) and write_text(out, b"\r\n", 2)
    if kind == NUMBER:
        return write_integer(out, lua.tonumber(L, -1))
    if kind == TABLE:
        return write_table(lua, L, out, resp, depth + 1)
    if kind == BOOLEAN and lua.toboolean(L, -1):
        return write_text(out, b":1\r\n", 4)
    if resp == 3:
        return write_text(out, b"_\r\n", 3)
    return write_text(out, b"$-1\r\n", 5)
