from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp


cdef class Known:
    cdef bytes name
    cdef object command
    cdef long long flags
    cdef Py_ssize_t min_args, max_args


cdef class Caller:
    cdef dict _plain, _known
    cdef list _latest  # of the known commands those last called, each at a place that its name gives
    cdef object _session, _run, _execute_checked, _refuse, _has_room, _failed
    cdef bytes _held
    cdef public long long checked
    cdef public bint restricted

    cdef Known known(self, const char* name, size_t size)
    cdef Known _find(self, bytes name)
    cdef bytes reply_to(self, Known known, list words)
    cdef object _called(self, tuple args)
    cdef object _value(self, bytes reply)
    cpdef object seen(self, bytes reply)


cdef inline bint is_text(bytes known, const char* text, size_t size) noexcept:
    """Whether `known`, which may be None, is this text."""
    return (
        known is not None
        and PyBytes_GET_SIZE(known) == <Py_ssize_t>size
        and not memcmp(PyBytes_AS_STRING(known), text, size)
    )
