"""A client's socket: what is received and sent, what can't be now, and what a lost or closed connection raises."""

import socket
from collections.abc import Iterator

import pytest

from broker.network.endpoint import Endpoint
from protocol.limits import READ_SIZE
from tests.twins import both

endpoints = both("broker.network.endpoint", "broker.network._endpoint", attribute="Endpoint", argument="kind")


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@endpoints
def test_what_the_peer_sends_is_received(kind: type[Endpoint], sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    endpoint = kind(ours)
    with pytest.raises(BlockingIOError):
        endpoint.receive()
    theirs.sendall(b"a\0b")
    assert endpoint.receive() == b"a\0b"
    sent = b"".join(b"%08d" % n for n in range(READ_SIZE // 8 + 100))
    theirs.sendall(sent)
    pieces = [endpoint.receive(), endpoint.receive()]
    assert [len(piece) for piece in pieces] == [READ_SIZE, 800] and b"".join(pieces) == sent
    theirs.close()
    assert endpoint.receive() == b""


@endpoints
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_what_is_sent_reaches_the_peer(
    kind: type[Endpoint],
    form: type[bytes] | type[bytearray] | type[memoryview],
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    endpoint = kind(ours)
    assert endpoint.send(form(b"")) == 0
    assert endpoint.send(form(b"a\0b")) == 3
    assert theirs.recv(100) == b"a\0b"
    with pytest.raises(TypeError):
        endpoint.send("text")  # type: ignore[arg-type]


@endpoints
def test_a_full_socket_takes_a_part_and_then_nothing(
    kind: type[Endpoint], sockets: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = sockets
    endpoint = kind(ours)
    data = memoryview(bytes(range(256)) * 40_000)
    taken = endpoint.send(data)
    assert 0 < taken < len(data)
    with pytest.raises(BlockingIOError):
        endpoint.send(data[taken:])
    received = b""
    while len(received) < taken:
        received += theirs.recv(1 << 20)
    assert received == data[:taken]


@endpoints
def test_a_lost_connection(kind: type[Endpoint], sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    endpoint = kind(ours)
    theirs.close()
    with pytest.raises(BrokenPipeError):  # and no signal ends the process
        endpoint.send(b"x")


@endpoints
def test_a_closed_one_does_not_reach_who_has_its_descriptor_now(
    kind: type[Endpoint], sockets: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = sockets
    endpoint = kind(ours)
    descriptor = ours.fileno()
    endpoint.close()
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.sendall(b"secret")
        assert one.fileno() == descriptor
        with pytest.raises(OSError, match="Bad file descriptor"):
            endpoint.receive()
        with pytest.raises(OSError, match="Bad file descriptor"):
            endpoint.send(b"x")
        with pytest.raises(BlockingIOError):
            other.setblocking(False)
            other.recv(1)
