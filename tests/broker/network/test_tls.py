"""One client's encrypted connection: the handshake, what is received and sent, and what goes wrong."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from broker.network.tls import CONTROL_MAX, PIECE, SENT_AT_ONCE, TlsEndpoint
from tests.certificates import Certificates


class Peer:
    """The client's side, on a socket that does not block."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.unsent = b""

    def shake_hands(self) -> bool:
        self.pump()
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self.pump()
        return True

    def pump(self) -> None:
        """Carry encrypted bytes in both directions."""
        self.unsent += self.outgoing.read()
        with suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
        with suppress(BlockingIOError):
            while data := self.sock.recv(1 << 20):
                self.incoming.write(data)
            self.incoming.write_eof()

    def send(self, data: bytes) -> None:
        self.ssl.write(data)
        self.pump()

    def read(self) -> bytes:
        self.pump()
        data = bytearray()
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self.ssl.read(1 << 20):
                data += piece
        return bytes(data)


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[request.param]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    context.load_verify_locations(certificates.ca)
    return context


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def ends(
    sockets: tuple[socket.socket, socket.socket],
    context: ssl.SSLContext,
    certificates: Certificates,
    version: ssl.TLSVersion,
) -> tuple[TlsEndpoint, Peer]:
    """Both sides of a connection, before the handshake."""
    client = certificates.client_context()
    client.minimum_version = client.maximum_version = version
    return TlsEndpoint(sockets[0], context), Peer(sockets[1], client)


def shake_hands(endpoint: TlsEndpoint, peer: Peer) -> None:
    ours = theirs = False
    for _ in range(10):
        theirs = theirs or peer.shake_hands()
        ours = ours or endpoint.shake_hands()
        if ours and theirs:
            return
    raise AssertionError("the handshake does not end")


