"""What a session may ask of the connection under it, and what it has once there is none.

A session does not know of sockets: the network layer implements `Transport`.
"""

from __future__ import annotations

from typing import Final, Protocol

from broker.clients.backlog import Backlog


class Transport(Protocol):
    """What a session may ask of the connection under it."""

    def peer(self) -> bytes:
        """The peer's address as CLIENT LIST prints it."""

    def local(self) -> bytes:
        """The broker's side of the connection, as CLIENT LIST prints it."""

    def is_local(self) -> bool:
        """Whether the peer is on this machine: loopback, Unix socket, or in this process."""

    def limits_changed(self) -> None:
        """The session was authenticated, or a directive that limits requests was changed."""

    def sizes(self) -> tuple[int, int, int, int]:
        """Bytes of: unparsed input, free input room, parsed but waiting requests, unsent output."""

    def close_soon(self) -> None:
        """End the connection after what was queued has been sent, at the end of this tick."""

    def abort(self) -> None:
        """End the connection at the end of this tick without sending what is queued."""


class _ClosedTransport:
    """The transport of a session whose connection has ended."""

    backlog: Final = Backlog()

    def peer(self) -> bytes:
        return b""

    def local(self) -> bytes:
        return b""

    def is_local(self) -> bool:
        return False

    def limits_changed(self) -> None:
        pass

    def sizes(self) -> tuple[int, int, int, int]:
        return 0, 0, 0, 0

    def close_soon(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def flush(self) -> bool:
        return True


CLOSED_TRANSPORT: Final = _ClosedTransport()
"""What a session has in place of a connection where there is none."""
