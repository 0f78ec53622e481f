"""The interface between a session and its connection, and what answers once the connection has ended.

A session knows nothing about sockets: the network layer implements `Transport`.
"""

from __future__ import annotations

from typing import Final, Protocol

from broker.class_options import mypyc_attr
from broker.clients.backlog import Backlog


class Channel(Protocol):
    """A connection whose client is waited for, while the process does nothing else."""

    def fileno(self) -> int:
        """The socket's descriptor."""

    def receive(self) -> bytes:
        """Wait for bytes of the client's; returns none if it is gone."""

    def send(self, data: bytes) -> None:
        """Send all of this, if need be after a wait; it is dropped if the client is gone."""

    def close(self) -> None:
        """Tell the client that nothing more comes, and close the connection."""


class Transport(Protocol):
    """What a session needs from its connection."""

    def peer(self) -> bytes:
        """The peer's address, as CLIENT LIST prints it."""

    def local(self) -> bytes:
        """The broker's side of the connection, as CLIENT LIST prints it."""

    def is_local(self) -> bool:
        """Whether the peer is on this machine: via loopback, a Unix socket, or in this process."""

    def limits_changed(self) -> None:
        """Called when the session has been authenticated, or a directive that limits requests has changed."""

    def sizes(self) -> tuple[int, int, int, int]:
        """Bytes of unparsed input, free input space, parsed requests not yet executed, and unsent output."""

    def replies(self) -> tuple[int, int, int]:
        """Bytes of replies that the client has not taken and the pieces they are in, and the most bytes sent at once
        in recent seconds."""

    def held_back(self) -> int:
        """The number of complete requests that were received and may not be executed yet."""

    def channel(self, in_child: bool) -> Channel | None:
        """The connection for a dialogue during which nothing else is served, or for a child that takes it over.

        None if that can't be had.
        """

    def hand_over(self) -> None:
        """Leave the connection to a child: what this process does with it from now on must not reach the client."""

    def direct_descriptor(self) -> int:
        """The descriptor to which bytes can be written as they are, -1 if the connection is encrypted."""

    def replace_backlog(self, backlog: Backlog) -> bool:
        """Send what is in this queue instead of the usual one; False if that is not empty."""

    def delay_small_packets(self) -> None:
        """Let the system delay small packets, to send fewer of them."""

    def close_soon(self) -> None:
        """Close the connection at the end of this tick, once the queued output has been sent."""

    def abort(self) -> None:
        """Close the connection at the end of this tick without sending the queued output."""


@mypyc_attr(allow_interpreted_subclasses=True)
class NoTransport:
    """The answers of a session without a connection, and the base of transports that have little to say."""

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

    def replies(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def held_back(self) -> int:
        return 0

    def channel(self, in_child: bool) -> Channel | None:
        return None

    def hand_over(self) -> None:
        pass

    def direct_descriptor(self) -> int:
        return -1

    def replace_backlog(self, backlog: Backlog) -> bool:
        return False

    def delay_small_packets(self) -> None:
        pass

    def close_soon(self) -> None:
        pass

    def abort(self) -> None:
        pass


CLOSED_TRANSPORT: Final = NoTransport()
"""The transport of a session that has no connection."""
