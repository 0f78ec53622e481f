"""What other compiled modules use of _requests.pyx."""


cdef bytes recent_or_new(const char* p, Py_ssize_t size)
