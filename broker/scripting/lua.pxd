"""Lua's C interface for the compiled modules: the functions of the very library that lupa has brought, found by name.

lupa links Lua 5.1 into its own module, whose symbols no linker offers to others; the dynamic loader does. All of this is
inline, so nothing is imported for it at run time.
"""

cdef extern from "<dlfcn.h>" nogil:
    const int RTLD_NOW
    const int RTLD_NOLOAD
    void* dlopen(const char* path, int mode)
    void* dlsym(void* library, const char* name)

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    const int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* now)

ctypedef void* Lua
"""A lua_State."""
ctypedef int (*Function)(Lua) noexcept nogil
ctypedef void* (*Allocator)(void*, void*, size_t, size_t) noexcept nogil

cdef enum:
    NIL = 0
    BOOLEAN = 1
    LIGHT_USERDATA = 2
    NUMBER = 3
    STRING = 4
    TABLE = 5
    FUNCTION = 6
    USERDATA = 7
    REGISTRY = -10000
    GLOBALS = -10002
    COLLECT = 2
    ALL_RESULTS = -1
    MEMORY_ERROR = 4
    COUNT_EVENT = 3

cdef struct Debug:
    # A lua_Debug; a hook is given only these two.
    int event
    const char* texts[4]
    int currentline
    char rest[128]

ctypedef void (*Hook)(Lua, Debug*) noexcept nogil

cdef struct Pace:
    # When was it last seen whether it is time for the hook.
    unsigned int steps
    long long looked

cdef struct Api:
    # In the order of NAMES; whatever raises an error in Lua jumps past its C callers.
    int (*checkstack)(Lua, int) noexcept nogil
    int (*gettop)(Lua) noexcept nogil
    void (*settop)(Lua, int) noexcept nogil
    void (*pushvalue)(Lua, int) noexcept nogil
    void (*replace)(Lua, int) noexcept nogil
    void (*insert)(Lua, int) noexcept nogil
    int (*type)(Lua, int) noexcept nogil
    double (*tonumber)(Lua, int) noexcept nogil
    int (*toboolean)(Lua, int) noexcept nogil
    const char* (*tolstring)(Lua, int, size_t*) noexcept nogil
    void* (*touserdata)(Lua, int) noexcept nogil
    int (*rawequal)(Lua, int, int) noexcept nogil
    size_t (*objlen)(Lua, int) noexcept nogil
    void (*pushnil)(Lua) noexcept nogil
    void (*pushnumber)(Lua, double) noexcept nogil
    void (*pushlstring)(Lua, const char*, size_t) noexcept nogil
    void (*pushcclosure)(Lua, Function, int) noexcept nogil
    void (*pushboolean)(Lua, int) noexcept nogil
    void (*pushlightuserdata)(Lua, void*) noexcept nogil
    void (*rawget)(Lua, int) noexcept nogil
    void (*rawgeti)(Lua, int, int) noexcept nogil
    void (*rawset)(Lua, int) noexcept nogil
    void (*rawseti)(Lua, int, int) noexcept nogil
    void (*createtable)(Lua, int, int) noexcept nogil
    int (*getmetatable)(Lua, int) noexcept nogil
    int (*next)(Lua, int) noexcept nogil
    void* (*newuserdata)(Lua, size_t) noexcept nogil
    void (*call)(Lua, int, int) noexcept nogil
    int (*pcall)(Lua, int, int, int) noexcept nogil
    int (*error)(Lua) noexcept nogil
    int (*gc)(Lua, int, int) noexcept nogil
    Allocator (*getallocf)(Lua, void**) noexcept nogil
    void (*setallocf)(Lua, Allocator, void*) noexcept nogil
    Hook (*gethook)(Lua) noexcept nogil
    int (*ref)(Lua, int) noexcept nogil
    void (*unref)(Lua, int, int) noexcept nogil


cdef inline bint find_api(Api* api, const char* path) noexcept:
    """Find the functions in the module at `path`, which is loaded; False where one is missing."""
    cdef const char** names = [
        b"lua_checkstack", b"lua_gettop", b"lua_settop", b"lua_pushvalue", b"lua_replace", b"lua_insert",
        b"lua_type", b"lua_tonumber", b"lua_toboolean", b"lua_tolstring", b"lua_touserdata", b"lua_rawequal",
        b"lua_objlen", b"lua_pushnil", b"lua_pushnumber", b"lua_pushlstring", b"lua_pushcclosure",
        b"lua_pushboolean", b"lua_pushlightuserdata", b"lua_rawget", b"lua_rawgeti", b"lua_rawset", b"lua_rawseti",
        b"lua_createtable", b"lua_getmetatable", b"lua_next", b"lua_newuserdata", b"lua_call", b"lua_pcall",
        b"lua_error", b"lua_gc", b"lua_getallocf", b"lua_setallocf",
        b"lua_gethook", b"luaL_ref", b"luaL_unref",
    ]
    cdef void** functions = <void**>api
    cdef void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD)
    cdef size_t i
    if library == NULL:
        return False
    for i in range(sizeof(Api) // sizeof(void*)):
        functions[i] = dlsym(library, names[i])
        if functions[i] == NULL:
            return False
    return True


cdef inline int upvalue(int i) noexcept nogil:
    """The place of a C function's upvalue."""
    return GLOBALS - i


cdef inline void pause(Api* lua, Lua L, Pace* pace) noexcept nogil:
    """Call the hook once in a while, as Lua does between instructions: what is done in C can take long as well.

    The hook raises an error where the script is killed.
    """
    cdef timespec now
    cdef long long nanoseconds
    cdef Debug debug
    cdef Hook hook
    cdef int top
    pace.steps += 1
    if pace.steps & 7:
        return
    clock_gettime(CLOCK_MONOTONIC, &now)
    nanoseconds = now.tv_sec * 1_000_000_000 + now.tv_nsec
    if nanoseconds - pace.looked < 1_000_000:
        return
    hook = lua.gethook(L)
    if pace.looked and hook != NULL and lua.checkstack(L, 20):
        debug.event = COUNT_EVENT
        debug.currentline = -1
        top = lua.gettop(L)
        hook(L, &debug)
        lua.settop(L, top)  # Lua's hooks leave that to their caller
    pace.looked = nanoseconds
