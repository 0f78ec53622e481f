"""A connection to a server: one request, then its reply."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Final

from broker.remote.places import Place
from protocol.replies import bulks

Reply = bytes | int | list["Reply"] | None
"""A reply in RESP2: a status or a text, a number, elements, or nothing."""

REPLY_MAX: Final = 64 << 20
"""Bytes of the longest reply that is accepted."""

_RECEIVED: Final = 65536
_LINE_MAX: Final = 4096


class ReplyError(Exception):
    """The server answered with an error; its text is the message, with nothing in it that a terminal obeys."""


class Connection:
    """A logged-in connection to a server; a context manager that closes it.

    Every method raises TimeoutError once `deadline` (of time.monotonic) has passed, and OSError if the connection
    fails; ConnectionError also stands for a server that speaks something else.
    """

    def __init__(self, place: Place, deadline: float) -> None:
        """Connect and log in. Raises ReplyError if the server refuses the password."""
        self.place = place
        self.deadline = deadline
        self._received = bytearray()
        self._at = 0
        self._socket = _connected(place, self._left())
        try:
            if place.password:
                self.ask("AUTH", *([place.user] if place.user else []), place.password)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def ask(self, *words: str | bytes) -> Reply:
        """Send a request and return its reply. Raises ReplyError."""
        self._socket.settimeout(self._left())
        self._socket.sendall(bulks([word.encode() if isinstance(word, str) else word for word in words]))
        del self._received[: self._at]
        self._at = 0
        return self._reply()

    def text(self, *words: str | bytes) -> str:
        """Send a request and return its reply, which must be a text. Raises ReplyError."""
        reply = self.ask(*words)
        if not isinstance(reply, bytes):
            raise ConnectionError("the answer is not what was asked for")
        return reply.decode("utf-8", "replace")

    def _reply(self) -> Reply:
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ReplyError(printable(rest))
        try:
            number = int(rest) if kind in (b":", b"$", b"*") else None
        except ValueError:
            number = None
        if number is None or number > REPLY_MAX:
            raise ConnectionError("the answer is not Redis's")
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            return self._take(number + 2)[:-2]
        return [self._reply() for _ in range(number)]

    def _line(self) -> bytes:
        while (end := self._received.find(b"\r\n", self._at)) < 0:
            if len(self._received) - self._at > _LINE_MAX:
                raise ConnectionError("the answer is not Redis's")
            self._receive()
        line = bytes(self._received[self._at : end])
        self._at = end + 2
        return line

    def _take(self, size: int) -> bytes:
        while len(self._received) < self._at + size:
            self._receive()
        self._at += size
        return bytes(self._received[self._at - size : self._at])

    def _receive(self) -> None:
        self._socket.settimeout(self._left())
        data = self._socket.recv(_RECEIVED)
        if not data:
            raise ConnectionError("the connection was closed")
        self._received += data

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _connected(place: Place, timeout: float) -> socket.socket:
    if place.path:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(place.path)
        except BaseException:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((place.host, place.port), timeout)
    if place.tls is None:
        return connection
    try:
        return place.tls.context().wrap_socket(connection, server_hostname=place.host)
    except BaseException:
        connection.close()
        raise


def printable(text: bytes) -> str:
    """What a server sent, with escapes for what a terminal would obey."""
    decoded = text.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in decoded)
