# cython: language_level=3, boundscheck=False, wraparound=False
"""`Caller` of calling.py, compiled, with the two most frequent kinds of reply read here."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from broker.scripting.conversions import ERROR, STATUS, result

cdef Py_ssize_t LARGE = 1 << 15
cdef long long EXACT = 1 << 53
cdef tuple NO_ROOM = (b"ERR not enough memory", ERROR)
cdef object STATUS_ = STATUS


cdef class Caller:
    cdef dict _plain
    cdef object _session, _execute, _careful, _has_room, _failed
    cdef public long long checked

    def __init__(self, plain, session, execute, careful, has_room, failed):
        self._plain = plain
        self._session = session
        self._execute = execute
        self._careful = careful
        self._has_room = has_room
        self._failed = failed
        self.checked = 0

    def __call__(self, *args):
        try:
            return self._called(args)
        except Exception as defect:
            return self._failed(defect)

    cdef object _called(self, tuple args):
        cdef list words = []
        cdef long long flags
        cdef Py_ssize_t count
        cdef object word, command
        for word in args:
            if type(word) is bytes:
                words.append(word)
            elif type(word) is int and -EXACT < word < EXACT:
                words.append(b"%d" % word)
            else:
                return self._careful(*args)
        count = len(words)
        command = self._plain.get(words[0]) if count else None
        if command is None:
            return self._careful(*args)
        flags = command.flags
        if flags & self.checked or count < <long long>command.min_args or count > <long long>command.max_args:
            return self._careful(*args)
        return self.seen(self._execute(self._session, command, words))

    cpdef object seen(self, bytes reply):
        """What a reply is to the script."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(reply), start
        cdef const char* text = PyBytes_AS_STRING(reply)
        cdef Py_ssize_t i
        cdef long long number
        if size > LARGE and not self._has_room(size):
            return NO_ROOM
        if not size:
            return False
        if text[0] == c":" and size < 18 and text[1] != c"-":
            number = 0
            for i in range(1, size - 2):
                number = number * 10 + (text[i] - c"0")
            return number
        if text[0] == c"$" and text[1] != c"-":
            start = 2
            while text[start] != c"\n":
                start += 1
            start += 1
            return PyBytes_FromStringAndSize(text + start, size - start - 2)
        if text[0] == c"+":
            return PyBytes_FromStringAndSize(text + 1, size - 3), STATUS_
        return result(reply)
