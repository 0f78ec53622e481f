"""How much memory this process and this machine have, in bytes.

Two figures tell how much the process takes. What is *resident* is what the system accounts to it; it rises at once
and falls late, as both Python's allocator and C's keep what was freed for what comes next. What is *in use* is what
the two have handed out at this moment, and falls with every object freed. An operator's limit is about the first,
eviction can only act on the second: it makes room inside the process, which then grows no further.

Python's allocator, for objects of up to 512 bytes, prints its statistics into a C stream; C's (glibc) gives its own.
Measured: at 700 MB of small strings 0.7 ms together. glibc walks its lists of free pieces, 0.25 us each: after half
of 700 MB of values of 1 to 3 KB were deleted at random, 20 ms. Whoever measures must mind what it costs
(broker.memory.eviction does).
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
# getrusage() gives kilobytes on Linux and bytes on macOS.
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
    """What the process takes, in bytes: in use, and resident."""

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
    """The allocators' own statistics, as far as this system has them."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._python = _function(ctypes.pythonapi, "_PyObject_DebugMallocStats", ctypes.c_int, ctypes.c_void_p)
        self._open = _function(
            library, "fmemopen", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
        )  # fmt: skip
        self._close = _function(library, "fclose", ctypes.c_int, ctypes.c_void_p)
        self._c = _function(library, "mallinfo2", _MallocInfo)
        self._text = ctypes.create_string_buffer(_TEXT_MAX)
        # What neither allocator knows of: the programs' code and static data, stacks.
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
        """Bytes that Python's allocator has from the system, and how many of them are free."""
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
        """The same of C's allocator."""
        if self._c is None:
            return 0, 0
        info = self._c()
        return info.arena + info.hblkhd, info.fordblks


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    """A C function; None where it is missing."""
    function = getattr(library, name, None)
    if function is not None:
        function.restype = result
        function.argtypes = arguments
    return function


def _number(pattern: re.Pattern[bytes], text: bytes) -> int:
    """A number of Python's statistics; 0 where it is missing (PYTHONMALLOC=malloc)."""
    found = pattern.search(text)
    return int(found[1].replace(b",", b"")) if found else 0


@lru_cache(maxsize=1)
def _allocators() -> _Allocators:
    return _Allocators()


def tune_allocator() -> None:
    """Have C's allocator (glibc) give back what large objects took, whenever they are freed.

    Left to itself it keeps the memory of each large object freed for the next one, so that the tables of a growing
    keyspace leave holes of tens of megabytes behind.
    """
    mallopt = _function(ctypes.CDLL(None), "mallopt", ctypes.c_int, ctypes.c_int, ctypes.c_int)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        mallopt(_M_TRIM_THRESHOLD, _TRIMMED_FROM)


def measure() -> Memory:
    """What the process takes now. Where C's allocator gives no figures, all that Python's has not free is in use."""
    return _allocators().measure()


def unused() -> int:
    """What the allocators have from the system and have not given out; 0 where they don't tell."""
    return _allocators().unused()


@lru_cache(maxsize=1)
def _statm() -> int:
    """The open file in which Linux tells the process's sizes; -1 elsewhere. Kept open: 1.5 us a reading, not 8."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


# The places of the sizes in that file.
_RESIDENT: Final = 1
_WRITABLE: Final = 5


def _pages(place: int) -> int:
    try:
        return int(os.pread(_statm(), 128, 0).split(b" ", place + 1)[place]) * _PAGE
    except (OSError, IndexError, ValueError):
        return peak_resident()


def resident() -> int:
    """The process's resident memory now; where the system does not tell, its peak."""
    return _pages(_RESIDENT)


def writable() -> int:
    """The memory that the process may write to, touched or not; where the system does not tell, its peak.

    All that the allocators give out is part of it, also what was never touched and so is not resident.
    """
    return _pages(_WRITABLE)


def peak_resident() -> int:
    """The most resident memory the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RUSAGE_UNIT


@lru_cache(maxsize=1)
def of_machine() -> int:
    """The machine's physical memory; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * _PAGE
    except (OSError, ValueError):
        return 0


def human(size: int) -> str:
    """A size for people, as INFO shows it: `1.50M`."""
    if size < 1024:
        return f"{size}B"
    power = min((size.bit_length() - 1) // 10, len("KMGTP"))
    return f"{size / 1024**power:.2f}{'BKMGTP'[power]}"
