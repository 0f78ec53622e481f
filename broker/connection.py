"""One client's connection: its socket, the parser, and what waits on either side.

Input waits in the parser (an incomplete request) and in `waiting` (complete requests that may not be executed
yet); output waits in the session's `out` until the end of the tick, and in the backlog when the kernel takes no
more. A client with a backlog, or that is blocked, is not read from: TCP makes it wait in turn.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from broker.session import CLOSING, HELD, UNAUTHENTICATED
from protocol import limits
from protocol.parser import RequestParser

if TYPE_CHECKING:
    from broker.core import Broker


class Connection:
    """A client's byte stream, and the session on it.

    `mask` is what the poller watches for. `backlog` holds encoded replies that the socket did not take,
    `backlog_size` their bytes; `soft_since` is the wall time (milliseconds) since which the backlog has been over
    its class's soft limit, 0 while it is not.
    """

    __slots__ = (
        "backlog", "backlog_size", "broker", "fd", "mask", "parser", "peer_name", "query_limit", "receive",
        "refused", "schedule_close", "session", "sock", "soft_since", "transmit", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        broker: Broker,
        sock: socket.socket,
        peer: bytes,
        schedule_close: Callable[[Connection], None],
    ) -> None:
        """Serve a connected, non-blocking socket; `schedule_close` ends a connection when the tick does."""
        self.broker = broker
        self.sock = sock
        self.fd = sock.fileno()
        self.receive = sock.recv
        self.transmit: Callable[[bytes | memoryview], int] = sock.send
        self.peer_name = peer
        self.schedule_close = schedule_close
        self.mask = 0
        self.waiting: list[list[bytes]] = []
        self.backlog: deque[memoryview] = deque()
        self.backlog_size = 0
        self.soft_since = 0
        self.refused = False
        self.parser = RequestParser()
        self.query_limit = 0
        self.session = broker.open_session(self)
        self.limits_changed()

    def limits_changed(self) -> None:
        """Set the parser's limits for a client that has, or has not, proved who it is."""
        config = self.broker.config
        parser = self.parser
        parser.authenticated = not self.session.gate & UNAUTHENTICATED
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
        unsent = self.backlog_size + sum(map(len, self.session.out))
        return self.parser.buffered, 0, waiting, unsent

    def close_soon(self) -> None:
        self.schedule_close(self)

    def abort(self) -> None:
        self.transmit = _refuse_to_send
        self.backlog.clear()
        self.backlog_size = 0
        self.session.written = 0
        self.session.gate &= ~HELD
        self.schedule_close(self)

    def release(self) -> None:
        """Close the socket, and let go of all buffers at once.

        Connection and session refer to each other; left so, megabytes would wait for the garbage collector.
        """
        self.sock.close()
        self.waiting.clear()
        self.backlog.clear()
        self.backlog_size = 0
        self.session.out.clear()
        self.session.queued = None
        self.session.written = 0
        self.session.transport = GONE

    # Sending

    def flush(self) -> bool:
        """Send what the session has queued, and what waits; False when the connection must end."""
        session = self.session
        out = session.out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if self.backlog:
            return self._keep(data)
        if not data:
            return True
        try:
            sent = self.transmit(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        size = len(data)
        stats = self.broker.stats
        stats.bytes_written += sent
        stats.writes += 1
        session.bytes_out += sent
        if sent == size:
            return True
        self.backlog.append(memoryview(data)[sent:])
        self.backlog_size = size - sent
        return self._within_limits()

    def keep(self) -> bool:
        """Put what the session has queued behind what waits; False when the connection must end."""
        out = self.session.out
        data = b"".join(out)
        out.clear()
        return self._keep(data)

    def _keep(self, data: bytes) -> bool:
        if data:
            self.backlog.append(memoryview(data))
            self.backlog_size += len(data)
        return self._within_limits()

    def drain(self) -> bool:
        """Send from the backlog what the socket takes; False when the connection must end."""
        backlog = self.backlog
        try:
            while backlog:
                sent = self.transmit(backlog[0])
                self.broker.stats.bytes_written += sent
                self.session.bytes_out += sent
                self.backlog_size -= sent
                if sent < len(backlog[0]):
                    backlog[0] = backlog[0][sent:]
                    break
                backlog.popleft()
        except BlockingIOError:
            pass
        except OSError:
            return False
        return self._within_limits()

    def _within_limits(self) -> bool:
        """Whether the backlog is within the limits of the client's class."""
        session = self.session
        classes = self.broker.config.client_output_buffer_limit
        subscribed = session.channels or session.patterns or session.shard_channels
        limit = classes.pubsub if subscribed else classes.normal
        size = self.backlog_size
        over = 0 < limit.hard < size
        if 0 < limit.soft < size:
            now = self.broker.clock.now
            self.soft_since = self.soft_since or now
            over = over or now - self.soft_since > limit.soft_seconds * 1000
        else:
            self.soft_since = 0
        if over:
            self.broker.stats.output_limit_closes += 1
            self.broker.log.warning(
                "client closed: its unsent replies are over the output buffer limit",
                id=session.id,
                addr=self.peer_name.decode(errors="replace"),
                bytes=size,
            )
            session.gate |= CLOSING
        return not over

    def check_soft_limit(self) -> bool:
        """`_within_limits` at a time when nothing is sent; False when the connection must end."""
        return not self.backlog or self._within_limits()


class _Gone:
    """The transport of a session whose connection has ended."""

    backlog = ()

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


GONE: Final = _Gone()
"""What a session has in place of a connection where there is none."""


def _refuse_to_send(data: object) -> int:
    """`transmit` of a connection that was aborted: what its requests still queue must not leave."""
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
    """Whether a formatted address is of the loopback interface."""
    return peer.startswith((b"127.", b"[::1]", b"[::ffff:127."))
