"""Requests and replies of the commands that talk to servers."""

import time

import pytest

from broker.remote.connection import Connection, Reply, ReplyError, printable
from broker.remote.places import Place
from tests.broker.remote.fake_server import answering


def ask(answer: bytes | None, *words: str) -> Reply:
    with (
        answering(lambda request: answer) as port,
        Connection(Place(port=port), time.monotonic() + 10) as connection,
    ):
        return connection.ask(*words)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-3\r\n", -3),
        (b"$2\r\n\r\n\r\n", b"\r\n"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n", [[1], b"a"]),
        (b"$200000\r\n" + b"x" * 200000 + b"\r\n", b"x" * 200000),
    ],
)
def test_replies(answer: bytes, reply: Reply) -> None:
    assert ask(answer, "PING") == reply


@pytest.mark.parametrize("answer", [b"?\r\n", b"$x\r\n", b"x" * 5000, b"$99999999999\r\n", None])
def test_what_is_no_reply(answer: bytes | None) -> None:
    with pytest.raises(ConnectionError):
        ask(answer, "PING")


def test_errors_are_shown_without_control_characters() -> None:
    with pytest.raises(ReplyError, match=r"ERR \\x1b"):
        ask(b"-ERR \x1b[2J\r\n", "PING")
    assert printable(b"\xff\n") == "\\xff\\n"


def test_logging_in() -> None:
    seen: list[list[str]] = []

    def answer(words: list[str]) -> bytes:
        seen.append(words)
        return b"+OK\r\n"

    with answering(answer) as port:
        Connection(Place(port=port, user="me", password="pw"), time.monotonic() + 10).close()
        Connection(Place(port=port, password="pw"), time.monotonic() + 10).close()
    assert seen == [["AUTH", "me", "pw"], ["AUTH", "pw"]]


def test_a_refused_password_and_a_reply_of_another_kind() -> None:
    with answering(lambda words: b"-WRONGPASS no\r\n") as port, pytest.raises(ReplyError, match="WRONGPASS"):
        Connection(Place(port=port, password="pw"), time.monotonic() + 10)
    with (
        answering(lambda words: b":1\r\n") as port,
        Connection(Place(port=port), time.monotonic() + 10) as connection,
        pytest.raises(ConnectionError),
    ):
        connection.text("INFO")


def test_time_is_up() -> None:
    with (
        answering(lambda words: b"") as port,
        Connection(Place(port=port), time.monotonic() + 10) as connection,
        pytest.raises(TimeoutError),
    ):
        connection.deadline = time.monotonic() + 0.01
        connection.ask("PING")
