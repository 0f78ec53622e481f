# cython: language_level=3
"""`EpollPoller` of broker/process/poller.py, compiled."""
import select

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_wait(int epfd, epoll_event* events, int most, int timeout)

cdef enum:
    MOST_EVENTS = 1024


cdef class EpollPoller:
    """See the reference."""

    cdef object _epoll
    cdef int _fd
    cdef epoll_event _events[MOST_EVENTS]

    def __init__(self):
        self._epoll = select.epoll()
        self._fd = self._epoll.fileno()

    def fileno(self):
        """See the reference."""
        return self._epoll.fileno()

    def register(self, fd, eventmask, /):
        """See the reference."""
        self._epoll.register(fd, eventmask)

    def modify(self, fd, eventmask, /):
        """See the reference."""
        self._epoll.modify(fd, eventmask)

    def unregister(self, fd, /):
        """See the reference."""
        self._epoll.unregister(fd)

    def poll(self, int milliseconds, /):
        """See the reference."""
        cdef int count, i
        if milliseconds:
            with nogil:
                count = epoll_wait(self._fd, self._events, MOST_EVENTS, milliseconds)
        else:
            count = epoll_wait(self._fd, self._events, MOST_EVENTS, 0)
        if count < 0:
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)
            PyErr_CheckSignals()
            return []
        return [(self._events[i].data.fd, self._events[i].events) for i in range(count)]

    def close(self):
        """See the reference."""
        self._fd = -1
        self._epoll.close()
