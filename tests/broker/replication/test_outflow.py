"""What is on its way to one replica: replies, then a snapshot, then the stream, which it reads where it is."""

import os
import socket
import tempfile

import pytest

from broker.clients.backlog import SENT_AT_ONCE
from broker.replication.history import History
from broker.replication.outflow import FILE_PIECE, Outflow, SnapshotFile


class Taker:
    """A socket that takes so many bytes of each call, and then none."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)
        self.taken = bytearray()

    def __call__(self, data: bytes | bytearray | memoryview) -> int:
        if not self.sizes:
            raise BlockingIOError
        part = bytes(data[: self.sizes.pop(0)])
        self.taken += part
        return len(part)


def streaming(*blocks: bytes) -> tuple[History, Outflow]:
    history = History()
    history.open_backlog()
    outflow = Outflow(history, -1, lambda: None)
    assert history.backlog is not None
    outflow.follow(history.backlog.reader(0))
    for block in blocks:
        history.append(block)
    return history, outflow


def file_of(content: bytes) -> SnapshotFile:
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(content)
        return SnapshotFile(os.dup(file.fileno()))


def test_replies_go_first() -> None:
    _, outflow = streaming(b"stream")
    outflow.start_stream()
    outflow.append(b"+CONTINUE\r\n")
    taker = Taker(99, 99)
    assert outflow.send(taker) == 17
    assert taker.taken == b"+CONTINUE\r\nstream"
    assert outflow.size == 0


def test_what_a_socket_does_not_take_is_sent_later() -> None:
    _, outflow = streaming(b"stream")
    outflow.start_stream()
    outflow.begin(b"xreply", 1)
    taker = Taker(3)
    outflow.send(taker)
    assert outflow.size == 8
    taker.sizes = [2, 4]
    outflow.send(taker)
    outflow.send(taker)
    taker.sizes = [99]
    outflow.send(taker)
    assert taker.taken == b"replystream"


def test_the_stream_waits_for_its_start_but_counts_for_the_limit() -> None:
    _, outflow = streaming(b"stream")
    outflow.update()
    assert (outflow.size, outflow.limited(), outflow.pieces()) == (0, 6, 1)
    assert outflow.send(Taker(99)) == 0
    outflow.start_stream()
    assert outflow.size == 6


def test_the_stream_follows_the_snapshot() -> None:
    _, outflow = streaming(b"stream")
    file = file_of(b"snapshot")
    outflow.append(b"$8\r\n")
    outflow.send_file(file, 8)
    assert outflow.size == 12
    assert outflow.limited() == 10  # the file doesn't count
    taker = Taker(99, 99, 99)
    outflow.send(taker)
    assert taker.taken == b"$8\r\nsnapshotstream"
    assert outflow.sent == 14
    with pytest.raises(OSError):
        os.fstat(file.descriptor)


def test_the_system_copies_a_file_to_a_plain_socket() -> None:
    history, _ = streaming()
    ours, theirs = socket.socketpair()
    done: list[bool] = []
    with ours, theirs:
        ours.setblocking(False)
        outflow = Outflow(history, ours.fileno(), lambda: done.append(True))
        assert history.backlog is not None
        outflow.follow(history.backlog.reader(0))
        outflow.send_file(file_of(b"snapshot"), 8)
        assert outflow.send(Taker()) == 8
        assert theirs.recv(99) == b"snapshot"
    assert done == [True]


def test_a_snapshot_is_closed_when_the_last_has_it() -> None:
    file = file_of(b"snapshot")
    first, second = streaming()[1], streaming()[1]
    first.send_file(file, 8)
    second.send_file(file, 8)
    first.send(Taker(99))
    os.fstat(file.descriptor)
    second.clear()
    with pytest.raises(OSError):
        os.fstat(file.descriptor)
    assert second.size == 0


def test_an_empty_file_is_sent() -> None:
    _, outflow = streaming(b"stream")
    outflow.send_file(file_of(b""), 0)
    taker = Taker(99)
    outflow.send(taker)
    outflow.send(taker)
    assert taker.taken == b"stream"


def test_a_turn_sends_no_more_than_its_share() -> None:
    _, outflow = streaming(bytes(3 * SENT_AT_ONCE))
    outflow.send_file(file_of(bytes(2 * SENT_AT_ONCE)), 2 * SENT_AT_ONCE)
    taker = Taker(*[FILE_PIECE] * 100)
    assert outflow.send(taker) == SENT_AT_ONCE
    assert outflow.size == SENT_AT_ONCE