def test_both_sides_are_heard(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    with pytest.raises(BlockingIOError):
        endpoint.receive()
    peer.send(b"a\0b")
    assert endpoint.receive() == b"a\0b"
    assert endpoint.send(b"") == 0
    assert [endpoint.send(form(b"c\0d")) for form in (bytes, bytearray, memoryview)] == [3, 3, 3]
    assert peer.read() == b"c\0d" * 3


def test_all_that_has_arrived_is_decrypted_at_once(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    for number in range(1000):
        peer.ssl.write(b"%d," % number)
    peer.pump()
    assert endpoint.receive() == b"".join(b"%d," % number for number in range(1000))
    with pytest.raises(BlockingIOError):
        endpoint.receive()


def test_a_record_in_pieces_is_waited_for(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    peer.ssl.write(b"x" * 10_000)
    record = peer.outgoing.read()
    for byte in record[:20]:
        peer.sock.send(bytes([byte]))
        with pytest.raises(BlockingIOError):
            endpoint.receive()
    peer.sock.send(record[20:])
    assert endpoint.receive() == b"x" * 10_000


def test_requests_that_come_with_the_end_of_the_handshake_are_received(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    done = False
    while not done:
        peer.incoming.write(_waiting(peer.sock))
        try:
            peer.ssl.do_handshake()
            done = True
            peer.ssl.write(b"early")
            # The end of the stream comes with it, too.
            peer.pump()
            peer.sock.shutdown(socket.SHUT_WR)
        except ssl.SSLWantReadError:
            peer.unsent += peer.outgoing.read()
            peer.sock.send(peer.unsent)
            peer.unsent = b""
        finished = endpoint.shake_hands()
    assert finished
    assert [endpoint.receive(), endpoint.receive()] == [b"early", b""]


def _waiting(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""


def test_a_large_value_passes_in_both_directions(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    value = b"".join(b"%08d" % number for number in range(500_000))
    peer.ssl.write(value)
    received = bytearray()
    while len(received) < len(value):
        peer.pump()
        with suppress(BlockingIOError):
            received += endpoint.receive()
    assert received == value
    taken, read = 0, bytearray()
    while len(read) < len(value):
        if taken < len(value):
            taken += endpoint.send(memoryview(value)[taken:])
        read += peer.read()
    assert read == value and taken == len(value)


def test_what_the_socket_does_not_take_counts_as_not_sent(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    data = b"".join(b"%08d" % number for number in range(1_000_000))
    taken = 0
    while (sent := endpoint.send(memoryview(data)[taken : taken + 3 * PIECE])) == 3 * PIECE:
        taken += sent
    taken += sent
    assert endpoint.is_full and taken % PIECE == 0
    assert endpoint.send(memoryview(data)[taken:]) == 0
    # A longer piece that begins with the same bytes, as a backlog may have made of them.
    read = bytearray()
    while len(read) < len(data):
        read += peer.read()
        taken += endpoint.send(memoryview(data)[taken:])
    assert read == data and taken == len(data) and not endpoint.is_full


def test_a_fast_reader_does_not_hold_up_the_others(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)

    class Bottomless:
        def send(self, data: bytes) -> int:
            return len(data)

        def close(self) -> None:
            pass

    endpoint._raw = Bottomless()  # type: ignore[assignment]
    assert endpoint.send(b"x" * (10 * SENT_AT_ONCE)) == SENT_AT_ONCE


def test_the_end_of_the_stream_follows_what_was_sent_before_it(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    peer.ssl.write(b"last")
    with suppress(ssl.SSLWantReadError):
        peer.ssl.unwrap()
    peer.pump()
    # The connection itself stays open: the client waits for the answer.
    assert [endpoint.receive(), endpoint.receive()] == [b"last", b""]
    assert endpoint.send(b"reply") == 5
    endpoint.close()
    assert peer.read() == b"reply"


def test_a_connection_that_ends_without_a_word_is_ended(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    peer.pump()
    peer.sock.close()
    assert endpoint.receive() == b""


def test_closing_is_announced(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    endpoint.close()
    peer.pump()
    assert peer.ssl.read(100) == b""  # SSLEOFError without a close_notify
    for call in (endpoint.receive, lambda: endpoint.send(b"x")):
        with pytest.raises(OSError):
            call()


def test_rubbish_is_an_error_and_answered_with_an_alert(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    peer.sock.send(b"*1\r\n$4\r\nPING\r\n")
    with pytest.raises(ssl.SSLError):
        endpoint.receive()
    peer.pump()
    with pytest.raises(ssl.SSLError, match="alert"):
        peer.ssl.read(100)


def test_plain_requests_are_no_handshake(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    peer.sock.send(b"*1\r\n$4\r\nPING\r\n")
    with pytest.raises(ssl.SSLError):
        endpoint.shake_hands()


def test_a_handshake_that_is_broken_off_is_an_error(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    assert not endpoint.shake_hands()
    peer.shake_hands()
    assert not endpoint.shake_hands()
    peer.sock.close()
    with pytest.raises(OSError):
        endpoint.shake_hands()


def test_a_client_that_only_makes_work_is_disconnected(ends: tuple[TlsEndpoint, Peer]) -> None:
    endpoint, peer = ends
    shake_hands(endpoint, peer)
    with suppress(BlockingIOError):
        while True:  # a client that does not read
            endpoint._raw.send(b"x" * 65536)
    endpoint._ssl.write(b"y" * (CONTROL_MAX + 1))
    peer.ssl.write(b"z")
    peer.sock.send(peer.outgoing.read())
    with pytest.raises(ConnectionAbortedError):
        endpoint.receive()


def test_the_name_in_the_clients_certificate(
    sockets: tuple[socket.socket, socket.socket], context: ssl.SSLContext, certificates: Certificates
) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    endpoint, peer = TlsEndpoint(sockets[0], context), Peer(sockets[1], certificates.client_context())
    shake_hands(endpoint, peer)
    assert endpoint.common_name() == "alice"


def test_no_certificate_has_no_name(
    sockets: tuple[socket.socket, socket.socket], context: ssl.SSLContext, certificates: Certificates
) -> None:
    context.verify_mode = ssl.CERT_OPTIONAL
    endpoint, peer = TlsEndpoint(sockets[0], context), Peer(sockets[1], certificates.client_context(certificate=False))
    shake_hands(endpoint, peer)
    assert endpoint.common_name() == ""
