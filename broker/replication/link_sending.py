"""The sending side of the link to the master, and the connection as CLIENT LIST and CLIENT KILL see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from broker.clients.transport import NoTransport
from broker.replication.incoming import LinkLost
from protocol.replies import bulks

if TYPE_CHECKING:
    from broker.config import Config
    from broker.replication.role import Address

INTERVAL: Final = 1
"""Seconds between acknowledgements."""

KEEP_ALIVE: Final = b"\n"
"""Sent while the data are being loaded, so that the master does not take this replica for dead."""

Acknowledgement = Callable[[], tuple[int, int | None]]
"""Returns the offset to report, and the one up to which everything is on the disk, None without a journal."""


class Sender:
    """Sends the handshake, and then acknowledgements once a second and whenever it is woken."""

    def __init__(self, stream: trio.abc.SendStream, config: Config) -> None:
        self._stream = stream
        self._config = config
        self._woken = trio.Event()
        self._acknowledgement: Acknowledgement | None = None

    async def send(self, data: bytes) -> None:
        """Send something, while `run` is not running. Raises LinkLost."""
        try:
            with trio.fail_after(self._config.repl_timeout):
                await self._stream.send_all(data)
        except trio.TooSlowError:
            raise LinkLost("Timeout writing to the MASTER...") from None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as problem:
            raise LinkLost(f"Sending command to master in replication handshake: {problem}") from None

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Send acknowledgements from now on, the first at once: it also ends a payload that has a mark."""
        self._acknowledgement = acknowledgement
        self.wake()

    def wake(self) -> None:
        """Send the next acknowledgement at once."""
        self._woken.set()

    async def run(self) -> None:
        """Send until cancelled, or until the connection fails, which the receiving side will notice."""
        while True:
            with trio.move_on_after(INTERVAL):
                await self._woken.wait()
            self._woken = trio.Event()
            try:
                await self._stream.send_all(self._message())
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                return

    def _message(self) -> bytes:
        if self._acknowledgement is None:
            return KEEP_ALIVE
        offset, synced = self._acknowledgement()
        words = [b"REPLCONF", b"ACK", b"%d" % offset]
        if synced is not None:
            words += [b"FACK", b"%d" % synced]
        return bulks(words)


class LinkTransport(NoTransport):
    """The link as the transport of the session that executes the master's commands."""

    def __init__(self, stream: trio.abc.Stream, master: Address, scope: trio.CancelScope) -> None:
        self._master = master
        self._scope = scope
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self.fd = -1 if self._socket is None else self._socket.fileno()

    def peer(self) -> bytes:
        return str(self._master).encode()

    def local(self) -> bytes:
        if self._socket is None:
            return b""
        try:
            host, port = self._socket.getsockname()[:2]
        except OSError:
            return b""
        return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()

    def close_soon(self) -> None:
        self._scope.cancel()

    def abort(self) -> None:
        self._scope.cancel()
