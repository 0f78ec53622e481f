"""Connections to the servers that keys are migrated to.

A `Link` is what the conversation needs from a connection. `open_link` makes one on Trio, for a client that waits while
others are served. A transaction or a script must not be interrupted, so there everybody waits, as in Redis:
`open_blocking_link` makes one whose methods never suspend, and `run_now` runs a conversation on it to its end.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import trio

from broker.process.timers import Deadlines, Timer

IDLE_MS: Final = 10_000
"""How long an unused connection is kept, as in Redis."""

IDLE_MAX: Final = 64
"""How many unused connections are kept, as in Redis."""

LINE_MAX: Final = 64 << 10
"""The longest reply line in bytes. The replies to AUTH, SELECT and RESTORE are far shorter."""

_READ_SIZE: Final = 4096
_NO_DATABASE: Final = -1

T = TypeVar("T")

Address = tuple[bytes, bytes]
"""Host and port as the client gave them."""


class Link(Protocol):
    """A connection; `database` is the one selected, if that is known. Its methods raise OSError, if only a timeout."""

    database: int

    async def send(self, data: memoryview) -> None:
        """Send all of the data."""

    async def read_line(self) -> bytes:
        """Receive a line; returns it without its end."""

    def close(self) -> None:
        """Close the connection at once."""


Opener = Callable[[Address, float, ssl.SSLContext | None], Awaitable[Link]]
"""Connects to an address; the number of seconds applies to connecting and to each later step.

With a context the connection is encrypted. Raises ConnectionError if there is nobody, and otherwise OSError.
"""


class _Lines:
    """Bytes received, cut into lines."""

    def __init__(self) -> None:
        self._received = bytearray()

    def take(self) -> bytes | None:
        """The next line, if it is complete. Raises OSError for one that is too long."""
        received = self._received
        end = received.find(b"\n")
        if end < 0:
            if len(received) > LINE_MAX:
                raise OSError("the reply is too long")
            return None
        line = bytes(received[:end]).removesuffix(b"\r")
        del received[: end + 1]
        return line

    def add(self, data: bytes | bytearray) -> None:
        """Keep what was received. Raises OSError at the end of the connection."""
        if not data:
            raise ConnectionResetError("the connection was closed")
        self._received += data


class TrioLink:
    """A link for a task of its own."""

    def __init__(
        self, socket_stream: trio.SocketStream, timeout: float, encrypted: trio.abc.Stream | None = None
    ) -> None:
        """`encrypted` is the stream that encrypts what goes through the socket's, if any."""
        self.database = _NO_DATABASE
        self.timeout = timeout
        self._socket = socket_stream.socket
        self._stream = encrypted or socket_stream
        self._lines = _Lines()

    async def send(self, data: memoryview) -> None:
        try:
            with _TimeLimit(self.timeout):
                await self._stream.send_all(data)
        except trio.BrokenResourceError as problem:
            raise ConnectionResetError from problem

    async def read_line(self) -> bytes:
        try:
            with _TimeLimit(self.timeout):
                while (line := self._lines.take()) is None:
                    self._lines.add(await self._stream.receive_some(_READ_SIZE))
        except trio.BrokenResourceError as problem:
            raise ConnectionResetError from problem
        return line

    def close(self) -> None:
        self._socket.close()


class _TimeLimit:
    """A context that raises TimeoutError after that many seconds."""

    def __init__(self, seconds: float) -> None:
        self._scope = trio.CancelScope(deadline=trio.current_time() + seconds)

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(self, *exception: Any) -> bool | None:
        handled = self._scope.__exit__(*exception)
        if self._scope.cancelled_caught:
            raise TimeoutError
        return handled


async def open_link(address: Address, timeout: float, context: ssl.SSLContext | None) -> Link:
    """Connect without holding up anything else; see Opener."""
    host, port = _host_and_port(address)
    try:
        with _TimeLimit(timeout):
            stream = await trio.open_tcp_stream(host, port)
    except (socket.gaierror, TimeoutError):
        raise
    except OSError as problem:
        raise ConnectionRefusedError from problem  # Trio sums up what went wrong with each address
    return TrioLink(stream, timeout) if context is None else await _encrypt(stream, timeout, context)


async def _encrypt(stream: trio.SocketStream, timeout: float, context: ssl.SSLContext) -> Link:
    encrypted = trio.SSLStream(stream, context)
    try:
        with _TimeLimit(timeout):
            await encrypted.do_handshake()
    except BaseException as problem:
        stream.socket.close()
        if isinstance(problem, trio.BrokenResourceError):
            raise OSError("the handshake failed") from problem
        raise
    return TrioLink(stream, timeout, encrypted)


class BlockingLink:
    """A link whose methods hold up the whole broker and never suspend."""

    def __init__(self, sock: socket.socket) -> None:
        self.database = _NO_DATABASE
        self._socket = sock
        self._lines = _Lines()

    async def send(self, data: memoryview) -> None:
        self._socket.sendall(data)

    async def read_line(self) -> bytes:
        while (line := self._lines.take()) is None:
            self._lines.add(self._socket.recv(_READ_SIZE))
        return line

    def close(self) -> None:
        self._socket.close()


async def open_blocking_link(address: Address, timeout: float, context: ssl.SSLContext | None) -> Link:
    """Connect and let everything else wait; see Opener."""
    sock = socket.create_connection(_host_and_port(address), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        try:
            sock = context.wrap_socket(sock)
        except OSError as problem:
            sock.close()
            raise OSError("the handshake failed") from problem
    return BlockingLink(sock)


def run_now(conversation: Coroutine[Any, Any, T]) -> T:
    """Run a conversation that only uses blocking links."""
    try:
        conversation.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("a blocking link has suspended")


def _host_and_port(address: Address) -> tuple[str, int]:
    host, port = address
    digits = re.match(rb"\s*(\d{1,5})", port)  # as C's atoi, which is what Redis reads it with
    number = int(digits[1]) if digits else 0
    try:
        name = host.decode("ascii")
        name.encode("idna")  # as Python's resolver does, with an error of another kind
    except UnicodeError:
        name = ""
    if not name or "\0" in name or number >= 1 << 16:
        raise OSError("not an address")
    return name, number


class IdleLinks:
    """Connections that were used recently, by address; the next command to the same server saves connecting."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._links: dict[Address, list[tuple[TrioLink, Timer]]] = {}
        self.size = 0

    def take(self, address: Address, timeout: float) -> TrioLink | None:
        """An idle connection to the address, if there is one; nobody else gets it meanwhile."""
        links = self._links.get(address)
        if not links:
            return None
        link, timer = links[-1]
        timer.cancel()
        self._forget(address, link)
        link.timeout = timeout
        return link

    def keep(self, address: Address, link: TrioLink) -> None:
        """Keep a connection for IDLE_MS."""
        if self.size >= IDLE_MAX:
            oldest = next(iter(self._links))
            self._expire(oldest, self._links[oldest][0][0])
        timer = self._deadlines.after(IDLE_MS, lambda: self._expire(address, link))
        self._links.setdefault(address, []).append((link, timer))
        self.size += 1

    def _expire(self, address: Address, link: TrioLink) -> None:
        self._forget(address, link)
        link.close()

    def _forget(self, address: Address, link: TrioLink) -> None:
        links = self._links[address]
        links[:] = [entry for entry in links if entry[0] is not link]
        if not links:
            del self._links[address]
        self.size -= 1

    def close(self) -> None:
        """Close all of them."""
        for address, links in list(self._links.items()):
            for link, timer in list(links):
                timer.cancel()
                self._expire(address, link)
