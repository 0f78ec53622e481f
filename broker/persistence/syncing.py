"""A thread that syncs a file while ticks go on.

It waits at a pipe to be told what to sync, and tells through another one, which the tick's poller watches, that it has:
so the replies that wait for a sync leave as soon as it is done, without a round through Trio's scheduler. Compiled, it
never needs the interpreter's lock, for which it would have to wait until a tick is over or makes a system call.

A forked child closes both pipes with all other descriptors, and has no such thread.
"""

import errno
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from broker.persistence.files import Output, sync_descriptor
from protocol.native import prefer

NAME: Final = "trimaran sync"
"""Of the thread."""

_SIZE: Final = 4
_END: Final = -2


def _pipe(undo: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _encoded(number: int) -> bytes:
    return number.to_bytes(_SIZE, sys.byteorder, signed=True)


def _decoded(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder, signed=True)


def serve_syncs(asked: int, told: int) -> int:
    """Sync each descriptor that comes through the pipe `asked`, and tell the error's number, or 0, through `told`.

    Both are four bytes in the machine's order. A negative number ends it, and is the result.
    """
    while (descriptor := _decoded(os.read(asked, _SIZE))) >= 0:
        os.write(told, _encoded(_failure(partial(sync_descriptor, descriptor))))
    return descriptor


def _failure(sync: Callable[[], None]) -> int:
    """The number of the error with which it fails, 0 if it doesn't."""
    try:
        sync()
    except OSError as problem:
        return problem.errno or errno.EIO
    return 0


prefer(globals(), "broker.persistence._syncing", "serve_syncs")


class SyncThread:
    """The thread, from when it is made until `close`."""

    def __init__(self) -> None:
        """Raises OSError where there are no descriptors left for it, or no threads."""
        with ExitStack() as undo:
            self._asked, self._ask = _pipe(undo)
            self._told, self._tell = _pipe(undo)
            os.set_blocking(self._told, False)
            self._file: Output | None = None
            self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as problem:
                raise OSError(errno.EAGAIN, str(problem)) from None
            self._descriptors = undo.pop_all()

    def fileno(self) -> int:
        """The descriptor that is readable when a sync has ended."""
        return self._told

    def start(self, file: Output) -> None:
        """Have all that was written to the file synced; one at a time."""
        self._file = file
        os.write(self._ask, _encoded(file.descriptor))

    def ended(self) -> bool:
        """Whether the sync that was running has ended since the last call. Raises the OSError with which it failed."""
        try:
            problem = _decoded(os.read(self._told, _SIZE))
        except BlockingIOError:
            return False
        if problem:
            raise OSError(problem, os.strerror(problem))
        return True

    def close(self) -> None:
        """Come back when the thread has ended, and before it the sync that is running, with the OSError if it fails."""
        os.write(self._ask, _encoded(_END))
        self._thread.join()
        with self._descriptors:
            self.ended()

    def _run(self) -> None:
        while serve_syncs(self._asked, self._tell) != _END:
            # A file without a descriptor: one of a simulated disk.
            assert self._file is not None
            os.write(self._tell, _encoded(_failure(self._file.sync)))
