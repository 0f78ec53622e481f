"""Readiness of many sockets at once: epoll, or kqueue behind epoll's interface.

The poller's own descriptor is readable when any of its sockets is ready, so Trio waits on this one descriptor for all
clients.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import Final, Protocol

from protocol.native import prefer

READABLE: Final = 1
WRITABLE: Final = 4
GONE: Final = 0x2018
"""The peer has closed its sending side (0x2000), hung up (0x10), or the socket has failed (0x8)."""
PEER_CLOSED: Final = 0x2000


class Poller(Protocol):
    """The part of epoll that the tick needs."""

    def fileno(self) -> int:
        """The descriptor that is readable when something is ready."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch a descriptor."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Change the events that a descriptor is watched for."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching a descriptor."""

    def poll(self, milliseconds: int, /) -> list[tuple[int, int]]:
        """Wait up to that long for a ready descriptor; returns all, with events. May return early after a signal."""

    def close(self) -> None:
        """Close the poller's descriptor."""


if sys.platform == "linux":

    class EpollPoller:
        """epoll. Its compiled twin keeps the interpreter's lock for a poll that does not wait."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self.fileno = self._epoll.fileno
            self.register = self._epoll.register
            self.modify = self._epoll.modify
            self.unregister = self._epoll.unregister
            self.close = self._epoll.close

        def poll(self, milliseconds: int, /) -> list[tuple[int, int]]:
            return self._epoll.poll(milliseconds / 1000)

    prefer(globals(), "broker.process._epoll", "EpollPoller")

    def create_poller() -> Poller:
        """A new poller."""
        return EpollPoller()

else:

    class _KqueuePoller:
        """kqueue behind epoll's interface: two filters per descriptor, combined into one mask."""

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._masks: dict[int, int] = {}

        def fileno(self) -> int:
            return self._kqueue.fileno()

        def register(self, fd: int, eventmask: int, /) -> None:
            self._masks[fd] = 0
            self.modify(fd, eventmask)

        def modify(self, fd: int, eventmask: int, /) -> None:
            before = self._masks[fd]
            changes = []
            for flag, filt in ((READABLE, select.KQ_FILTER_READ), (WRITABLE, select.KQ_FILTER_WRITE)):
                if (before ^ eventmask) & flag:
                    action = select.KQ_EV_ADD if eventmask & flag else select.KQ_EV_DELETE
                    changes.append(select.kevent(fd, filt, action))
            self._masks[fd] = eventmask
            if changes:
                self._kqueue.control(changes, 0, 0)

        def unregister(self, fd: int, /) -> None:
            self.modify(fd, 0)
            del self._masks[fd]

        def poll(self, milliseconds: int, /) -> list[tuple[int, int]]:
            ready: dict[int, int] = {}
            for event in self._kqueue.control(None, 1024, milliseconds / 1000):
                mask = READABLE if event.filter == select.KQ_FILTER_READ else WRITABLE
                if event.flags & select.KQ_EV_EOF:
                    mask |= PEER_CLOSED
                ready[event.ident] = ready.get(event.ident, 0) | mask
            return list(ready.items())

        def close(self) -> None:
            self._kqueue.close()

    def create_poller() -> Poller:
        """A new poller."""
        return _KqueuePoller()


class Watches:
    """Descriptors other than clients', watched by the clients' poller; `calls` maps each to its callback.

    The code that polls calls it whenever the descriptor is readable.
    """

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.calls: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call `call` within the tick whenever this descriptor is readable."""
        self.calls[fd] = call
        self.poller.register(fd, READABLE)

    def unwatch(self, fd: int) -> None:
        """Stop watching this descriptor; the caller closes it."""
        del self.calls[fd]
        self.poller.unregister(fd)
