"""How much memory this process and this machine have, in bytes.

Two figures describe the process's memory. *Resident* memory is what the system charges to it; it rises immediately and
falls late, since both Python's and C's allocator keep freed memory for reuse. Memory *in use* is what the two
allocators have handed out at this moment; it falls with every object freed. An operator's limit is about the former,
but eviction can only act on the latter: it makes room inside the process, which then grows no further.

Python's allocator, for objects of up to 512 bytes, prints its statistics to a C stream; C's (glibc) returns its own.
Both together took 0.7 ms at 700 MB of small strings. glibc walks its lists of free chunks at 0.25 us each: 20 ms after
half of 700 MB of values of 1 to 3 KB were deleted at random. Callers must mind that cost (broker.memory.eviction does).
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from functools import lru_cache
from typing import Any, Final, NamedTuple

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# getrusage() returns kilobytes on Linux and bytes on macOS.
_RUSAGE_UNIT: Final = 1 if sys.platform == "darwin" else 1024

# Python's statistics are some 4 KB of text.
_TEXT_MAX: Final = 1 << 16
_ARENAS: Final = re.compile(rb"bytes/arena +=[ ]*([\d,]+)")
_AVAILABLE: Final = re.compile(rb"# bytes in available blocks +=[ ]*([\d,]+)")
_UNUSED: Final = re.compile(rb"unused pools \* \d+ bytes +=[ ]*([\d,]+)")


# mallopt()'s parameters.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_MAPPED_FROM: Final = 2 << 20
_TRIMMED_FROM: Final = 8 << 20


class Memory(NamedTuple):
    """The process's memory in bytes: in use, and resident."""

    in_use: int
    resident: int


class _MallocInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


class _Allocators:
    """The allocators' statistics, as far as this system has them."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._python = _function(ctypes.pythonapi, "_PyObject_DebugMallocStats", ctypes.c_int, ctypes.c_void_p)
        self._open = _function(
            library, "fmemopen", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
        )  # fmt: skip
        self._close = _function(library, "fclose", ctypes.c_int, ctypes.c_void_p)
        self._c = _function(library, "mallinfo2", _MallocInfo)
        self._text = ctypes.create_string_buffer(_TEXT_MAX)
        # What neither allocator knows about: code, static data, stacks.
        python, _, c, c_free = self._of_python() + self._of_c()
        self._other = max(0, resident() - python - c + c_free) if self._c is not None else 0

    def measure(self) -> Memory:
        python, python_free = self._of_python()
        total = resident()
        if self._c is None:
            return Memory(max(0, total - python_free), total)
        c, c_free = self._of_c()
        return Memory(self._other + python - python_free + c - c_free, total)

    def unused(self) -> int:
        return self._of_python()[1] + self._of_c()[1]

    def _of_python(self) -> tuple[int, int]:
        """Bytes that Python's allocator has got from the system, and how many of those are free."""
        if self._python is None or self._open is None or self._close is None:
            return 0, 0
        stream = self._open(self._text, _TEXT_MAX, b"w")
        if not stream:
            return 0, 0
        self._python(stream)
        self._close(stream)
        text = self._text.value
        return _number(_ARENAS, text), _number(_AVAILABLE, text) + _number(_UNUSED, text)

    def _of_c(self) -> tuple[int, int]:
        """The same for C's allocator."""
        if self._c is None:
            return 0, 0
        info = self._c()
        return info.arena + info.hblkhd, info.fordblks


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A C function, or None if it is missing."""
    function = getattr(library, name, None)
    if function is not None:
        function.restype = result
        function.argtypes = arguments
    return function


def _number(pattern: re.Pattern[bytes], text: bytes) -> int:
    """A number from Python's statistics, or 0 if it is missing (PYTHONMALLOC=malloc)."""
    found = pattern.search(text)
    return int(found[1].replace(b",", b"")) if found else 0


@lru_cache(maxsize=1)
def _allocators() -> _Allocators:
    return _Allocators()


def tune_allocator() -> None:
    """Make C's allocator (glibc) return the memory of large objects to the system when they are freed.

    By default it keeps that memory for the next large object, so the tables of a growing keyspace leave holes of tens
    of megabytes behind.
    """
    mallopt = _function(ctypes.CDLL(None), "mallopt", ctypes.c_int, ctypes.c_int, ctypes.c_int)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        mallopt(_M_TRIM_THRESHOLD, _TRIMMED_FROM)


def measure() -> Memory:
    """The process's current memory. Without statistics from C's allocator, whatever Python's has not free is in use."""
    return _allocators().measure()


def unused() -> int:
    """What the allocators have got from the system but not handed out; 0 if unknown."""
    return _allocators().unused()


@lru_cache(maxsize=1)
def _statm() -> int:
    """The file with the process's sizes on Linux, -1 elsewhere. Kept open: reading it takes 1.5 us instead of 8."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


# The positions of the sizes in that file.
_RESIDENT: Final = 1
_WRITABLE: Final = 5


def _pages(place: int) -> int:
    try:
        return int(os.pread(_statm(), 128, 0).split(b" ", place + 1)[place]) * _PAGE
    except (OSError, IndexError, ValueError):
        return peak_resident()


def resident() -> int:
    """The process's current resident memory, or its peak if the system does not say."""
    return _pages(_RESIDENT)


def writable() -> int:
    """The memory that the process may write to, touched or not, or peak resident memory if the system does not say.

    Includes everything the allocators have handed out, even if never touched and so not resident.
    """
    return _pages(_WRITABLE)


def peak_resident() -> int:
    """The process's peak resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RUSAGE_UNIT


@lru_cache(maxsize=1)
def of_machine() -> int:
    """The machine's physical memory, or 0 if the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (OSError, ValueError):
        return 0


def human(size: int) -> str:
    """A human-readable size, as INFO shows it: `1.50M`."""
    if size < 1024:
        return f"{size}B"
    power = min((size.bit_length() - 1) // 10, len("KMGTP"))
    return f"{size / 1024**power:.2f}{'BKMGTP'[power]}"
