# cython: language_level=3, boundscheck=False, wraparound=False
"""`Caller` of calling.py, compiled, with the most frequent kinds of reply read here."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow

from protocol.digits cimport integer_text
from broker.scripting.conversions import ARRAY, ERROR, HELD, LARGE as _LARGE, MOST_UNPACKED as _MOST_UNPACKED, STATUS, result

cdef Py_ssize_t LARGE = _LARGE
cdef long long EXACT = <long long>1 << 53
cdef tuple NO_ROOM = (b"ERR not enough memory", ERROR)
cdef tuple IS_HELD = (None, HELD)
cdef long long MOST_UNPACKED = _MOST_UNPACKED
cdef object STATUS_ = STATUS
cdef object ARRAY_ = ARRAY
cdef enum:
    PLACES = 128
cdef bytes OK = b"+OK\r\n"
cdef tuple OK_STATUS = (b"OK", STATUS)


cdef class Known:
    """What is asked of a command at each call."""

    def __init__(self, bytes name, command):
        cdef object most = command.max_args
        self.name = name
        self.command = command
        self.flags = command.flags
        self.min_args = command.min_args
        self.max_args = min(most, 1 << 62)


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
    def __init__(self, plain, session, executor, execute_checked, refuse, has_room, failed):
        self._plain = plain
        self._known = {}
        self._latest = [None] * PLACES
        self._session = session
        self._run = executor.run_call
        self._execute_checked = execute_checked
        self._refuse = refuse
        self._has_room = has_room
        self._failed = failed
        self._held = b""
        self.checked = 0
        self.restricted = False

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
            words[i] = integer_text(number)
        return self.seen(self.reply_to(self._find(words[0]) if words else None, words))

    cdef Known known(self, const char* name, size_t size):
        """The command of this name; None where the bridge must look for it."""
        cdef Known known
        cdef size_t place
        if not size:
            return None
        place = (size + 3 * <unsigned char>name[0] + 7 * <unsigned char>name[size - 1]) % PLACES
        known = self._latest[place]
        if known is None or not is_text(known.name, name, size):
            known = self._find(PyBytes_FromStringAndSize(name, size))
            if known is not None:
                self._latest[place] = known
        return known

    cdef Known _find(self, bytes name):
        cdef object found = self._known.get(name)
        if found is None:
            command = self._plain.get(name)
            if command is not None:
                found = self._known[name] = Known(name, command)
        return found

    cdef bytes reply_to(self, Known known, list words):
        """The reply to a call of a command with these words, which are bytes all."""
        cdef Py_ssize_t count = len(words)
        if known is None or self.restricted or count < known.min_args or count > known.max_args:
            return self._execute_checked(*words)
        if known.flags & self.checked:
            refusal = self._refuse(known.command)
            if refusal is not None:
                return refusal
        return self._run(self._session, known.command, words)

    def execute(self, command, list words):
        """Execute a command; its reply."""
        return self._run(self._session, command, words)

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
