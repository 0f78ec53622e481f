"""HIMPORT beside the reference's. Only the encoding differs: hashes with shared field names are not a type of ours."""

import pytest

from tests.broker.effects import effects_of
from tests.oracle.harness import pair, requires, same

pytestmark = requires("8.10")


@pytest.mark.parametrize(
    "script",
    [
        ["HIMPORT", "HIMPORT SET", "HIMPORT HELP", "HIMPORT NONSENSE", "HIMPORT PREPARE", "HIMPORT PREPARE fs"],
        ["HIMPORT DISCARD", "HIMPORT DISCARD fs x", "HIMPORT DISCARDALL x", "HIMPORT SET k fs"],
        ["HIMPORT PREPARE fs b aa B ab a", "HIMPORT SET k fs 1 2 3 4 5", "HGETALL k", "HIMPORT SET k fs 1 2"],
        ["HIMPORT PREPARE fs a a", "HIMPORT SET k fs 1 2"],
        ["HIMPORT PREPARE fs a", "HIMPORT PREPARE fs b", "HIMPORT SET k fs 1", "HGETALL k"],
        ["HSET k a 1 z 2", "EXPIRE k 100", "HIMPORT PREPARE fs a b", "HIMPORT SET k fs 3 4", "HGETALL k", "TTL k"],
        ["HSET k a 1", "HEXPIRE k 100 FIELDS 1 a", "HIMPORT PREPARE fs a", "HIMPORT SET k fs 2", "HTTL k FIELDS 1 a"],
        [
            "SET k v",
            "HIMPORT SET k fs 1",
            "HIMPORT PREPARE fs a",
            "HIMPORT SET k fs 1 2",
            "HIMPORT SET k fs 1",
            "GET k",
        ],
        ["HIMPORT PREPARE a x", "HIMPORT PREPARE b x", "HIMPORT DISCARD a", "HIMPORT DISCARD a", "HIMPORT DISCARDALL"],
        ['HIMPORT PREPARE "" "" x', 'HIMPORT SET "" "" "" 1', 'HGETALL ""', "HIMPORT DISCARDALL", "HIMPORT DISCARDALL"],
        ["HIMPORT PREPARE fs a", "RESET", "HIMPORT SET k fs 1"],
        ["MULTI", "HIMPORT PREPARE fs a", "HIMPORT SET k fs 1", "EXEC", "HIMPORT SET l fs 2", "HGETALL l"],
        [
            ["EVAL", "redis.call('himport', 'prepare', 'f', 'a') return redis.call('himport', 'set', 'k', 'f', 1)", 0],
            ["EVAL", "return redis.call('himport', 'set', 'k', 'f', 1)", 0],
            "HIMPORT SET k f 1",
            "HGETALL k",
        ],
    ],
)
def test_replies(script: list[str]) -> None:
    same(script, state=True)


def test_fieldsets_belong_to_a_client() -> None:
    with pair() as p:
        first, second = p.client(), p.client()
        first.do("HIMPORT PREPARE fs a")
        second.do("HIMPORT SET k fs 1")
        first.do("HIMPORT SET k fs 1")


def test_events() -> None:
    with pair() as p:
        first, listener = p.client(), p.client(resp=3)
        first.do("CONFIG SET notify-keyspace-events KEAnocSTIV")
        listener.do("PSUBSCRIBE __*")
        for command in ("HIMPORT PREPARE fs b a", "HIMPORT SET k fs 1 2", "HIMPORT SET k fs 1 2"):
            first.do(command)
        p.settle()
        listener.drain()
        first.do('CONFIG SET notify-keyspace-events ""')


async def test_effects() -> None:
    prepared = ["HIMPORT PREPARE fs b a"]
    # What prepares them is the client that sends the command.
    assert await effects_of(prepared, "HIMPORT SET k fs 1 2") == ["HSET k a 2 b 1"]
    assert await effects_of([*prepared, "HSET k z 1"], "HIMPORT SET k fs 1 2") == ["DEL k", "HSET k a 2 b 1"]
