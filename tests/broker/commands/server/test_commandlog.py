"""COMMANDLOG's subcommands, with Valkey's texts; what is logged is tests/broker/observation's."""

import pytest

from broker.clients.session import Session
from tests.broker.sessions import make_broker, make_session, run


@pytest.fixture
def session() -> Session:
    return make_session(make_broker(slowlog_log_slower_than=0, commandlog_reply_larger_than=30))


def test_the_slow_log_under_another_name(session: Session) -> None:
    run(session, "ECHO a")
    reply = run(session, "COMMANDLOG GET 1 slow")
    assert reply.startswith(b"*1\r\n*6\r\n:0\r\n:")
    assert reply.endswith(b"*2\r\n$4\r\nECHO\r\n$1\r\na\r\n$11\r\n127.0.0.1:1\r\n$0\r\n\r\n")
    assert run(session, "COMMANDLOG LEN Slow", "SLOWLOG LEN") == b":2\r\n:3\r\n"
    assert run(session, "COMMANDLOG RESET slow", "SLOWLOG LEN") == b"+OK\r\n:1\r\n"


def test_large_replies(session: Session) -> None:
    run(session, "ECHO " + "x" * 30)
    assert run(session, "COMMANDLOG LEN large-reply", "COMMANDLOG LEN large-request") == b":1\r\n:0\r\n"
    assert b":37\r\n*2\r\n$4\r\nECHO\r\n" in run(session, "COMMANDLOG GET -1 LARGE-REPLY")
    assert run(session, "COMMANDLOG GET 0 large-reply", "COMMANDLOG RESET large-reply") == b"*0\r\n+OK\r\n"


def test_errors(session: Session) -> None:
    bad_type = b"-ERR type should be one of the following: slow, large-request, large-reply\r\n"
    for command in ("GET 1 x", "LEN x", "RESET x"):
        assert run(session, f"COMMANDLOG {command}") == bad_type
    for count in ("-2", "x"):
        reply = run(session, f"COMMANDLOG GET {count} slow")
        assert reply == b"-ERR count should be greater than or equal to -1\r\n"
    assert run(session, "COMMANDLOG GET 1") == b"-ERR wrong number of arguments for 'commandlog|get' command\r\n"


def test_help(session: Session) -> None:
    assert b"GET <count> <type>" in run(session, "COMMANDLOG HELP")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("commandlog-execution-slower-than", "slowlog-log-slower-than"),
        ("commandlog-slow-execution-max-len", "slowlog-max-len"),
    ],
)
def test_directives_have_two_names(session: Session, theirs: str, ours: str) -> None:
    run(session, f"CONFIG SET {theirs} 77")
    assert run(session, f"CONFIG GET {ours}").endswith(b"$2\r\n77\r\n")
