"""Receiving from and sending to one client's socket, without ever waiting.

The compiled twin makes the system calls itself: it receives into one buffer that all connections share, where a socket
object allocates 64 KiB for each read and gives most of it back, and it keeps the interpreter's lock, since no call
waits. That takes 0.7 us off a request that comes alone.
"""

from __future__ import annotations

import socket
from functools import partial

from protocol.limits import READ_SIZE
from protocol.native import prefer


class Endpoint:
    """One connected, non-blocking stream socket.

    `receive()` returns up to READ_SIZE bytes, none at the end of the stream; `send(data)` returns how many bytes the
    socket took. Both raise BlockingIOError when nothing can be done now, and another OSError when the connection is
    lost or closed.
    """

    __slots__ = ("_sock", "receive", "send")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.receive = partial(sock.recv, READ_SIZE)
        self.send = sock.send

    def close(self) -> None:
        """Close the socket. From then on both calls raise OSError, whoever has the descriptor by then."""
        self._sock.close()


prefer(globals(), "broker.network._endpoint", "Endpoint")
