"""Calls from Lua: what reaches the commands, and what Lua gets back."""

import pytest

from broker.clients.session import Session
from broker.clients.transport import CLOSED_TRANSPORT
from broker.scripting.bridge import (
    NO_COMMAND,
    NOT_FROM_SCRIPT,
    NOT_TEXTS,
    READ_ONLY,
    UNKNOWN,
    WRONG_ARITY,
    Bridge,
)
from broker.scripting.conversions import ARRAY, ERROR, HELD, LARGE, STATUS
from broker.scripting.running import Run
from protocol.errors import OUT_OF_MEMORY
from tests.broker.effects import journal
from tests.broker.sessions import make_broker, make_session


def bridged(*, read_only: bool = False, out_of_memory: bool = False, room: bool = True) -> tuple[Bridge, Run]:
    broker = make_broker()
    session = Session(broker, 0, CLOSED_TRANSPORT)
    bridge = Bridge(
        session, broker.commands, broker.executor, broker.state, broker.stats, broker.log,
        broker.scripting.interruption, lambda size: room,
    )  # fmt: skip
    run = Run(make_session(broker), [b"EVAL"], b"name", is_eval=True, read_only=read_only, allows_oom=False)
    run.out_of_memory = out_of_memory
    broker.scripting.interruption.current = run
    bridge.begin(run)
    return bridge, run


def test_replies() -> None:
    bridge, run = bridged()
    assert bridge.call(b"GET", b"k") is False
    assert not run.wrote
    assert bridge.call(b"SET", b"k", 5) == (b"OK", STATUS)
    assert run.wrote
    assert bridge.call(b"INCRBYFLOAT", b"k", 0.5) == b"5.5"
    assert bridge.call(b"mget", b"k", b"x") == (None, ARRAY, b"5.5", False)
    assert bridge.call(b"Exists", b"k") == 1
    assert bridge.call_with_many(b"5 1 1", b"RPUSHlx") == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), NO_COMMAND),
        ((b"GET", None), NOT_TEXTS),
        ((b"GET", True), NOT_TEXTS),
        ((b"NOSUCH",), UNKNOWN),
        ((b"CONFIG", b"NOSUCH"), UNKNOWN),
        ((b"GET",), WRONG_ARITY),
        ((b"MULTI",), NOT_FROM_SCRIPT),
        ((b"EVAL", b"return 1", 0), NOT_FROM_SCRIPT),
    ],
)
def test_refusals(words: tuple[bytes, ...], text: bytes) -> None:
    bridge, _run = bridged()
    assert bridge.call(*words) == (text, ERROR)


def test_what_only_reads_writes_nothing() -> None:
    bridge, _run = bridged(read_only=True)
    assert bridge.call(b"SET", b"k", b"v") == (READ_ONLY, ERROR)
    assert bridge.call(b"PUBLISH", b"c", b"v") == (READ_ONLY, ERROR)
    assert bridge.call(b"GET", b"k") is False


def test_out_of_memory_holds_until_the_script_has_written() -> None:
    bridge, _run = bridged(out_of_memory=True)
    assert bridge.call(b"SET", b"k", b"v") == (OUT_OF_MEMORY, ERROR)
    assert bridge.call(b"DEL", b"k") == 0
    assert bridge.call(b"SET", b"k", b"v") == (b"OK", STATUS)


def test_writes_may_be_refused_until_the_script_has_written() -> None:
    bridge, run = bridged()
    run.caller.broker.state.write_refusal = b"MISCONF no"
    assert bridge.call(b"SET", b"k", b"v") == (b"MISCONF no", ERROR)
    run.caller.broker.state.write_refusal = None
    assert bridge.call(b"SET", b"k", b"v") == (b"OK", STATUS)
    run.caller.broker.state.write_refusal = b"MISCONF no"
    assert bridge.call(b"SET", b"k", b"v") == (b"OK", STATUS)


def test_replies_that_lua_has_no_room_for() -> None:
    bridge, _ = bridged(room=False)
    bridge.call(b"SET", b"k", b"x" * LARGE)
    assert bridge.call(b"GET", b"k") == (None, HELD)
    assert bridge.caller.fetch() == (b"ERR not enough memory", ERROR)


def test_the_rest_of_the_api() -> None:
    bridge, run = bridged()
    assert bridge.sha1hex(b"abc") == b"a9993e364706816aba3e25717850c26c9cd0d89d"
    assert bridge.acl_check_cmd(b"GET", b"k") is True
    assert bridge.acl_check_cmd(b"NOSUCH") == (b"Invalid command passed to redis.acl_check_cmd()", True)
    assert bridge.acl_check_cmd(b"GET") == (b"Wrong number of args for redis.acl_check_cmd()", True)
    assert bridge.acl_check_cmd() == (NO_COMMAND[4:], True)
    assert (bridge.double(3), bridge.number(3), bridge.read_double(b"1.5")) == (b"3", b"3", 1.5)
    journal(run.caller.broker)
    bridge.set_repl(0)
    assert run.caller.broker.keyspace.effects.suppressed
    for level in range(4):
        bridge.log(level, b"text \xff")
