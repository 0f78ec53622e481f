"""The encrypted counterpart of Endpoint: TLS between the tick and one client's socket.

OpenSSL works on two buffers in memory, and the socket is read and written as that of a plain client. So one `recv`
fetches as many records as have arrived, all of which are decrypted at once: nothing ever stays behind in OpenSSL, where
no poller would report it. On the socket itself, OpenSSL makes two system calls for each record.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Any, Final

from broker.network.endpoint import Endpoint

PIECE: Final = 64 << 10
"""Bytes encrypted before they are sent: what a client that does not read makes the broker keep beyond its backlog."""

SENT_AT_ONCE: Final = 1 << 20
"""Bytes after which `send` leaves the rest for the next tick. A plain socket is full some time; a client that reads as
fast as the broker encrypts would hold up the others for a value of any size."""

CONTROL_MAX: Final = 256 << 10
"""Encrypted bytes that the socket does not take, up to which a client may cause more (by asking for new keys)."""

RECORD: Final = 16 << 10
"""The largest number of bytes that one record holds, and so what one read from OpenSSL can return."""


class TlsEndpoint:
    """One client's encrypted, non-blocking connection; the handshake first, then as Endpoint.

    Bytes count as taken once all of their encrypted form has been given to the socket. If it takes only a part, `send`
    must be called again with the same bytes first, which a backlog does; then only the rest is sent.
    """

    __slots__ = ("_encrypted", "_incoming", "_outgoing", "_raw", "_sock", "_ssl", "_unsent")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._raw = Endpoint(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent: bytes | memoryview = b""
        # Bytes at the beginning of the next `send` whose encrypted form is, or was, in `_unsent`.
        self._encrypted = 0

    # The handshake

    @property
    def is_full(self) -> bool:
        """Whether encrypted bytes are left that the socket did not take."""
        return bool(self._unsent)

    def shake_hands(self) -> bool:
        """Take the handshake as far as it goes; returns whether it is complete.

        To be called again when the socket is readable, or writable if `is_full`. Raises OSError, of which SSLError is
        one, if it has failed.
        """
        with suppress(BlockingIOError):
            data = self._raw.receive()
            if not data:
                raise ConnectionResetError("the client closed the connection during the handshake")
            self._incoming.write(data)
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            complete = False
        except ssl.SSLError:
            self._send_alert()
            raise
        else:
            complete = True
        self._flush()
        return complete and not self._unsent

    def common_name(self) -> str:
        """The common name (CN) in the client's certificate; "" if it presented none, or one without."""
        certificate: dict[str, Any] = self._ssl.getpeercert() or {}
        names = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
        return str(names[0]) if names else ""

    # Endpoint's interface

    def receive(self) -> bytes:
        """Returns all that can be decrypted after at most READ_SIZE more bytes, or none at the end of the stream.

        Raises BlockingIOError if there is nothing, and another OSError if the connection is lost or closed.
        """
        incoming = self._incoming
        try:
            data = self._raw.receive()
        except BlockingIOError:
            if not incoming.pending:
                raise
        else:
            # At the end of the stream, what came with the end of the handshake is still to be read.
            if not data and not incoming.pending:
                return b""
            incoming.write(data)
        try:
            received = self._decrypt()
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLError:
            self._send_alert()
            raise
        finally:
            if self._outgoing.pending:
                self._answer()
        return received

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Returns how many of the bytes have been sent; see the class. Raises OSError if the connection is lost."""
        if self._unsent and not self._flush():
            return 0
        taken, self._encrypted = self._encrypted, 0
        size = len(data)
        while taken < size:
            piece = data if not taken and size <= PIECE else memoryview(data)[taken : taken + PIECE]
            written = self._ssl.write(piece)
            if not self._flush():
                self._encrypted = written
                break
            taken += written
            if taken >= SENT_AT_ONCE:
                break
        return taken

    def close(self) -> None:
        """Tell the client that this is the end, unless its socket is full, and close the socket."""
        if not self._unsent:
            # It isn't waited for the client's own: that raises SSLWantReadError.
            with suppress(OSError):
                self._ssl.unwrap()
            with suppress(OSError):
                self._flush()
        self._raw.close()

    # Parts

    def _decrypt(self) -> bytes:
        incoming, ssl_object = self._incoming, self._ssl
        first = ssl_object.read(min(incoming.pending, RECORD) or RECORD)
        if not (incoming.pending or ssl_object.pending()):
            return first
        pieces = [first]
        try:
            while incoming.pending or ssl_object.pending():
                piece = ssl_object.read(RECORD)
                if not piece:
                    # The client's close_notify behind its last requests: the next `receive` returns the end, which this
                    # makes the poller report.
                    self._sock.shutdown(socket.SHUT_RD)
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # the beginning of a record
        return b"".join(pieces)

    def _flush(self) -> bool:
        """Give what is encrypted to the socket; returns whether it took everything."""
        data: bytes | memoryview = self._unsent
        if self._outgoing.pending:
            more = self._outgoing.read()
            data = b"".join((data, more)) if data else more
        if not data:
            return True
        try:
            sent = self._raw.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            self._unsent = b""
            return True
        self._unsent = memoryview(data)[sent:]
        return False

    def _answer(self) -> None:
        """Send what OpenSSL itself replies to a client: new keys, for example, or an alert."""
        if not self._flush() and len(self._unsent) > CONTROL_MAX:
            raise ConnectionAbortedError("the client asks for new keys, but does not read")

    def _send_alert(self) -> None:
        """Tell the client why the connection ends, if its socket takes that at once."""
        with suppress(OSError):
            self._flush()
