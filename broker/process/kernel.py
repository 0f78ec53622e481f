"""Settings of the kernel that matter to a broker: huge pages, overcommitted memory."""

import ctypes
import sys
from pathlib import Path
from typing import Final

OVERCOMMIT_WARNING: Final = (
    "WARNING Memory overcommit must be enabled! Without it, a background save may fail under low memory condition."
    " To fix this issue add 'vm.overcommit_memory = 1' to /etc/sysctl.conf and then reboot or run the command"
    " 'sysctl vm.overcommit_memory=1' for this to take effect."
)

_PR_SET_THP_DISABLE: Final = 41
_OVERCOMMIT: Final = Path("/proc/sys/vm/overcommit_memory")
_HUGE_PAGES: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def refuses_overcommit(file: Path = _OVERCOMMIT) -> bool:
    """Whether a fork may fail for want of memory that it would never use."""
    return _read(file).strip() in ("0", "2")


def uses_huge_pages(file: Path = _HUGE_PAGES) -> bool:
    """Whether every process gets huge pages, of which a write during a save copies a whole one."""
    return "[always]" in _read(file)


def disable_huge_pages() -> bool:
    """Do without them in this process and its children (`disable-thp`); False if the kernel refuses."""
    return sys.platform == "linux" and int(ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)) == 0


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
