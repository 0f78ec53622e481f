cdef class Caller:
    cdef dict _plain, _known
    cdef list _sinks
    cdef object _session, _keyspace, _effects, _command_failed, _now, _execute_checked, _has_room, _failed
    cdef bytes _held
    cdef bint _is_real_time
    cdef public long long checked

    cdef bytes reply_to(self, list words)
    cdef bytes _execute(self, object command, object handler, list words)
    cdef object _called(self, tuple args)
    cdef object _value(self, bytes reply)
    cdef double _seconds(self) except? -1
    cpdef bytes execute(self, command, list words)
    cpdef object seen(self, bytes reply)

cdef bytes digits(long long number)
