"""SLOWLOG's subcommands; what is logged, and how, is tests/broker/observation's."""

import pytest

from broker.clients.session import Session
from tests.broker.sessions import make_broker, make_session, run


@pytest.fixture
def session() -> Session:
    return make_session(make_broker(slowlog_log_slower_than=0))


def test_get(session: Session) -> None:
    run(session, "PING", "ECHO a")
    reply = run(session, "SLOWLOG GET 1")
    assert (
        reply.startswith(b"*1\r\n*7\r\n:1\r\n:") and b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\n$11\r\n127.0.0.1:1\r\n" in reply
    )
    assert run(session, "SLOWLOG GET 0") == b"*0\r\n"
    assert run(session, "SLOWLOG GET -1").startswith(b"*4\r\n")
    run(session, *["PING"] * 20)
    assert run(session, "SLOWLOG GET").startswith(b"*10\r\n")


def test_len_and_reset(session: Session) -> None:
    run(session, "PING", "ECHO a")
    assert run(session, "SLOWLOG LEN") == b":2\r\n"
    assert run(session, "SLOWLOG RESET", "SLOWLOG LEN") == b"+OK\r\n:1\r\n"


@pytest.mark.parametrize("count", ["-2", "x", "1.0"])
def test_a_count_that_is_none(session: Session, count: str) -> None:
    assert run(session, f"SLOWLOG GET {count}") == b"-ERR count should be greater than or equal to -1\r\n"


def test_help(session: Session) -> None:
    assert b"GET [<count>]" in run(session, "SLOWLOG HELP")
