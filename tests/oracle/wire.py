"""A blocking RESP connection that returns replies as the exact bytes that arrived.

The tests compare bytes, so nothing here decodes on the way in: a reply is framed (where does it end?) and
kept whole. `parse` turns one into a tree afterwards, for the few comparisons that look inside. It shares no
code with protocol/, so that a mistake there cannot hide here.
"""

import socket
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CLOSED", "SILENT", "Address", "Connection", "Node", "encode", "frame_end", "parse", "split"]

Address = tuple[str, int]

CLOSED = b"<connection closed>"
"""Returned instead of a reply when the server has closed the connection."""

SILENT = b"<no reply in time>"
"""Returned instead of a reply that did not arrive within the connection's timeout."""

_ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "b": b"\b", "a": b"\a"}
_ELEMENTS = {ord("*"): 1, ord("~"): 1, ord(">"): 1, ord("%"): 2, ord("|"): 2}
_SIZED = frozenset(b"$=!")


def split(line: str) -> list[bytes]:
    """Split a command line as redis-cli does: blanks separate, "..." supports escapes, '...' only \\'.

    Raises ValueError for an open quote or for text that touches a closing quote.
    """
    args: list[bytes] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at].isspace():
            at += 1
        if at == end:
            return args
        out = bytearray()
        quote = ""
        while at < end and (quote or not line[at].isspace()):
            char = line[at]
            if quote == '"' and char == "\\" and at + 1 < end:
                escape = line[at + 1]
                if escape == "x" and at + 3 < end:
                    out.append(int(line[at + 2 : at + 4], 16))
                    at += 2
                else:
                    out += _ESCAPES.get(escape, escape.encode())
                at += 1
            elif quote == "'" and line.startswith("\\'", at):
                out += b"'"
                at += 1
            elif quote and char == quote:
                if at + 1 < end and not line[at + 1].isspace():
                    raise ValueError(f"text after a closing quote in {line!r}")
                quote = ""
            elif not quote and char in "\"'":
                quote = char
            else:
                out += char.encode()
            at += 1
        if quote:
            raise ValueError(f"open quote in {line!r}")
        args.append(bytes(out))


def encode(command: str | Sequence[str | bytes | int | float]) -> bytes:
    """A command as a RESP array of bulk strings; a str is split like a redis-cli line."""
    parts: Sequence[str | bytes | int | float] = split(command) if isinstance(command, str) else command
    out = bytearray(b"*%d\r\n" % len(parts))
    for part in parts:
        value = part if isinstance(part, bytes) else str(part).encode()
        out += b"$%d\r\n%s\r\n" % (len(value), value)
    return bytes(out)


def frame_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Where the reply that begins at start ends, or -1 if more bytes are needed.

    An attribute (|) belongs to the reply that follows it. Raises ValueError for an unknown type byte.
    """
    at, missing = start, 1
    while missing:
        line = buffer.find(b"\r\n", at)
        if line < 0:
            return -1
        kind = buffer[at]
        missing -= 1
        if kind in _SIZED:
            size = int(buffer[at + 1 : line])
            at = line + 2 if size < 0 else line + 2 + size + 2
            if at > len(buffer):
                return -1
            continue
        if kind in _ELEMENTS:
            missing += max(int(buffer[at + 1 : line]), 0) * _ELEMENTS[kind]
            missing += kind == ord("|")
        elif kind not in b"+-:_,#(":
            raise ValueError(f"unknown reply type {bytes(buffer[at : at + 40])!r}")
        at = line + 2
    return at


@dataclass(frozen=True)
class Node:
    """One element of a reply: its type byte, and its text (without type and CRLF) or its elements.

    A map's or attribute's elements alternate keys and values. A null is the kind `_`, or in RESP2 `$` or `*`
    with the text b"-1".
    """

    kind: str
    text: bytes = b""
    items: tuple["Node", ...] = ()


def parse(reply: bytes) -> Node:
    """The tree of one whole reply; CLOSED and SILENT become a node of kind "!?"."""
    if reply in (CLOSED, SILENT):
        return Node("!?", reply)
    return _parse(reply, 0)[0]


def _parse(reply: bytes, at: int) -> tuple[Node, int]:
    line = reply.index(b"\r\n", at)
    kind, head = reply[at], reply[at + 1 : line]
    at = line + 2
    if kind in _SIZED and head != b"-1":
        size = int(head)
        return Node(chr(kind), reply[at : at + size]), at + size + 2
    if kind in _ELEMENTS and head != b"-1":
        items = []
        for _ in range(int(head) * _ELEMENTS[kind]):
            item, at = _parse(reply, at)
            items.append(item)
        return Node(chr(kind), b"", tuple(items)), at
    return Node(chr(kind), head), at


class Connection:
    """One client of one server. A reply that can't be had is CLOSED or SILENT, not an exception."""

    def __init__(self, address: Address, timeout: float = 60.0) -> None:
        self._sock = socket.create_connection(address, timeout=timeout)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A test that fails leaves its connections open; what the collector says of them must not fail the next one.
        weakref.finalize(self, self._sock.close)
        self.timeout = timeout
        self._buffer = bytearray()
        self.usable = True

    def close(self) -> None:
        self.usable = False
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes unchanged. A closed connection shows at the next receive()."""
        try:
            self._sock.sendall(data)
        except OSError:
            self.usable = False

    def unfinished(self) -> bytes:
        """The beginning of a reply that is not complete."""
        return bytes(self._buffer)

    def receive(self) -> bytes:
        """Return the next reply's or push's exact bytes; CLOSED at the stream's end, SILENT after the timeout."""
        while True:
            end = frame_end(self._buffer) if self._buffer else -1
            if end >= 0:
                reply = bytes(self._buffer[:end])
                del self._buffer[:end]
                return reply
            try:
                data = self._sock.recv(1 << 18)
            except TimeoutError:
                self.usable = False
                return SILENT
            except OSError:
                data = b""
            if not data:
                self.usable = False
                return CLOSED
            self._buffer += data

    def waiting(self) -> bytes:
        """Return the bytes that have arrived and not been received, without waiting; CLOSED at the stream's end."""
        self._sock.setblocking(False)
        try:
            while data := self._sock.recv(1 << 18):
                self._buffer += data
            self.usable = False
        except BlockingIOError:
            pass
        except OSError:
            self.usable = False
        finally:
            self._sock.settimeout(self.timeout)
        return bytes(self._buffer) if self._buffer or self.usable else CLOSED

    def call(self, *command: str | bytes | int | float) -> bytes:
        """Send one command and receive one reply."""
        self.send(encode(command))
        return self.receive()
