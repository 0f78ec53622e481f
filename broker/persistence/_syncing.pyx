# cython: language_level=3
"""`serve_syncs` of broker/persistence/syncing.py, compiled so that it runs without the interpreter's lock."""
from libc.errno cimport EINTR, EPIPE, errno

cdef extern from *:
    """
    #include <unistd.h>
    #ifdef __linux__
    #define sync_descriptor fdatasync
    #else
    #define sync_descriptor fsync
    #endif
    """
    int sync_descriptor(int fd) nogil
    ssize_t read(int fd, void *data, size_t size) nogil
    ssize_t write(int fd, const void *data, size_t size) nogil


def serve_syncs(int requests, int results):
    """See the reference."""
    cdef int descriptor = 0, problem = 0
    cdef ssize_t size
    with nogil:
        while True:
            size = read(requests, &descriptor, sizeof(int))
            if size < 0 and errno == EINTR:
                continue
            if size != sizeof(int):
                problem = errno if size < 0 else EPIPE
                break
            if descriptor < 0:
                problem = 0
                break
            problem = 0
            while sync_descriptor(descriptor):
                problem = errno
                if problem != EINTR:
                    break
                problem = 0
            while write(results, &problem, sizeof(int)) < 0:
                if errno != EINTR:
                    break
    if problem:
        raise OSError(problem, "the pipe of the syncs")
    return descriptor
