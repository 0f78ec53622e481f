"""Waiting for one client."""

import socket
import threading
from collections.abc import Iterator

import pytest

from broker.clients.backlog import Backlog
from broker.network.channel import BlockingChannel
from broker.network.endpoint import Endpoint

Sockets = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def channel_of(sock: socket.socket, backlog: bytes = b"") -> BlockingChannel:
    unsent = Backlog()
    unsent.append(backlog)
    return BlockingChannel(sock, Endpoint(sock), unsent)


def test_what_waited_goes_first(sockets: Sockets) -> None:
    ours, theirs = sockets
    channel_of(ours, b"before ").send(b"after")
    assert theirs.recv(100) == b"before after"


def test_more_than_the_socket_takes(sockets: Sockets) -> None:
    ours, theirs = sockets
    size = 8 << 20
    sender = threading.Thread(target=channel_of(ours).send, args=(b"x" * size,))
    sender.start()
    received = 0
    while received < size:
        received += len(theirs.recv(1 << 20))
    sender.join()


def test_bytes_that_come_later(sockets: Sockets) -> None:
    ours, theirs = sockets
    received: list[bytes] = []
    receiver = threading.Thread(target=lambda: received.append(channel_of(ours).receive()))
    receiver.start()
    theirs.sendall(b"hello")
    receiver.join()
    assert received == [b"hello"]


def test_a_client_that_is_gone(sockets: Sockets) -> None:
    ours, theirs = sockets
    channel = channel_of(ours)
    theirs.close()
    assert channel.receive() == b""
    channel.send(b"x" * (8 << 20))
    channel.close()
    assert channel.receive() == b""
