"""Bytes that wait for a socket: order, sizes, and what small pieces cost."""

import sys
from random import Random

import pytest

from broker.clients.backlog import PIECE, SENT_AT_ONCE, Backlog


class Taker:
    """A socket's `send` that takes what `room` says, a number for each call; 0: it is full."""

    def __init__(self, *rooms: int) -> None:
        self.rooms = list(rooms)
        self.taken = bytearray()

    def __call__(self, data: bytes | bytearray | memoryview) -> int:
        room = self.rooms.pop(0) if self.rooms else 0
        if not room:
            raise BlockingIOError
        part = bytes(data[:room])
        self.taken += part
        return len(part)


def test_in_order_whatever_the_socket_takes() -> None:
    random = Random(5)
    backlog, expected = Backlog(), bytearray()
    taker = Taker()
    backlog.begin(b"0123456789", 3)
    expected += b"3456789"
    for _ in range(3000):
        for _ in range(random.randrange(3)):
            data = random.randbytes(random.choice((1, 7, 100, PIECE - 1, PIECE, PIECE + 1)))
            backlog.append(data)
            expected += data
        taker.rooms = random.choices((1, 3, 50, 1000, 1 << 16, 1 << 20), k=random.randrange(4))
        before = len(taker.taken)
        assert backlog.send(taker) == len(taker.taken) - before
        assert backlog.size == len(expected) - len(taker.taken)
        assert bool(backlog) is bool(backlog.size)
    while backlog:
        taker.rooms = [1 << 20]
        backlog.send(taker)
    assert taker.taken == expected


def test_small_replies_are_put_together() -> None:
    backlog = Backlog()
    for _ in range(200_000):
        backlog.append(b"+PONG\r\n")
    assert backlog.size == 1_400_000
    assert sum(map(sys.getsizeof, backlog._pieces)) < 1.2 * backlog.size


def test_large_replies_are_not_copied() -> None:
    backlog, large = Backlog(), bytes(PIECE)
    backlog.append(b"small")
    backlog.append(large)
    assert backlog._pieces[-1] is large


def test_a_quick_reader_leaves_others_their_turn() -> None:
    backlog = Backlog()
    for _ in range(100):
        backlog.append(bytes(PIECE))
    assert backlog.send(len) == SENT_AT_ONCE
    assert backlog.size == 100 * PIECE - SENT_AT_ONCE


def test_a_broken_socket() -> None:
    def broken(data: object) -> int:
        raise ConnectionResetError

    backlog = Backlog()
    backlog.append(b"x")
    with pytest.raises(ConnectionResetError):
        backlog.send(broken)
    backlog.clear()
    assert not backlog and backlog.size == 0 and backlog.send(broken) == 0
