"""How much memory this process and this machine have, in bytes.

The broker has no allocator of its own that could count: what the system accounts to the process is what is
known, and what an operator's limit is about.
"""

import os
import resource
import sys
from functools import lru_cache
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
# getrusage() gives kilobytes on Linux and bytes on macOS.
_RUSAGE_UNIT: Final = 1 if sys.platform == "darwin" else 1024


def resident() -> int:
    """The process's resident memory now; where the system does not tell, its peak."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return peak_resident()


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
