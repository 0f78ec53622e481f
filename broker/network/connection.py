"""One client's connection: its socket, its parser, and what is pending in either direction.

Input waits in the parser (an incomplete request) and in `waiting` (complete requests that may not be executed
yet); output waits in the session's `out` until the end of the tick, and in the backlog when the kernel takes no
more. Many clients write a whole pipeline before reading its first reply, so a client with a backlog is still served, up
to UNSENT_MAX. A blocked client is not read from, and TCP makes it wait in turn.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from broker.clients.backlog import Backlog
from broker.clients.session import CLOSING, HELD, MONITORING, REPLICA, UNAUTHENTICATED
from broker.clients.transport import CLOSED_TRANSPORT, Channel
from broker.network.channel import BlockingChannel
from broker.network.endpoint import Endpoint
from broker.network.tls import TlsEndpoint
from protocol import limits
from protocol.parser import RequestParser

if TYPE_CHECKING:
    from broker.broker import Broker
    from broker.config.syntaxes import BufferLimit

UNSENT_MAX = 512 << 20
"""Bytes of unsent replies at which the broker stops reading from a client and executing its requests, until the client
has read some. Far more than any pipeline that is written before it is read needs (70 million PINGs, half a million
values of 1 KB), and as much as the longest value allowed by default. Redis has no such bound; without one, a client
that never reads fills the memory by asking for the same large value again and again. A client that monitors asks for
nothing, and is closed."""

UNCOUNTED: Final = 16 << 10
"""Bytes up to which replies are sent without checking the output limit. Redis's limit excludes its reply buffer, which
has this size; and small replies need not consult the configuration."""


class Connection:
    """A client's byte stream, and the session on it.

    `mask` is what the poller watches for. `backlog` holds encoded replies that the socket did not take;
    `soft_since` is the wall time (milliseconds) since which it has been over the soft limit of the client's class, or
    0 while it is not. `peak` is the largest number of bytes of replies that one tick has sent since
    `peak_since`, the wall time (milliseconds) when it was last reset.
    """

    __slots__ = (
        "backlog", "broker", "endpoint", "fd", "mask", "parser", "peak", "peak_since", "peer_name", "query_limit",
        "receive", "refused", "schedule_close", "session", "sock", "soft_since", "transmit", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        broker: Broker,
        sock: socket.socket,
        peer: bytes,
        schedule_close: Callable[[Connection], None],
        endpoint: TlsEndpoint | None = None,
    ) -> None:
        """Serve a connected, non-blocking socket; `schedule_close` closes a connection at the end of the tick.

        `endpoint` is given for an encrypted connection whose handshake is complete.
        """
        self.broker = broker
        self.sock = sock
        self.fd = sock.fileno()
        self.endpoint: Endpoint | TlsEndpoint = endpoint or Endpoint(sock)
        self.receive: Callable[[], bytes] = self.endpoint.receive
        self.transmit: Callable[[bytes | bytearray | memoryview], int] = self.endpoint.send
        self.peer_name = peer
        self.schedule_close = schedule_close
        self.mask = 0
        self.waiting: list[list[bytes]] = []
        self.backlog = Backlog()
        self.soft_since = 0
        self.peak = 0
        self.peak_since = broker.clock.now
        self.refused = False
        self.parser = RequestParser()
        self.query_limit = 0
        self.session = broker.open_session(self)
        self.limits_changed()

    def limits_changed(self) -> None:
        """Set the parser's limits, which depend on whether the client is authenticated."""
        config = self.broker.config
        parser = self.parser
        parser.authenticated = not self.session.flags & UNAUTHENTICATED
        parser.max_bulk = config.proto_max_bulk_len
        self.query_limit = config.client_query_buffer_limit
        if not parser.authenticated:
            self.query_limit = min(self.query_limit, limits.QUERY_BUFFER_UNAUTHENTICATED)

    def peer(self) -> bytes:
        return self.peer_name

    def local(self) -> bytes:
        try:
            return format_address(self.sock.getsockname(), self.sock.family)
        except OSError:
            return b""

    def is_local(self) -> bool:
        if self.sock.family == socket.AF_UNIX:
            return True
        return is_loopback(self.peer_name)

    def sizes(self) -> tuple[int, int, int, int]:
        waiting = sum(len(argument) for request in self.waiting for argument in request)
        unsent = self.backlog.limited() + sum(map(len, self.session.unsent()))
        return self.parser.buffered, 0, waiting, unsent

    def replies(self) -> tuple[int, int, int]:
        return self.backlog.limited(), self.backlog.pieces(), self.peak

    def held_back(self) -> int:
        return len(self.waiting)

    def reset_peak(self) -> None:
        """Forget the largest replies sent so far."""
        self.peak = 0
        self.peak_since = self.broker.clock.now

    def channel(self, in_child: bool) -> Channel | None:
        if not in_child and self._is_in_process():
            return None  # it would wait for a client that can't do anything meanwhile
        return BlockingChannel(self.sock, self.endpoint, self.backlog)

    def _is_in_process(self) -> bool:
        return self.sock.family == socket.AF_UNIX and not self.sock.getsockname()

    def hand_over(self) -> None:
        # Closing an encrypted connection says so to the client.
        self.endpoint = Endpoint(self.sock)

    def direct_descriptor(self) -> int:
        return self.fd if isinstance(self.endpoint, Endpoint) else -1

    def replace_backlog(self, backlog: Backlog) -> bool:
        if self.backlog.size:
            return False
        self.backlog = backlog
        return True

    def delay_small_packets(self) -> None:
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)

    def close_soon(self) -> None:
        self.schedule_close(self)

    def abort(self) -> None:
        self.transmit = _refuse_to_send
        self.backlog.clear()
        self.session.last_write_position = 0
        self.session.flags &= ~HELD
        self.schedule_close(self)

    def release(self) -> None:
        """Close the socket and free all buffers immediately.

        Connection and session refer to each other; otherwise megabytes would wait for the garbage collector.
        """
        self.endpoint.close()
        self.waiting.clear()
        self.backlog.clear()
        self.session.out.clear()
        self.session.queued = None
        self.session.last_write_position = 0
        self.session.transport = CLOSED_TRANSPORT

    # Sending

    def is_full(self) -> bool:
        """Whether so many replies are unsent that the client must read some before it is served further."""
        return self.backlog.size >= UNSENT_MAX and not self.backlog.eager

    def flush(self) -> bool:
        """Send what the session has queued, behind any backlog; False if the connection must be closed."""
        session = self.session
        out = session.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if self.backlog.size or self.backlog.eager:
            return self._keep(data) and (not self.backlog.eager or self.drain())
        if not data:
            return True
        size = len(data)
        if size > self.peak:
            self.peak = size
        if size > UNCOUNTED and 0 < self._limit().hard < size:
            return self._limit_reached(size)
        try:
            sent = self.transmit(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        stats = self.broker.stats
        stats.bytes_written += sent
        stats.writes += 1
        session.bytes_out += sent
        if sent == size:
            return True
        self.backlog.begin(data, sent)
        return self._within_limits()

    def keep(self) -> bool:
        """Append what the session has queued to the backlog; False if the connection must be closed."""
        out = self.session.out
        data = b"".join(out)
        out.clear()
        return self._keep(data)

    def _keep(self, data: bytes) -> bool:
        if data:
            self.backlog.append(data)
        return self._within_limits()

    def drain(self) -> bool:
        """Send as much of the backlog as the socket takes; False if the connection must be closed."""
        try:
            sent = self.backlog.send(self.transmit)
        except OSError:
            return False
        if sent:
            self.broker.stats.bytes_written += sent
            self.session.bytes_out += sent
            self.session.last_active = self.broker.clock.now
        return self._within_limits()

    def _limit(self) -> BufferLimit:
        """The limits of the client's class."""
        session = self.session
        classes = self.broker.config.client_output_buffer_limit
        subscribed = session.channels or session.patterns or session.shard_channels
        if session.flags & REPLICA:
            replica: BufferLimit = classes.replica
            return replica
        limit: BufferLimit = classes.pubsub if subscribed else classes.normal
        return limit

    def _within_limits(self) -> bool:
        """Whether the backlog is within the limits of the client's class; if not, the client is being closed."""
        limit = self._limit()
        size = self.backlog.limited()
        over = 0 < limit.hard < size or (size >= UNSENT_MAX and self.session.flags & MONITORING != 0)
        if 0 < limit.soft < size:
            now = self.broker.clock.now
            self.soft_since = self.soft_since or now
            over = over or now - self.soft_since > limit.soft_seconds * 1000
        else:
            self.soft_since = 0
        return self._limit_reached(size) if over else True

    def _limit_reached(self, size: int) -> bool:
        """Count and log that the unsent replies are over the limit; returns False: the connection must be closed."""
        self.broker.stats.output_limit_closes += 1
        self.broker.log.warning(
            "client closed: its unsent replies are over the output buffer limit",
            id=self.session.id,
            addr=self.peer_name.decode(errors="replace"),
            bytes=size,
        )
        self.session.flags |= CLOSING
        return False

    def check_soft_limit(self) -> bool:
        """Check the limits while nothing is being sent; False if the connection must be closed."""
        return not self.backlog.limited() or self._within_limits()


def _refuse_to_send(data: object) -> int:
    """`transmit` of an aborted connection: replies that its requests still queue must not be sent."""
    raise OSError("aborted")


def format_address(address: object, family: int) -> bytes:
    """A socket address as CLIENT LIST prints it: `ip:port`, `[ip]:port`, or a path with `:0`."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return (f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}").encode()
    if isinstance(address, bytes):
        return address + b":0"
    return str(address).encode() + b":0"


def is_loopback(peer: bytes) -> bool:
    """Whether a formatted address is on the loopback interface."""
    return peer.startswith((b"127.", b"[::1]", b"[::ffff:127."))
