"""What OpenSSL can do with a context, and Python's ssl module can't tell it to.

These are functions of the library that the ssl module itself has loaded. Where it is built in and doesn't show them (or
the interpreter is not CPython), nothing here is available, and the directives that need it are refused.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import sys
from collections.abc import Sequence
from functools import cache
from typing import Final

_SET_CACHE_SIZE: Final = 42
_SET_CACHE_MODE: Final = 44
_CACHE_OFF: Final = 0
_NO_PARTIAL_WILDCARDS: Final = 4


class Unavailable(ValueError):
    """This build of Python's ssl module does not allow it."""


def set_ciphersuites(context: ssl.SSLContext, names: str) -> None:
    """Allow these cipher suites of TLS 1.3, separated by colons, and no others. Raises ValueError."""
    done = _library().SSL_CTX_set_ciphersuites(_pointer(context), names.encode())
    allowed = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.3"}
    if not done or not allowed <= set(names.split(":")):
        raise ValueError(f"Failed to configure ciphersuites: {names}")


def set_session_cache(context: ssl.SSLContext, size: int, seconds: int) -> None:
    """Keep so many sessions, each so long. Raises Unavailable."""
    library, pointer = _library(), _pointer(context)
    library.SSL_CTX_ctrl(pointer, _SET_CACHE_SIZE, size, None)
    library.SSL_CTX_set_timeout(pointer, seconds)


def disable_session_cache(context: ssl.SSLContext) -> None:
    """Keep no sessions. Raises Unavailable."""
    _library().SSL_CTX_ctrl(_pointer(context), _SET_CACHE_MODE, _CACHE_OFF, None)


def set_expected_names(context: ssl.SSLContext, names: Sequence[str]) -> None:
    """Accept only certificates with one of these names; with none, whatever the name. Raises ValueError."""
    library, pointer = _library(), _pointer(context)
    parameters = ctypes.c_void_p(library.SSL_CTX_get0_param(pointer))
    done = library.X509_VERIFY_PARAM_set1_host(parameters, None, 0)
    library.X509_VERIFY_PARAM_set_hostflags(parameters, _NO_PARTIAL_WILDCARDS)
    for name in names:
        word = name.encode("utf-8", "surrogateescape")
        done = done and library.X509_VERIFY_PARAM_add1_host(parameters, word, len(word))
    if not done:
        raise ValueError(f"Failed to configure the names expected of other servers: {' '.join(names)}")


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        library.SSL_CTX_set_ciphersuites.argtypes = ctypes.c_void_p, ctypes.c_char_p
        library.SSL_CTX_set_timeout.argtypes = ctypes.c_void_p, ctypes.c_long
        library.SSL_CTX_set_timeout.restype = ctypes.c_long
        library.SSL_CTX_ctrl.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p
        library.SSL_CTX_ctrl.restype = ctypes.c_long
        library.SSL_CTX_get0_param.argtypes = (ctypes.c_void_p,)
        library.SSL_CTX_get0_param.restype = ctypes.c_void_p
        host = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
        library.X509_VERIFY_PARAM_set1_host.argtypes = host
        library.X509_VERIFY_PARAM_add1_host.argtypes = host
        library.X509_VERIFY_PARAM_set_hostflags.argtypes = ctypes.c_void_p, ctypes.c_uint
    except (OSError, AttributeError):
        raise Unavailable("not available in this build of Python's ssl module") from None
    return library


def _pointer(context: ssl.SSLContext) -> ctypes.c_void_p:
    """OpenSSL's own context: the first thing in Python's object, behind what every object begins with."""
    if sys.implementation.name != "cpython":
        raise Unavailable("only available in CPython")
    return ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
