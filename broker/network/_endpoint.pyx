# cython: language_level=3, boundscheck=False, wraparound=False
"""`Endpoint` of broker/network/endpoint.py, compiled."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EINTR, errno

from protocol.limits import READ_SIZE as _read_size

cdef extern from "sys/socket.h":
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t send(int fd, const void* data, size_t size, int flags)

cdef extern from *:
    """
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0  /* the interpreter ignores SIGPIPE anyway */
    #endif
    """
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef enum:
    BUFFER_SIZE = 65536

assert _read_size == BUFFER_SIZE

# Shared by all connections: its contents are copied before the interpreter's lock can be released.
cdef char buffer[BUFFER_SIZE]


cdef class Endpoint:
    """See the reference."""

    cdef int _fd
    cdef object _sock

    def __init__(self, sock):
        self._sock = sock
        self._fd = sock.fileno()

    def receive(self):
        """See the reference."""
        cdef ssize_t got = recv(self._fd, buffer, BUFFER_SIZE, MSG_DONTWAIT)
        while got < 0:
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)  # raises the subclass for this errno
            got = recv(self._fd, buffer, BUFFER_SIZE, MSG_DONTWAIT)
        return PyBytes_FromStringAndSize(buffer, got)

    def send(self, data):
        """See the reference."""
        cdef const unsigned char[::1] view
        if PyBytes_CheckExact(data):
            return self._send(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        view = data
        return self._send(<const char*>&view[0], view.shape[0]) if view.shape[0] else 0

    cdef Py_ssize_t _send(self, const char* data, Py_ssize_t size) except -1:
        cdef ssize_t sent = send(self._fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)
        while sent < 0:
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)
            sent = send(self._fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)
        return sent

    def close(self):
        """See the reference."""
        self._fd = -1
        self._sock.close()
