# cython: language_level=3, boundscheck=False, wraparound=False
"""`Border` of border.py, compiled: it goes to Lua by its C interface.

Lua reports an error by a jump to the last protected call. So whatever may raise one is in functions that hold no
Python object (`nogil`, called by Lua itself); what they work with is in structs that somebody else owns. The
interpreter's lock is held all the while a script runs; the hook, which calls Python, lets other threads have it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdlib cimport calloc, free, realloc

from itertools import count
from lupa import lua51

from broker.scripting.lua cimport (
    ALL_RESULTS, COLLECT, MEMORY_ERROR, NUMBER, REGISTRY, STRING, Api, Lua, Pace, find_api, upvalue,
)
from broker.scripting.lua_memory cimport Shared, allocate, disown
from broker.scripting.lua_replies cimport Out, write
from broker.scripting.lua_values cimport push_error, push_value
from broker.scripting._calling cimport Caller, Known, is_text
from protocol.digits cimport integer_text

from broker.scripting.border import NoRoomError, UnsupportedError
from broker.scripting.calling import NO_ROOM as _NO_ROOM, NOT_TEXTS as _NOT_TEXTS
from broker.scripting.conversions import LARGE as _LARGE, number_text
from protocol.errors import INTERNAL
from protocol.replies import bulk, error

cdef extern from *:
    """
    /* What package.loadlib of Lua finds by its name. */
    static int (*trimaran_opened)(void*);
    __attribute__((visibility("default"))) int trimaran_border(void* state) { return trimaran_opened(state); }
    """
    int (*trimaran_opened)(void*) noexcept nogil

cdef extern from "Python.h" nogil:
    # The same as those of cpython, for objects that are borrowed.
    Py_ssize_t size_of_list "PyList_GET_SIZE" (PyObject* a_list)
    PyObject* item_of "PyList_GET_ITEM" (PyObject* a_list, Py_ssize_t i)
    char* text_of "PyBytes_AS_STRING" (PyObject* text)
    Py_ssize_t size_of "PyBytes_GET_SIZE" (PyObject* text)

cdef Api lua
cdef bint IS_THERE = find_api(&lua, lua51.__file__.encode())

cdef Py_ssize_t LARGE = _LARGE
cdef bytes NO_ROOM = error(_NO_ROOM)
cdef bytes NOT_TEXTS = error(_NOT_TEXTS)
cdef double MOST_EXACT = 2.0**62

cdef size_t A_STRING = 48
"""Bytes that Lua takes for a string beside its text, and for its place in a table."""
cdef size_t MUCH_GIVEN = 1 << 12
"""Bytes of keys and arguments from which Lua lets go of them after the run; fewer stay until the next one's."""
cdef Py_ssize_t SLICE = 512
"""Arguments that are handed over between two questions whether the run goes on."""
cdef Py_ssize_t ROOM_KEPT = 1 << 16
"""Bytes of the buffer for replies that stay for the next one."""


cdef class Kept:
    """A Lua function, for as long as this lives."""

    cdef Shared* shared
    cdef int reference

    def __dealloc__(self):
        cdef Shared* shared = self.shared
        cdef int* more
        if shared == NULL:
            return
        if shared.dropped_count == shared.dropped_room:
            more = <int*>realloc(shared.dropped, (2 * shared.dropped_room + 16) * sizeof(int))
            if more != NULL:
                shared.dropped = more
                shared.dropped_room = 2 * shared.dropped_room + 16
        if shared.dropped_count < shared.dropped_room:
            shared.dropped[shared.dropped_count] = self.reference
            shared.dropped_count += 1
        disown(shared)


cdef struct Side:
    # What the C functions know of their border; `owner` is the Border, which this is a part of.
    PyObject* owner
    Shared* shared
    size_t cap
    const char* reply
    Py_ssize_t reply_size
    int enter, handler, finished, globals, marks  # references in Lua's registry
    Out out
    Pace pace


cdef bint has_room(Lua L, Side* side, size_t size) noexcept nogil:
    """Whether Lua can take so many bytes, if need be after a collection."""
    if not side.cap or side.shared.used + size < side.cap:
        return True
    lua.gc(L, COLLECT, 0)
    return side.shared.used + size < side.cap


# redis.call -----------------------------------------------------------------------------------------------------------

cdef void execute(Lua L, Side* side) noexcept:
    """Execute the command that a function of Lua's was called with."""
    (<Border>side.owner).execute(L)

