# cython: language_level=3, boundscheck=False, wraparound=False
"""`Caller` of calling.py, compiled, with the most frequent kinds of reply read here."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from time import perf_counter

from broker.scripting.conversions import ARRAY, ERROR, HELD, LARGE as _LARGE, MOST_UNPACKED as _MOST_UNPACKED, STATUS, result

cdef Py_ssize_t LARGE = _LARGE
cdef long long EXACT = <long long>1 << 53
cdef tuple NO_ROOM = (b"ERR not enough memory", ERROR)
cdef tuple IS_HELD = (None, HELD)
cdef long long MOST_UNPACKED = _MOST_UNPACKED
cdef object STATUS_ = STATUS
cdef object ARRAY_ = ARRAY
cdef bytes OK = b"+OK\r\n"
cdef tuple OK_STATUS = (b"OK", STATUS)


cdef class _Known:
    """What is asked of a command at each call."""
    cdef object command, handler
    cdef long long flags
    cdef Py_ssize_t min_args, max_args

    def __init__(self, command):
        cdef object most = command.max_args
        self.command = command
        self.handler = command.handler
        self.flags = command.flags
        self.min_args = command.min_args
        self.max_args = min(most, 1 << 62)


cdef bytes digits(long long number):
    cdef char text[20]
    cdef int at = 20
    cdef bint negative = number < 0
    if negative:
        number = -number
    while True:
        at -= 1
        text[at] = <char>(48 + number % 10)
        number //= 10
        if not number:
            break
    if negative:
        at -= 1
        text[at] = 45
    return PyBytes_FromStringAndSize(text + at, 20 - at)


cdef object _array(bytes reply, const char* text):
    """An array of bulk strings, integers and nils; any other goes the long way."""
    cdef Py_ssize_t at = 1, start, i
    cdef long long count = 0, number
    cdef bint negative
    cdef list values
    cdef char kind
    while text[at] != c"\r":
        if text[at] == c"-" or at > 6:
            return result(reply)
        count = count * 10 + (text[at] - c"0")
        at += 1
    if count > MOST_UNPACKED:
        return result(reply)
    at += 2
    values = [None, ARRAY_]
    for i in range(count):
        kind = text[at]
        at += 1
        if kind != c"$" and kind != c":":
            return result(reply)
        negative = text[at] == c"-"
        if negative:
            at += 1
        start = at
        number = 0
        while text[at] != c"\r":
            if at - start > 17:
                return result(reply)
            number = number * 10 + (text[at] - c"0")
            at += 1
        at += 2
        if kind == c":":
            values.append(-number if negative else number)
        elif negative:
            values.append(False)
        else:
            values.append(PyBytes_FromStringAndSize(text + at, number))
            at += number + 2
    return tuple(values)


cdef class Caller:
    def __init__(self, plain, session, executor, execute_checked, has_room, failed):
        self._plain = plain
        self._known = {}
        self._session = session
        self._keyspace = session.broker.keyspace
        self._effects = self._keyspace.effects
        self._sinks = self._effects.sinks
        self._command_failed = executor.failed
        self._now = executor.now
        self._is_real_time = executor.now is perf_counter
        self._execute_checked = execute_checked
        self._has_room = has_room
        self._failed = failed
        self._held = b""
        self.checked = 0

    def __call__(self, *args):
        try:
            return self._called(args)
        except Exception as defect:
            return self.seen(self._failed(defect))

    cdef object _called(self, tuple args):
        cdef list words = list(args)
        cdef Py_ssize_t i
        cdef long long number
        cdef int overflow = 0
        cdef object word
        for i in range(len(words)):
            word = words[i]
            if type(word) is bytes:
                continue
            if type(word) is not int:
                return self.seen(self._execute_checked(*args))
            number = PyLong_AsLongLongAndOverflow(word, &overflow)
            if overflow or not -EXACT < number < EXACT:
                return self.seen(self._execute_checked(*args))
            words[i] = digits(number)
        return self.seen(self.reply_to(words))

    cdef bytes reply_to(self, list words):
        """The reply to a call with these words, which are bytes all."""
        cdef Py_ssize_t count = len(words)
        cdef object name, found
        cdef _Known known
        if not count:
            return self._execute_checked()
        name = words[0]
        found = self._known.get(name)
        if found is None:
            command = self._plain.get(name)
            if command is None:
                return self._execute_checked(*words)
            found = self._known[name] = _Known(command)
        known = <_Known>found
        if known.flags & self.checked or count < known.min_args or count > known.max_args:
            return self._execute_checked(*words)
        return self._execute(known.command, known.handler, words)

    cdef double _seconds(self) except? -1:
        cdef timespec now
        if not self._is_real_time:
            return self._now()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec + 1e-9 * now.tv_nsec

    cpdef bytes execute(self, command, list words):
        """Execute a command; its reply. `Executor.run_call` without what only clients of their own need."""
        return self._execute(command, command.handler, words)

    cdef bytes _execute(self, object command, object handler, list words):
        cdef object keyspace = self._keyspace, changes
        cdef bytes reply
        cdef double began = self._seconds()
        try:
            reply = handler(self._session, words)
        except Exception as problem:
            reply = self._command_failed(command, problem)
        changes = keyspace.dirty
        if changes:
            keyspace.changes += changes
            keyspace.dirty = 0
            if self._sinks:
                self._effects.flush(self._session.db.index, words)
        command.seconds += self._seconds() - began
        command.calls += 1
        return reply

    cpdef object seen(self, bytes reply):
        """What a reply is to the script."""
        if PyBytes_GET_SIZE(reply) > LARGE:
            self._held = reply
            return IS_HELD
        return self._value(reply)

    def fetch(self):
        """The last reply that was HELD."""
        cdef bytes reply = self._held
        self._held = b""
        try:
            return self._value(reply) if self._has_room(len(reply)) else NO_ROOM
        except Exception as defect:
            return self._value(self._failed(defect))

    cdef object _value(self, bytes reply):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(reply), start
        cdef const char* text = PyBytes_AS_STRING(reply)
        cdef Py_ssize_t i
        cdef long long number
        if not size:
            return False
        if text[0] == c":" and size < 18 and text[1] != c"-":
            number = 0
            for i in range(1, size - 2):
                number = number * 10 + (text[i] - c"0")
            return number
        if text[0] == c"$":
            if text[1] == c"-":
                return False
            start = 2
            while text[start] != c"\n":
                start += 1
            start += 1
            return PyBytes_FromStringAndSize(text + start, size - start - 2)
        if text[0] == c"+":
            if reply == OK:
                return OK_STATUS
            return PyBytes_FromStringAndSize(text + 1, size - 3), STATUS_
        if text[0] == c"*":
            return _array(reply, text)
        return result(reply)
