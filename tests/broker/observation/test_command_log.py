"""Logs of large requests and replies: what is large, and what is kept of it."""

import pytest

from broker.broker import Broker
from broker.clients.session import Session
from tests.broker.sessions import make_broker, make_session, run
from tests.oracle.wire import encode, split


@pytest.fixture
def broker() -> Broker:
    return make_broker(commandlog_request_larger_than=60, commandlog_reply_larger_than=20)


@pytest.fixture
def session(broker: Broker) -> Session:
    return make_session(broker)


LONG = "x" * 40


def send(session: Session, *commands: str) -> None:
    """Execute commands as one pipeline that a socket has brought."""
    requests = [split(command) for command in commands]
    session.bytes_in += sum(len(encode(request)) for request in requests)
    session.broker.dispatcher.execute(session, requests)


def requests(broker: Broker) -> list[tuple[list[bytes], int]]:
    return [(entry.args, entry.amount) for entry in reversed(broker.large_requests.entries)]


def replies(broker: Broker) -> list[tuple[list[bytes], int]]:
    return [(entry.args, entry.amount) for entry in reversed(broker.large_replies.entries)]


def test_large_requests(broker: Broker, session: Session) -> None:
    send(session, "SET a x", f"SET a {LONG}", "GET b", "set a x")
    send(session, "SET a x")
    assert requests(broker) == [([b"SET", b"a", LONG.encode()], len(encode(["SET", "a", LONG])))]
    (entry,) = broker.large_requests.entries
    assert (entry.peer, entry.argc) == (b"127.0.0.1:1", 3)


def test_a_large_request_that_had_to_wait_for_its_turn(broker: Broker, session: Session) -> None:
    session.bytes_in += len(encode(["BLPOP", "l", "0"])) + len(encode(["SET", "a", LONG]))
    assert broker.dispatcher.execute(session, [split("BLPOP l 0"), split(f"SET a {LONG}")]) == 1
    assert requests(broker) == []
    run(make_session(broker), "RPUSH l x")
    broker.dispatcher.execute(session, [split(f"SET a {LONG}")])
    assert len(requests(broker)) == 1


def test_large_replies(broker: Broker, session: Session) -> None:
    send(session, f"SET a {LONG}", "GET a", "GET b", "GeT a", "NOSUCH-COMMAND-WITH-A-NAME")
    size = len(f"$40\r\n{LONG}\r\n")
    assert replies(broker) == [([b"GET", b"a"], size), ([b"GeT", b"a"], size)]


def test_replies_of_transactions_and_to_waiting_clients(broker: Broker, session: Session) -> None:
    send(session, f"SET a {LONG}", "MULTI", "GET a", "GET b", "EXEC")
    assert [args for args, _ in replies(broker)] == [[b"GET", b"a"]]
    send(session, "BLPOP l 0")
    send(make_session(broker), f"RPUSH l {LONG}")
    assert [args for args, _ in replies(broker)][1:] == [[b"BLPOP", b"l", b"0"]]


def test_limits_follow_the_configuration(broker: Broker, session: Session) -> None:
    broker.config.set([(b"commandlog-request-larger-than", b"-1"), (b"commandlog-reply-larger-than", b"-1")])
    send(session, f"SET a {LONG}", "GET a")
    assert not requests(broker) and not replies(broker)
    broker.config.set([(b"commandlog-request-larger-than", b"0"), (b"commandlog-large-request-max-len", b"2")])
    send(session, "PING", "GET a")
    send(session, "GET b")
    assert [args for args, _ in requests(broker)] == [[b"GET", b"a"], [b"GET", b"b"]]
    broker.config.set([(b"commandlog-large-request-max-len", b"0")])
    send(session, "GET c")
    assert [args for args, _ in requests(broker)] == [[b"GET", b"a"], [b"GET", b"b"]]


def test_secrets_are_not_logged(broker: Broker, session: Session) -> None:
    send(session, f"AUTH {LONG}")
    assert [args for args, _ in requests(broker)] == [[b"AUTH", b"(redacted)"]]
    assert [args for args, _ in replies(broker)] == [[b"AUTH", b"(redacted)"]]
