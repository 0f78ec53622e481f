"""A client's connection as its script's debugger uses it: waiting for the client, with nothing else being served."""

from __future__ import annotations

import select
import socket
from contextlib import suppress

from broker.clients.backlog import Backlog
from broker.network.endpoint import Endpoint
from broker.network.tls import TlsEndpoint


class BlockingChannel:
    """The socket's descriptor, its endpoint, and the replies that the socket did not take before, which go first."""

    def __init__(self, sock: socket.socket, endpoint: Endpoint | TlsEndpoint, backlog: Backlog) -> None:
        self._sock = sock
        self._endpoint = endpoint
        self._backlog = backlog

    def fileno(self) -> int:
        return self._sock.fileno()

    def receive(self) -> bytes:
        """Wait for bytes of the client's; returns none if it is gone."""
        while True:
            try:
                return self._endpoint.receive()
            except BlockingIOError:
                self._wait(select.POLLIN)
            except OSError:
                return b""

    def send(self, data: bytes) -> None:
        """Send all of this, if need be after a wait; it is dropped if the client is gone."""
        self._backlog.append(data)
        try:
            while True:
                self._backlog.send(self._endpoint.send)
                if not self._backlog.size:
                    return
                self._wait(select.POLLOUT)
        except OSError:
            self._backlog.clear()

    def close(self) -> None:
        """Tell the client that nothing more comes, and close the connection."""
        with suppress(OSError):
            self._endpoint.close()

    def _wait(self, mask: int) -> None:
        poll = select.poll()
        poll.register(self._sock.fileno(), mask)
        poll.poll()
