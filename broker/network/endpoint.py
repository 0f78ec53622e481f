"""Receiving from and sending to one client's socket, without ever blocking.

The compiled twin makes the system calls itself. It receives into one buffer shared by all connections, where a socket
object allocates 64 KiB for each read and frees most of it again, and it keeps the interpreter's lock, since no call
blocks. That saves 0.7 us for a request that comes alone.
"""

from __future__ import annotations

import socket
from functools import partial

from protocol.limits import READ_SIZE
from protocol.native import prefer


class Endpoint:
    """One connected, non-blocking stream socket.

    `receive()` returns up to READ_SIZE bytes, none at the end of the stream; `send(data)` returns the number of bytes
    that the socket took. Both raise BlockingIOError if the call would block, and another OSError if the connection is
    lost or closed.
    """

    __slots__ = ("_sock", "receive", "send")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.receive = partial(sock.recv, READ_SIZE)
        self.send = sock.send

    def close(self) -> None:
        """Close the socket. From then on both calls raise OSError, even if the descriptor has been reused."""
        self._sock.close()


prefer(globals(), "broker.network._endpoint", "Endpoint")
