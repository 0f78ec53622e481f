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
from broker.scripting.conversions import ERROR, HELD, LARGE
from broker.scripting.running import Run
from protocol.errors import OUT_OF_MEMORY
from protocol.replies import OK, error
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
    assert bridge.reply(b"GET", b"k") == b"$-1\r\n"
    assert not run.wrote
    assert bridge.reply(b"SET", b"k", 5) == b"+OK\r\n"
    assert run.wrote
    assert bridge.reply(b"INCRBYFLOAT", b"k", 0.5) == b"$3\r\n5.5\r\n"
    assert bridge.reply(b"mget", b"k", b"x") == b"*2\r\n$3\r\n5.5\r\n$-1\r\n"
    assert bridge.reply(b"Exists", b"k") == b":1\r\n"
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
    assert bridge.reply(*words) == error(text)


def test_what_only_reads_writes_nothing() -> None:
    bridge, _run = bridged(read_only=True)
    assert bridge.reply(b"SET", b"k", b"v") == error(READ_ONLY)
    assert bridge.reply(b"PUBLISH", b"c", b"v") == error(READ_ONLY)
    assert bridge.reply(b"GET", b"k") == b"$-1\r\n"


def test_out_of_memory_holds_until_the_script_has_written() -> None:
    bridge, _run = bridged(out_of_memory=True)
    assert bridge.reply(b"SET", b"k", b"v") == error(OUT_OF_MEMORY)
    assert bridge.reply(b"DEL", b"k") == b":0\r\n"
    assert bridge.reply(b"SET", b"k", b"v") == OK


def test_writes_may_be_refused_until_the_script_has_written() -> None:
    bridge, run = bridged()
    run.caller.broker.state.write_refusal = b"MISCONF no"
    assert bridge.reply(b"SET", b"k", b"v") == error(b"MISCONF no")
    run.caller.broker.state.write_refusal = None
    assert bridge.reply(b"SET", b"k", b"v") == OK
    run.caller.broker.state.write_refusal = b"MISCONF no"
    assert bridge.reply(b"SET", b"k", b"v") == OK


def test_replies_that_lua_has_no_room_for() -> None:
    bridge, _ = bridged(room=False)
    bridge.caller(b"SET", b"k", b"x" * LARGE)
    assert bridge.caller(b"GET", b"k") == (None, HELD)
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
