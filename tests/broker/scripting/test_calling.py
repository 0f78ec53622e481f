"""The short way of a call, pure and compiled: what it does itself, and what it leaves to the bridge."""

from typing import Any

import pytest

from broker.clients.session import Session
from broker.scripting.calling import NO_ROOM
from broker.scripting.conversions import ARRAY, ERROR, HELD, LARGE, STATUS
from broker.table.command import NOSCRIPT, WRITE
from tests import twins
from tests.broker.effects import journal
from tests.broker.sessions import StoppedClock, make_broker, make_session

both = twins.both("broker.scripting.calling", "broker.scripting._calling", attribute="Caller", argument="kind")

CAREFUL = (b"with care", STATUS)
CAREFUL_REPLY = b"+with care\r\n"


def make(kind: Any, *, room: bool = True, refusal: bytes | None = None) -> Any:
    broker = make_broker()
    session: Session = make_session(broker)
    return kind(
        broker.commands.plain,
        session,
        broker.executor,
        lambda *words: CAREFUL_REPLY,
        lambda command: refusal,
        lambda size: room,
        lambda defect: b"-failed\r\n",
    )


@both
def test_plain_calls(kind: Any) -> None:
    caller = make(kind)
    assert caller(b"SET", b"k", 5) == (b"OK", STATUS)
    assert caller(b"get", b"k") == b"5"
    assert caller(b"GET", b"missing") is False
    assert caller(b"INCRBY", b"k", -7) == -2
    assert caller(b"INCRBY", b"k", 10**15) == 10**15 - 2
    assert caller(b"MGET", b"k", b"x") == (None, ARRAY, b"%d" % (10**15 - 2), False)
    assert caller(b"LPUSH", b"k", b"x")[1] == ERROR


@both
@pytest.mark.parametrize(
    "words",
    [
        (), (b"NOSUCH",), (b"Get", b"k"), (b"GET",), (b"GET", b"a", b"b"), (b"GET", None), (b"GET", 1.5),
        (b"GET", 1 << 53), (b"GET", True), (b"CONFIG", b"GET", b"x"), (b"",),
    ],
)  # fmt: skip
def test_what_is_left_to_the_bridge(kind: Any, words: tuple[Any, ...]) -> None:
    assert make(kind)(*words) == CAREFUL


@both
def test_flags_that_are_checked(kind: Any) -> None:
    caller = make(kind, refusal=b"-NO way\r\n")
    caller.checked = NOSCRIPT | WRITE
    assert caller(b"SET", b"k", b"v") == (b"NO way", ERROR)
    assert caller(b"SET", b"k") == CAREFUL
    assert caller(b"EXISTS", b"k") == 0
    caller.checked = NOSCRIPT
    assert caller(b"SET", b"k", b"v") == (b"OK", STATUS)


@both
def test_checked_commands_that_are_allowed(kind: Any) -> None:
    caller = make(kind)
    caller.checked = WRITE
    assert caller(b"SET", b"k", b"v") == (b"OK", STATUS)


@both
def test_large_replies_need_room(kind: Any) -> None:
    for room, expected in ((True, b"x" * LARGE), (False, (NO_ROOM, ERROR))):
        caller = make(kind, room=room)
        caller(b"SET", b"k", b"x" * LARGE)
        assert caller(b"GET", b"k") == (None, HELD)
        assert caller.fetch() == expected


@both
@pytest.mark.parametrize(
    "reply",
    [
        b"*-1\r\n", b"*1\r\n$-1\r\n", b"*3\r\n:-5\r\n$0\r\n\r\n$3\r\n\r\nx\r\n", b"*1\r\n*1\r\n:1\r\n",
        b"*1\r\n+OK\r\n",
        b"*2\r\n:9223372036854775807\r\n:-9223372036854775808\r\n", b"*2001\r\n" + b":1\r\n" * 2001,
        b"*12\r\n" + b"$12\r\nabcdefghijkl\r\n" * 12, b"%1\r\n:1\r\n:2\r\n", b"-ERR x\r\n", b"+OK\r\n", b"$2\r\nab\r\n",
        b":0\r\n", b":-1\r\n", b":9223372036854775807\r\n", b"$0\r\n\r\n", b"+\r\n", b"", b"*0\r\n",
        b"$-1\r\n",
    ],
)  # fmt: skip
def test_replies_are_seen_alike(kind: Any, reply: bytes) -> None:
    from broker.scripting.conversions import result

    assert make(kind).seen(reply) == result(reply)


@both
def test_nothing_is_raised(kind: Any) -> None:
    broker = make_broker()

    def has_room(size: int) -> bool:
        raise RuntimeError

    caller = kind(
        broker.commands.plain,
        make_session(broker),
        broker.executor,
        lambda *words: CAREFUL_REPLY,
        lambda command: None,
        has_room,
        lambda defect: b"-failed\r\n",
    )
    caller(b"SET", b"k", b"x" * LARGE)
    assert caller(b"GET", b"k") == (None, HELD)
    assert caller.fetch() == (b"failed", ERROR)


@both
def test_what_calls_leave_behind(kind: Any) -> None:
    broker = make_broker()
    seen = journal(broker)
    caller = kind(
        broker.commands.plain,
        make_session(broker),
        broker.executor,
        lambda *words: CAREFUL_REPLY,
        lambda command: None,
        lambda size: True,
        lambda defect: b"-failed\r\n",
    )
    caller(b"SET", b"k", b"v")
    caller(b"LPUSH", b"k", b"v")
    caller(b"GET", b"k")
    assert [words for _, words in seen] == [[b"SET", b"k", b"v"]]
    assert (broker.keyspace.changes, broker.keyspace.dirty) == (1, 0)
    push = broker.commands.plain[b"lpush"]
    assert (push.calls, push.failed, broker.stats.errors) == (1, 1, {b"WRONGTYPE": 1})


@both
def test_a_call_takes_its_own_time(kind: Any) -> None:
    clock = StoppedClock()
    broker = make_broker(clock)
    echo = broker.commands.plain[b"echo"]

    def take(session: Session, args: list[bytes]) -> bytes:
        clock.seconds += float(args[1])
        return b"+OK\r\n"

    echo.handler = take
    caller = kind(
        broker.commands.plain,
        make_session(broker),
        broker.executor,
        lambda *words: CAREFUL_REPLY,
        lambda command: None,
        lambda size: True,
        lambda defect: b"-failed\r\n",
    )
    caller(b"ECHO", b"1")
    clock.seconds += 100
    caller(b"ECHO", b"2.5")
    assert (echo.calls, echo.seconds) == (2, 3.5)
