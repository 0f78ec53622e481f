"""Sorted sets: what they change and leave for the journal. Replies are compared in tests/oracle."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.effects import effects_of, replay_gives_the_same
from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("ZADD z 9 new", ["ZADD z 9 new"]),
        ("ZADD z 1 a", []),
        ("ZADD z NX 5 a", []),
        ("ZADD z XX 5 new", []),
        ("ZADD none XX 5 new", []),
        ("ZADD z GT 0 a", []),
        ("ZADD z GT CH 5 a", ["ZADD z GT CH 5 a"]),
        ("ZADD z INCR 0 a", []),
        ("ZINCRBY z 0 a", []),
        ("ZINCRBY z 2.5 a", ["ZINCRBY z 2.5 a"]),
        ("ZREM z no", []),
        ("ZREM z a no", ["ZREM z a no"]),
        ("ZRANDMEMBER z", []),
        ("ZSCAN z 0", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["ZADD z 1 a 2 b"], command) == effects


@pytest.mark.parametrize(
    ("command", "changes"),
    [("ZADD z 1 a 5 b 3 c", 2), ("ZADD z 1 a", 0), ("ZINCRBY z 0 a", 0), ("ZINCRBY z 1 a", 1), ("ZREM z a b no", 2)],
)
async def test_changes(command: str, changes: int) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD z 1 a 2 b")
        before = broker.broker.keyspace.changes
        await client.call(command)
        assert broker.broker.keyspace.changes - before == changes


@pytest.mark.parametrize("command", ["ZADD new 1 a x b", "ZADD new nan a", "ZINCRBY new x a", "ZADD new NX XX 1 a"])
async def test_a_failed_command_creates_nothing(command: str) -> None:
    async with running() as broker:
        client = await broker.client()
        assert (await client.call(command)).startswith(b"-ERR ")
        assert not broker.broker.keyspace.databases[0].data


async def test_a_score_that_is_no_number_changes_nothing() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD z inf a")
        reply = await client.call("ZINCRBY z -inf a")
        assert reply == b"-ERR resulting score is not a number (NaN)\r\n"
        assert await client.call("ZSCORE z a") == b"$3\r\ninf\r\n"


_members = st.sampled_from(["a", "b", "c"])
_scores = st.sampled_from(["1", "-2.5", "0.1", "inf", "-0"])
_options = st.sampled_from([[], ["NX"], ["XX"], ["GT"], ["LT", "CH"], ["INCR"]])
_script = st.lists(
    st.one_of(
        st.builds(lambda o, s, m: ["ZADD", "z", *o, s, m], _options, _scores, _members),
        st.builds(lambda s, m: ["ZINCRBY", "z", s, m], _scores, _members),
        st.builds(lambda m: ["ZREM", "z", m], _members),
        st.builds(lambda c: [c, "z"], st.sampled_from(["ZPOPMIN", "ZPOPMAX"])),
        st.just(["BZPOPMIN", "z", "0.01"]),
        st.just(["ZMPOP", "1", "z", "MAX", "COUNT", "2"]),
        st.just(["ZREMRANGEBYRANK", "z", "0", "0"]),
        st.just(["ZUNIONSTORE", "y", "1", "z", "WEIGHTS", "-2"]),
        st.just(["ZRANGESTORE", "y", "z", "0", "1"]),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(_script)
def test_replay(script: list[list[str]]) -> None:
    trio.run(replay_gives_the_same, script)
