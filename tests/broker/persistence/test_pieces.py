"""Commands in pieces have the same effect as the whole, and no piece is large."""

import pytest

from broker.broker import Broker
from broker.persistence.pieces import PIECE, pieces
from tests.broker.sessions import StoppedClock, make_broker, make_session, run

COUNT = 2 * PIECE + PIECE // 2
NUMBERS = [b"%d" % number for number in range(COUNT)]
PAIRS = [word for number in NUMBERS for word in (number, b"v" + number)]
IDS = [b"%d-1" % number for number in range(1, COUNT)]

BEFORE: list[list[bytes]] = [
    [b"RPUSH", b"list", b"x"],
    [b"SADD", b"full", *NUMBERS, b"left"],
    [b"ZADD", b"board", b"1", b"v5"],
    [b"HSET", b"hash", b"7", b"old"],
    [b"HPEXPIREAT", b"hash", b"4102444800000", b"FIELDS", b"1", b"7"],
    [b"MSET", *PAIRS[:100]],
    *([b"XADD", b"stream", id, b"f", b"v"] for id in IDS[::50]),
    [b"XGROUP", b"CREATE", b"stream", b"group", b"0"],
    [b"XREADGROUP", b"GROUP", b"group", b"consumer", b"STREAMS", b"stream", b">"],
]
COMMANDS: list[list[bytes]] = [
    [b"RPUSH", b"list", *NUMBERS],
    [b"LPUSH", b"list", *NUMBERS],
    [b"RPUSHX", b"list", *NUMBERS],
    [b"LPUSHX", b"none", *NUMBERS],
    [b"SADD", b"set", *NUMBERS, *NUMBERS],
    [b"SREM", b"full", *NUMBERS],
    [b"HSET", b"hash", *PAIRS],
    [b"HMSET", b"hash", *PAIRS],
    [b"HDEL", b"hash", *NUMBERS],
    [b"ZADD", b"board", *PAIRS],
    [b"ZADD", b"board", b"gt", b"CH", *PAIRS],
    [b"ZREM", b"board", *NUMBERS, b"v5"],
    [b"MSET", *PAIRS],
    [b"DEL", *NUMBERS],
    [b"UNLINK", *NUMBERS],
    [b"PFADD", b"unique", *NUMBERS],
    [b"XDEL", b"stream", *IDS],
    [b"XACK", b"stream", b"group", *IDS],
]


def filled() -> Broker:
    broker = make_broker(StoppedClock())
    for command in BEFORE:
        assert not run(make_session(broker), command).startswith(b"-")
    return broker


def dumped(broker: Broker) -> dict[bytes, bytes]:
    session = make_session(broker)
    return {key: run(session, [b"DUMP", key]) for key in broker.keyspace.databases[0].data}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: b" ".join(command[:4]).decode())
def test_pieces_do_the_same_as_the_whole(command: list[bytes]) -> None:
    whole, divided = filled(), filled()
    assert not run(make_session(whole), command).startswith(b"-")
    args = command.copy()
    parts = [part for part in pieces(command[0].lower(), args) if part]
    for part in parts:
        assert not run(make_session(divided), part).startswith(b"-")
    assert dumped(divided) == dumped(whole)
    assert len(parts) >= 3 and max(map(len, parts)) <= 2 * PIECE + 4
    assert args == []


@pytest.mark.parametrize(
    "command",
    [
        [b"ZADD", b"board", *PAIRS[:-1], b"v", b"not a score", b"m"],
        [b"ZADD", b"board", b"INCR", *PAIRS],
        [b"ZADD", b"board", *PAIRS, b"1"],
        [b"HSET", b"hash", *PAIRS, b"f"],
        [b"MSET", *PAIRS, b"k"],
        [b"XDEL", b"stream", *IDS, b"not an ID"],
        [b"XACK", b"stream", b"group", *IDS, b"not an ID"],
        [b"SUNION", b"none", *NUMBERS],
    ],
    ids=lambda command: b" ".join(command[:3]).decode(),
)
def test_what_is_refused_as_a_whole_or_is_one_operation_stays_whole(command: list[bytes]) -> None:
    args = command.copy()
    assert [part for part in pieces(command[0].lower(), args) if part] == [command]


def test_arguments_are_checked_in_steps() -> None:
    steps = list(pieces(b"zadd", [b"ZADD", b"board", *PAIRS]))
    assert [bool(step) for step in steps] == [False] * 3 + [True] * 3
