"""One client's socket: partial sends, backlog, output limits, addresses."""

import socket
from collections.abc import Iterator

import pytest

from broker.broker import Broker
from broker.clients.session import CLOSING
from broker.config.syntaxes import BufferLimit, BufferLimits
from broker.network.connection import UNCOUNTED, Connection, format_address, is_loopback
from tests.broker.sessions import make_broker


class Pipe:
    """Stands in a connection for its socket's `send`: takes as many bytes as it has room for."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self.taken = bytearray()
        self.broken = False

    def send(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise ConnectionResetError
        if self.room == 0:
            raise BlockingIOError
        part = bytes(data[: self.room])
        self.taken += part
        self.room -= len(part)
        return len(part)


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def connection(broker: Broker) -> Iterator[Connection]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(broker, ours, b"127.0.0.1:5", lambda connection: None)


@pytest.fixture
def pipe(connection: Connection) -> Pipe:
    standing_in = Pipe()
    connection.transmit = standing_in.send
    return standing_in


def test_all_replies_leave_at_once(connection: Connection, pipe: Pipe) -> None:
    connection.session.out += [b"+OK\r\n", b":1\r\n"]
    assert connection.flush() and pipe.taken == b"+OK\r\n:1\r\n"
    assert connection.session.out == [] and not connection.backlog
    assert connection.flush() and connection.broker.stats.bytes_written == 9


@pytest.mark.parametrize("room", [0, 1, 4])
def test_what_is_not_taken_waits(connection: Connection, pipe: Pipe, room: int) -> None:
    pipe.room = room
    connection.session.out.append(b"0123456789")
    assert connection.flush() and connection.backlog.size == 10 - room
    connection.session.out.append(b"abc")
    assert connection.flush() and connection.backlog.size == 13 - room
    pipe.room = 7
    assert connection.drain() and connection.backlog.size == 6 - room
    pipe.room = 1 << 30
    assert connection.drain() and connection.backlog.size == 0 and not connection.backlog
    assert pipe.taken == b"0123456789abc"


def test_a_broken_socket_ends_the_connection(connection: Connection, pipe: Pipe) -> None:
    pipe.room = 0
    connection.session.out.append(b"x")
    assert connection.flush()
    pipe.broken = True
    assert not connection.drain()
    connection.backlog.clear()
    connection.session.out.append(b"x")
    assert not connection.flush()


def _limits(*, normal: BufferLimit, pubsub: BufferLimit) -> BufferLimits:
    return BufferLimits(normal=normal, replica=BufferLimit(0, 0, 0), pubsub=pubsub)


def test_the_hard_limit(broker: Broker, connection: Connection, pipe: Pipe) -> None:
    broker.config.client_output_buffer_limit = _limits(normal=BufferLimit(100, 0, 0), pubsub=BufferLimit(0, 0, 0))
    pipe.room = 0
    connection.session.out.append(b"x" * 100)
    assert connection.flush()
    connection.session.out.append(b"x")
    assert not connection.flush()
    assert connection.session.flags & CLOSING and broker.stats.output_limit_closes == 1


@pytest.mark.parametrize("kind", ["subscribe", "subscribe_pattern", "subscribe_shard"])
def test_subscribers_are_a_class_of_their_own(broker: Broker, connection: Connection, pipe: Pipe, kind: str) -> None:
    broker.config.client_output_buffer_limit = _limits(normal=BufferLimit(0, 0, 0), pubsub=BufferLimit(100, 0, 0))
    pipe.room = 0
    connection.session.out.append(b"x" * 1000)
    assert connection.flush()
    getattr(broker.pubsub, kind)(connection.session, b"a")
    connection.session.out.append(b"x")
    assert not connection.flush()


def test_the_soft_limit_needs_time(broker: Broker, connection: Connection, pipe: Pipe) -> None:
    broker.config.client_output_buffer_limit = _limits(normal=BufferLimit(0, 100, 10), pubsub=BufferLimit(0, 0, 0))
    pipe.room = 0
    connection.session.out.append(b"x" * 101)
    assert connection.flush() and connection.check_soft_limit()
    broker.clock.now += 9_000
    assert connection.check_soft_limit()
    pipe.room = 50
    assert connection.drain()
    broker.clock.now += 9_000
    assert connection.check_soft_limit()
    connection.session.out.append(b"x" * 100)
    assert connection.flush()
    broker.clock.now += 10_001
    assert not connection.check_soft_limit()


def test_small_replies_are_not_held_against_any_limit(broker: Broker, connection: Connection, pipe: Pipe) -> None:
    broker.config.client_output_buffer_limit = _limits(normal=BufferLimit(1, 1, 0), pubsub=BufferLimit(1, 1, 0))
    connection.session.out.append(b"x" * UNCOUNTED)
    assert connection.flush() and connection.check_soft_limit()
    connection.session.out.append(b"x" * (UNCOUNTED + 1))
    assert not connection.flush() and len(pipe.taken) == UNCOUNTED


def test_activity_is_what_the_socket_takes(broker: Broker, connection: Connection, pipe: Pipe) -> None:
    session = connection.session
    began = broker.clock.now
    pipe.room = 10
    session.out.append(b"x" * 100)
    assert connection.flush()
    broker.clock.now += 1000
    assert connection.drain() and session.last_active == began
    session.out.append(b"x")
    assert connection.flush() and session.last_active == began
    pipe.room = 1
    assert connection.drain() and session.last_active == began + 1000


def test_limits_before_and_after_the_password() -> None:
    broker = make_broker(requirepass=b"secret")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(broker, ours, b"127.0.0.1:5", lambda connection: None)
        assert not connection.parser.authenticated and connection.query_limit == 1 << 20
        connection.session.flags = 0
        connection.limits_changed()
        assert connection.parser.authenticated and connection.query_limit == broker.config.client_query_buffer_limit
        broker.config.proto_max_bulk_len = 1 << 21
        connection.limits_changed()
        assert connection.parser.max_bulk == 1 << 21


def test_released_at_once(connection: Connection, pipe: Pipe) -> None:
    pipe.room = 0
    session = connection.session
    session.out.append(b"x")
    connection.flush()
    connection.waiting.append([b"PING"])
    connection.release()
    assert not connection.backlog and not connection.waiting and not session.out
    assert session.transport.sizes() == (0, 0, 0, 0) and session.transport.peer() == b""


@pytest.mark.parametrize(
    "address, family, text",
    [
        (("10.0.0.1", 80), socket.AF_INET, b"10.0.0.1:80"),
        (("::1", 80, 0, 0), socket.AF_INET6, b"[::1]:80"),
        ("/run/broker.sock", socket.AF_UNIX, b"/run/broker.sock:0"),
        (b"\x00abstract", socket.AF_UNIX, b"\x00abstract:0"),
        ("", socket.AF_UNIX, b":0"),
    ],
)
def test_addresses(address: object, family: int, text: bytes) -> None:
    assert format_address(address, family) == text


@pytest.mark.parametrize(
    "peer, loopback",
    [
        (b"127.0.0.1:5", True),
        (b"127.9.9.9:5", True),
        (b"[::1]:5", True),
        (b"[::ffff:127.0.0.1]:5", True),
        (b"10.0.0.1:5", False),
        (b"[::2]:5", False),
        (b"128.0.0.1:5", False),
    ],
)
def test_loopback(peer: bytes, loopback: bool) -> None:
    assert is_loopback(peer) is loopback
