"""Forking children that share this process's memory, and end without any of its clean-up."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Final

_STANDARD: Final = 3
"""The descriptors below are standard input, output and error."""


def fork_with_pipe() -> tuple[int, int]:
    """Fork; returns the child's PID and the pipe's end for reading, and in the child 0 and the end for writing.

    Raises OSError. The child must call `begin_child` first, and leave with os._exit, which closes its end of the pipe.
    """
    receiving, sending = os.pipe()
    # Buffered output would be written twice.
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with warnings.catch_warnings():
            # CPython warns of locks that other threads may hold; what the children run takes none.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError:
        os.close(receiving)
        os.close(sending)
        raise
    if not pid:
        return 0, sending
    os.close(sending)
    return pid, receiving


def begin_child(*kept: int) -> None:
    """Leave the parent's signals to it, and close all descriptors but these and the standard ones; -1 stands for none.

    While a child held one of the parent's sockets open, its client would not notice that the parent has closed it.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    first = _STANDARD
    for descriptor in sorted({number for number in kept if number >= _STANDARD}):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
