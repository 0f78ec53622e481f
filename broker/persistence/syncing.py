"""A thread that syncs a file while ticks go on.

It reads from one pipe what to sync, and reports through another, which the tick's poller watches: replies that wait for
a sync are sent as soon as it is done, without a round trip through Trio's scheduler. The compiled version never needs
the interpreter's lock, for which it would have to wait until a tick ends or makes a system call.

A forked child closes both pipes along with all other descriptors, and has no such thread.
"""

import errno
import os
import resource
import select
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from broker.persistence.files import Output, sync_descriptor
from protocol.native import prefer

NAME: Final = "trimaran sync"
"""The name of the thread."""

_SIZE: Final = 4
_END: Final = -2


QUICK_SECONDS: Final = 0.0005
"""A sync that took less is not worth waking a thread for: doing the next one in the tick saves a third of its time."""


def _pipe(undo: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        undo.callback(os.close, end)
    return ends


def _encoded(number: int) -> bytes:
    return number.to_bytes(_SIZE, sys.byteorder, signed=True)


def _decoded(data: bytes) -> int:
    return int.from_bytes(data, sys.byteorder, signed=True)


def serve_syncs(requests: int, results: int) -> int:
    """Sync each descriptor read from the pipe `requests`, and write the errno, or 0, to `results`.

    Each is four bytes in native order. Returns at a negative number, and returns that number.
    """
    while (descriptor := _decoded(os.read(requests, _SIZE))) >= 0:
        os.write(results, _encoded(_failure(partial(sync_descriptor, descriptor))))
    return descriptor


def failure_of(act: Callable[[], None]) -> OSError | None:
    """The error that this raises, None if it succeeds."""
    try:
        act()
    except OSError as problem:
        return problem
    return None


def _failure(sync: Callable[[], None]) -> int:
    """The errno with which `sync` fails, or 0."""
    problem = failure_of(sync)
    return 0 if problem is None else problem.errno or errno.EIO


prefer(globals(), "broker.persistence._syncing", "serve_syncs")


class SyncThread:
    """The thread, which runs from construction until `close`."""

    def __init__(self) -> None:
        """Raises OSError if no descriptors or no thread can be had."""
        with ExitStack() as undo:
            self._requests_out, self._requests_in = _pipe(undo)
            self._results_out, self._results_in = _pipe(undo)
            os.set_blocking(self._results_out, False)
            self._file: Output | None = None
            self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
            try:
                self._thread.start()
            except RuntimeError as problem:
                raise OSError(errno.EAGAIN, str(problem)) from None
            self._descriptors = undo.pop_all()

    @property
    def native_id(self) -> int:
        """The thread's number in the system."""
        return self._thread.native_id or 0

    def fileno(self) -> int:
        """The descriptor that becomes readable when a sync has ended."""
        return self._results_out

    def start(self, file: Output) -> None:
        """Start syncing everything written to the file; only one sync may run at a time."""
        self._file = file
        os.write(self._requests_in, _encoded(file.descriptor))

    def ended(self) -> bool:
        """Whether the running sync has ended since the last call. Raises OSError if it failed."""
        try:
            problem = _decoded(os.read(self._results_out, _SIZE))
        except BlockingIOError:
            return False
        if problem:
            raise OSError(problem, os.strerror(problem))
        return True

    def wait(self) -> None:
        """Wait for the running sync to end. Raises OSError if it failed."""
        # Not select.select, which refuses descriptors from 1,024 on.
        results = select.poll()
        results.register(self._results_out, select.POLLIN)
        while not self.ended():
            results.poll()

    def close(self) -> None:
        """Wait for a running sync and then the thread to end. Raises OSError if the sync failed."""
        os.write(self._requests_in, _encoded(_END))
        self._thread.join()
        with self._descriptors:
            self.ended()

    def _run(self) -> None:
        while serve_syncs(self._requests_out, self._results_in) != _END:
            # A file without a descriptor, from a simulated disk.
            assert self._file is not None
            os.write(self._results_in, _encoded(_failure(self._file.sync)))


def times_waited() -> int:
    """How often this thread has given up the processor to wait for something; 0 if the system does not say."""
    this_thread = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if this_thread is None else resource.getrusage(this_thread).ru_nvcsw
