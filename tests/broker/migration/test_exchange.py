"""The conversation with the target, on connections that answer as told."""

import ssl
from collections.abc import Sequence

import pytest

from broker.migration.exchange import CONNECTING, READING, WRITING, Outcome, Transfer, transfer
from broker.migration.links import Address, Link, run_now

RESET = ConnectionResetError()


class Scripted:
    """A connection: `replies` are lines, or the error at that point; `broken` fails each send with it."""

    def __init__(self, *replies: bytes | OSError, broken: OSError | None = None, database: int = -1) -> None:
        self.database = database
        self.sent = b""
        self.closed = False
        self._replies = list(replies)
        self._broken = broken

    async def send(self, data: memoryview) -> None:
        if self._broken is not None:
            raise self._broken
        self.sent += data

    async def read_line(self) -> bytes:
        reply = self._replies.pop(0)
        if isinstance(reply, OSError):
            raise reply
        return reply

    def close(self) -> None:
        self.closed = True


def plan(*restores: bytes, credentials: Sequence[bytes] = ()) -> Transfer:
    return Transfer((b"h", b"1"), None, 1.0, 3, list(credentials), list(restores))


def outcome_of(plan: Transfer, *links: Link | OSError, kept: Link | None = None) -> tuple[Outcome, Link | None]:
    """The outcome where connecting gives `links` one after the other."""
    left = list(links)

    async def connect(address: Address, timeout: float, context: ssl.SSLContext | None) -> Link:
        link = left.pop(0)
        if isinstance(link, OSError):
            raise link
        return link

    found = run_now(transfer(plan, kept, connect))
    assert not left
    return found


def test_everything_is_sent_before_the_first_reply() -> None:
    link = Scripted(b"+OK", b"+OK", b"+OK", b"+OK")
    outcome, left = outcome_of(plan(b"<1>", b"<2>", credentials=[b"secret"]), link)
    assert outcome == Outcome([True, True])
    assert left is link and link.database == 3
    assert link.sent == b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n<1><2>"


def test_a_selected_database_is_not_selected_again() -> None:
    link = Scripted(b"+OK", database=3)
    assert outcome_of(plan(b"<1>"), kept=link) == (Outcome([True]), link)
    assert link.sent == b"<1>"


def test_a_large_value_is_sent_whole() -> None:
    values = [b"a", b"b" * 200_000, b"c" * 70_000, b"d", b"e" * 65_536]
    link = Scripted(*[b"+OK"] * 5, database=3)
    assert outcome_of(plan(*values), kept=link)[0].acknowledged == [True] * 5
    assert link.sent == b"".join(values)


@pytest.mark.parametrize(
    ("replies", "acknowledged", "error"),
    [
        ([b"+OK", b"-BUSYKEY x", b"+OK"], [False, True], b"BUSYKEY x"),
        ([b"+OK", b"+OK", b"-A a"], [True, False], b"A a"),
        ([b"+OK", b"-A a", b"-B b"], [False, False], b"A a"),
        ([b"-ERR no db", b"+OK", b"+OK"], [False, False], b"ERR no db"),
    ],
)
def test_refusals(replies: list[bytes], acknowledged: list[bool], error: bytes) -> None:
    link = Scripted(*replies)
    outcome, left = outcome_of(plan(b"1", b"2"), link)
    assert outcome == Outcome(acknowledged, b"ERR Target instance replied with error: " + error)
    assert left is link and link.database == -1


def test_a_closed_connection_is_replaced_once() -> None:
    first, second = Scripted(broken=RESET), Scripted(b"+OK", b"+OK")
    assert outcome_of(plan(b"1"), second, kept=first) == (Outcome([True]), second)
    assert first.closed
    first, second = Scripted(RESET), Scripted(b"+OK", b"+OK")
    assert outcome_of(plan(b"1"), second, kept=first) == (Outcome([True]), second)
    assert outcome_of(plan(b"1"), Scripted(RESET), Scripted(RESET)) == (Outcome(error=READING), None)
    assert outcome_of(plan(b"1"), Scripted(broken=RESET), Scripted(broken=RESET)) == (Outcome(error=WRITING), None)


def test_nothing_is_sent_twice_once_a_key_was_acknowledged() -> None:
    link = Scripted(b"+OK", b"+OK", RESET)
    assert outcome_of(plan(b"1", b"2"), link) == (Outcome([True], READING), None)
    assert link.closed


def test_the_targets_refusal_outlasts_the_connections_failure() -> None:
    outcome, left = outcome_of(plan(b"1", b"2"), Scripted(b"+OK", b"-NO no", RESET))
    assert (outcome.error, left) == (b"ERR Target instance replied with error: NO no", None)


@pytest.mark.parametrize(
    ("link", "error"),
    [
        (Scripted(broken=TimeoutError()), WRITING),
        (Scripted(TimeoutError()), READING),
        (TimeoutError(), CONNECTING),
        (ConnectionRefusedError(), WRITING),
    ],
)
def test_a_timeout_ends_it(link: Link | OSError, error: bytes) -> None:
    assert outcome_of(plan(b"1"), link) == (Outcome(error=error), None)