ctypedef void (*Execute)(Lua, Side*) noexcept nogil
# The interpreter's lock is held: asking for it once more for each call would cost 0.03 us.
cdef Execute execute_with_lock = <Execute><void*>execute


cdef void forget_reply(Side* side) noexcept with gil:
    (<Border>side.owner).reply = None


cdef int answer(Lua L, bint raises) noexcept nogil:
    cdef Side* side = <Side*>lua.touserdata(L, upvalue(1))
    cdef const char* at
    cdef bint is_error
    execute_with_lock(L, side)
    lua.settop(L, 0)  # arguments may have filled the stack
    at = side.reply
    if not side.reply_size:
        lua.pushboolean(L, 0)
        return 1
    is_error = at[0] == c"-"
    if side.reply_size <= LARGE:
        push_value(&lua, L, &side.pace, &at)
    elif has_room(L, side, side.reply_size):
        push_value(&lua, L, &side.pace, &at)
        forget_reply(side)
    else:
        at = text_of(<PyObject*>NO_ROOM)
        push_error(&lua, L, &at)
        forget_reply(side)
        is_error = True
    return lua.error(L) if is_error and raises else 1


cdef int call(Lua L) noexcept nogil:
    """redis.call."""
    return answer(L, True)


cdef int protected_call(Lua L) noexcept nogil:
    """redis.pcall."""
    return answer(L, False)


# Running --------------------------------------------------------------------------------------------------------------

cdef struct Call:
    Side* side
    PyObject* request
    Py_ssize_t keys
    size_t size  # bytes that the keys and arguments take
    int function, resp
    bint is_callback  # called with its keys and arguments; a script has them in globals
    int stage
    bint is_written

cdef enum:
    GIVING, INTERRUPTED, RUNNING


cdef bint goes_on(Side* side) noexcept with gil:
    return (<Border>side.owner).check() is None


