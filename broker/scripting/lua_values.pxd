"""From a command's encoded reply to Lua's values, as Redis shows them to scripts."""

from libc.stdlib cimport strtod

from broker.scripting.lua cimport Api, Lua, Pace, pause


cdef inline long long read_integer(const char** at) noexcept nogil:
    """The integer that a line of a reply holds behind its first byte."""
    cdef const char* text = at[0] + 1
    cdef bint negative = text[0] == c"-"
    cdef unsigned long long number = 0
    if negative:
        text += 1
    while text[0] != c"\r":
        number = number * 10 + <unsigned long long>(text[0] - c"0")
        text += 1
    at[0] = text + 2
    return <long long>(0 - number) if negative else <long long>number


cdef inline void push_line(Api* lua, Lua L, const char** at) noexcept nogil:
    """Push what a line holds behind its first byte."""
    cdef const char* text = at[0] + 1
    cdef const char* end = text
    while end[0] != c"\r":
        end += 1
    at[0] = end + 2
    lua.pushlstring(L, text, end - text)


cdef inline void push_field(Api* lua, Lua L, const char* name, size_t size, const char** at) noexcept nogil:
    """Push a table with a line as its only field."""
    lua.createtable(L, 0, 1)
    lua.pushlstring(L, name, size)
    push_line(lua, L, at)
    lua.rawset(L, -3)


cdef inline void push_error(Api* lua, Lua L, const char** at) noexcept nogil:
    lua.createtable(L, 0, 2)
    lua.pushlstring(L, b"err", 3)
    push_line(lua, L, at)
    lua.rawset(L, -3)
    lua.pushlstring(L, b"ignore_error_stats_update", 25)
    lua.pushboolean(L, 1)
    lua.rawset(L, -3)


cdef inline void push_pairs(Api* lua, Lua L, Pace* pace, const char** at, long long pairs, bint is_set) noexcept nogil:
    """Push {map = {...}} or {set = {...}}."""
    cdef long long i
    lua.createtable(L, 0, 1)
    lua.pushlstring(L, b"set" if is_set else b"map", 3)
    lua.createtable(L, 0, 0)
    for i in range(pairs):
        push_value(lua, L, pace, at)
        if is_set:
            lua.pushboolean(L, 1)
        else:
            push_value(lua, L, pace, at)
        if lua.type(L, -2):
            lua.rawset(L, -3)
        else:  # nil is no key
            lua.settop(L, -3)
    lua.rawset(L, -3)


cdef inline void push_verbatim(Api* lua, Lua L, const char* text, size_t size) noexcept nogil:
    lua.createtable(L, 0, 1)
    lua.pushlstring(L, b"verbatim_string", 15)
    lua.createtable(L, 0, 2)
    lua.pushlstring(L, b"format", 6)
    lua.pushlstring(L, text, 3)
    lua.rawset(L, -3)
    lua.pushlstring(L, b"string", 6)
    lua.pushlstring(L, text + 4, size - 4)
    lua.rawset(L, -3)
    lua.rawset(L, -3)


cdef inline void push_value(Api* lua, Lua L, Pace* pace, const char** at) noexcept nogil:
    """Push what is to be read at a place of an encoded reply, and move on behind it."""
    cdef char kind = at[0][0]
    cdef long long size, i
    if not lua.checkstack(L, 8):
        lua.pushlstring(L, b"stack overflow", 14)
        lua.error(L)
    if kind == c"$" or kind == c"=":
        size = read_integer(at)
        if size < 0:
            lua.pushboolean(L, 0)
            return
        if kind == c"$":
            lua.pushlstring(L, at[0], size)
        else:
            push_verbatim(lua, L, at[0], size)
        at[0] += size + 2
        pause(lua, L, pace)
    elif kind == c":":
        lua.pushnumber(L, <double>read_integer(at))
    elif kind == c"+":
        push_field(lua, L, b"ok", 2, at)
    elif kind == c"-":
        push_error(lua, L, at)
    elif kind == c"*":
        size = read_integer(at)
        if size < 0:
            lua.pushboolean(L, 0)
            return
        lua.createtable(L, <int>size if size < 1 << 20 else 1 << 20, 0)
        for i in range(1, size + 1):
            push_value(lua, L, pace, at)
            lua.rawseti(L, -2, <int>i)
    elif kind == c"%" or kind == c"~":
        size = read_integer(at)
        push_pairs(lua, L, pace, at, size, kind == c"~")
    elif kind == c",":
        lua.createtable(L, 0, 1)
        lua.pushlstring(L, b"double", 6)
        lua.pushnumber(L, strtod(at[0] + 1, NULL))
        lua.rawset(L, -3)
        while at[0][0] != c"\n":
            at[0] += 1
        at[0] += 1
    elif kind == c"(":
        push_field(lua, L, b"big_number", 10, at)
    elif kind == c"#":
        lua.pushboolean(L, at[0][1] == c"t")
        at[0] += 4
    else:  # null
        lua.pushnil(L)
        at[0] += 3