cdef bint push_words(Lua L, Call* call, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """Push a table of words of the request; False where the run has been interrupted."""
    cdef PyObject* word
    cdef Py_ssize_t i
    lua.createtable(L, <int>(end - first), 0)
    for i in range(first, end):
        word = item_of(call.request, i)
        lua.pushlstring(L, text_of(word), size_of(word))
        lua.rawseti(L, -2, <int>(i - first + 1))
        if not (i - first + 1) % SLICE and not goes_on(call.side):
            return False
    return True


cdef void set_words(Lua L, Side* side, int keys, int arguments) noexcept nogil:
    """Set KEYS and ARGV to what is at these places."""
    lua.rawgeti(L, REGISTRY, side.globals)
    lua.pushlstring(L, b"KEYS", 4)
    lua.pushvalue(L, keys)
    lua.rawset(L, -3)
    lua.pushlstring(L, b"ARGV", 4)
    lua.pushvalue(L, arguments)
    lua.rawset(L, -3)


cdef int enter(Lua L) noexcept nogil:
    """Run what a Call says: one value, which is written unless it is a long text; or what `finished` gives."""
    cdef Call* call = <Call*>lua.touserdata(L, 1)
    cdef Side* side = call.side
    cdef Py_ssize_t end = size_of_list(call.request)
    cdef int status
    cdef bint is_marked
    lua.rawgeti(L, REGISTRY, side.handler)  # 2
    lua.rawgeti(L, REGISTRY, call.function)  # 3
    if not push_words(L, call, 3, 3 + call.keys) or not push_words(L, call, 3 + call.keys, end):
        call.stage = INTERRUPTED
        return 0
    call.stage = RUNNING
    if call.is_callback:
        status = lua.pcall(L, 2, 1, 2)
    else:
        set_words(L, side, 4, 5)
        lua.settop(L, 3)
        status = lua.pcall(L, 0, 1, 2)
    lua.rawgeti(L, REGISTRY, side.marks)  # 4
    lua.rawgeti(L, 4, 1)
    is_marked = lua.toboolean(L, -1)
    lua.settop(L, 3)
    if not (status or is_marked):
        side.out.size = 0
        call.is_written = write(&lua, L, &side.out, call.resp, 0)
        lua.settop(L, 3)
        if call.is_written or lua.type(L, 3) == STRING:
            if call.size > MUCH_GIVEN and not call.is_callback:
                lua.pushnil(L)
                set_words(L, side, 4, 4)
                lua.settop(L, 3)
            return 1
    lua.rawgeti(L, REGISTRY, side.finished)
    lua.pushnumber(L, call.resp)
    lua.pushboolean(L, not status)
    lua.pushvalue(L, 3)
    lua.call(L, 3, 4)
    return 4


cdef int keep(Lua L) noexcept nogil:
    """keep(value): a number by which Python knows it."""
    lua.settop(L, 1)
    lua.pushnumber(L, lua.ref(L, REGISTRY))
    return 1


cdef int connect(Lua L) noexcept nogil:
    """connect(handler, finished, globals, marks): what the cage is run with."""
    cdef Side* side = <Side*>lua.touserdata(L, upvalue(1))
    lua.settop(L, 4)
    side.marks = lua.ref(L, REGISTRY)
    side.globals = lua.ref(L, REGISTRY)
    side.finished = lua.ref(L, REGISTRY)
    side.handler = lua.ref(L, REGISTRY)
    return 0


# The border -----------------------------------------------------------------------------------------------------------

cdef dict opening = {}
cdef object tokens = count()


cdef Side* opened_with(double token, Lua L, bint* calls) noexcept with gil:
    cdef Border border = opening.pop(int(token))
    border.L = L
    calls[0] = border.caller is not None
    return &border.side


cdef int open_in_lua(Lua L) noexcept nogil:
    """open(token): a table of the functions that the cage has from here."""
    cdef bint calls = False
    cdef Side* side = opened_with(lua.tonumber(L, 1), L, &calls)
    lua.pushlightuserdata(L, side)
    lua.pushcclosure(L, enter, 1)
    side.enter = lua.ref(L, REGISTRY)
    lua.createtable(L, 0, 4)
    if calls:
        push_function(L, side, b"call", 4, call)
        push_function(L, side, b"pcall", 5, protected_call)
    push_function(L, side, b"keep", 4, keep)
    push_function(L, side, b"connect", 7, connect)
    return 1


cdef void push_function(Lua L, Side* side, const char* name, size_t size, int (*function)(Lua) noexcept nogil) noexcept nogil:
    lua.pushlstring(L, name, size)
    lua.pushlightuserdata(L, side)
    lua.pushcclosure(L, function, 1)
    lua.rawset(L, -3)


trimaran_opened = open_in_lua


cdef class Border:
    cdef Lua L
    cdef Side side
    cdef readonly object functions
    cdef object runtime, check, raised
    cdef Caller caller
    cdef bytes reply
    cdef bytes first_key  # of the run: most calls name it, and this one's hash is known after the first
    cdef public object tidy
    cdef size_t much

    def __init__(self, runtime, caller, check):
        cdef Shared* shared
        if not IS_THERE:
            raise UnsupportedError
        self.runtime = runtime
        self.caller = caller if type(caller) is Caller else None
        self.check = check
        self.side.owner = <PyObject*>self
        token = next(tokens)
        opening[token] = self
        load = runtime.eval("package.loadlib")
        opened = load(__file__.encode(), b"trimaran_border") if load is not None else None
        if not callable(opened):
            del opening[token]
            raise UnsupportedError
        self.functions = opened(token)
        shared = self.side.shared = <Shared*>calloc(1, sizeof(Shared))
        if shared == NULL:
            raise MemoryError
        shared.owners = 2  # the allocator and this
        shared.used = runtime.get_memory_used(total=True)
        lua.setallocf(self.L, allocate, shared)

    def __dealloc__(self):
        free(self.side.out.start)
        if self.side.shared != NULL:
            disown(self.side.shared)

    # Memory

    def used(self):
        """Bytes that Lua has allocated."""
        return self.side.shared.used

    def set_limit(self, size_t limit):
        """From now on Lua is refused what would take it beyond; 0 for no limit."""
        self.side.shared.limit = limit

    def set_cap(self, size_t cap, size_t much):
        self.side.cap = cap
        self.much = much

    # Functions

    def kept(self, int reference):
        """A function that the cage has kept."""
        cdef Kept function = Kept.__new__(Kept)
        function.reference = reference
        function.shared = self.side.shared
        function.shared.owners += 1
        return function

    cdef void drop(self) noexcept:
        cdef Shared* shared = self.side.shared
        while shared.dropped_count:
            shared.dropped_count -= 1
            lua.unref(self.L, REGISTRY, shared.dropped[shared.dropped_count])

    # Calls

    cdef void execute(self, Lua L) noexcept:
        cdef list words
        cdef Known known = None
        cdef const char* name
        cdef size_t length
        try:
            if lua.gettop(L) and lua.type(L, 1) == STRING:
                name = lua.tolstring(L, 1, &length)
                known = self.caller.known(name, length)
            words = self.words(L, known)
            self.reply = NOT_TEXTS if words is None else self.caller.reply_to(known, words)
        except Exception as defect:
            self.reply = self.caller._failed(defect)
        except BaseException as end:
            self.raised = end
            self.reply = error(INTERNAL)
        self.side.reply = PyBytes_AS_STRING(self.reply)
        self.side.reply_size = len(self.reply)

    cdef list words(self, Lua L, Known known):
        """What a function of Lua's was called with, as the words of a command; None where one is no text nor number.

        The first is the name of `known`, unless that is None.
        """
        cdef int i, kind, size = lua.gettop(L)
        cdef size_t length
        cdef const char* text
        cdef double number
        cdef list words = PyList_New(size)
        cdef object word
        for i in range(size):
            kind = lua.type(L, i + 1)
            if not i and known is not None:
                word = known.name
            elif kind == STRING:
                text = lua.tolstring(L, i + 1, &length)
                if i == 1 and is_text(self.first_key, text, length):
                    word = self.first_key
                else:
                    word = PyBytes_FromStringAndSize(text, length)
            elif kind == NUMBER:
                number = lua.tonumber(L, i + 1)
                if -MOST_EXACT <= number <= MOST_EXACT and number == <double><long long>number:
                    word = integer_text(<long long>number)
                else:
                    word = number_text(number)
            else:
                return None
            Py_INCREF(word)
            PyList_SET_ITEM(words, i, word)
        return words

    # Running

    def evaluate(self, Kept function, int resp, list request, Py_ssize_t keys):
        return self.run(function, resp, request, keys, False)

    def call(self, Kept function, int resp, list request, Py_ssize_t keys):
        return self.run(function, resp, request, keys, True)

    cdef object run(self, Kept function, int resp, list request, Py_ssize_t keys, bint is_callback):
        cdef Side* side = &self.side
        cdef Shared* shared = side.shared
        cdef Lua L = self.L
        cdef Call call
        cdef int status, base
        cdef Py_ssize_t i, count = len(request)
        cdef size_t size = 0
        for i in range(3, count):
            size += A_STRING + size_of(item_of(<PyObject*>request, i))
        if side.cap:
            shared.limit = 0
            if not has_room(L, side, size):
                raise NoRoomError
        self.drop()
        shared.limit = side.cap
        side.pace.looked = 0
        call.side = side
        call.request = <PyObject*>request
        call.keys = keys
        call.size = size
        call.function = function.reference
        call.resp = resp
        call.is_callback = is_callback
        call.stage = GIVING
        call.is_written = False
        self.first_key = <bytes>request[3] if keys else None
        base = lua.gettop(L)
        lua.rawgeti(L, REGISTRY, side.enter)
        lua.pushlightuserdata(L, &call)
        status = lua.pcall(L, 1, ALL_RESULTS, 0)
        try:
            return self.outcome(&call, status, base)
        finally:
            lua.settop(L, base)
            shared.limit = 0
            self.reply = self.first_key = None
            if side.out.room > ROOM_KEPT:
                free(side.out.start)
                side.out.start = NULL
                side.out.room = 0
            if shared.used > self.much:
                self.tidy()

    cdef object outcome(self, Call* call, int status, int base):
        cdef Lua L = self.L
        cdef size_t size
        cdef const char* text
        if self.raised is not None:
            raised, self.raised = self.raised, None
            raise raised
        if call.stage == INTERRUPTED or (status == MEMORY_ERROR and call.stage == GIVING):
            raise NoRoomError
        if status:
            text = lua.tolstring(L, -1, NULL)
            problem = "unknown error" if text == NULL else text.decode(errors="replace")
            raise lua51.LuaMemoryError(problem) if status == MEMORY_ERROR else lua51.LuaError(problem)
        if call.is_written:
            return PyBytes_FromStringAndSize(self.side.out.start, self.side.out.size)
        text = lua.tolstring(L, base + 1, &size)
        if lua.gettop(L) == base + 1 or not lua.type(L, base + 2):
            return bulk(text[:size])
        reply = text[:size]
        if lua.tonumber(L, base + 2) == 1:
            return reply
        rest = [reply, int(lua.tonumber(L, base + 2))]
        if lua.type(L, base + 3):
            rest.append(bool(lua.toboolean(L, base + 3)))
        if lua.type(L, base + 4):
            text = lua.tolstring(L, base + 4, &size)
            rest.append(<bytes>text[:size])
        return tuple(rest)
