"""Hashes: what they change and leave for the journal. Replies are compared in tests/oracle."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.effects import effects_of, replay_gives_the_same
from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("HSET h a 1 b 2", ["HSET h a 1 b 2"]),
        ("HSET h n 5", ["HSET h n 5"]),
        ("HMSET h a 1", ["HMSET h a 1"]),
        ("HSETNX h n 1", []),
        ("HSETNX h new 1", ["HSETNX h new 1"]),
        ("HDEL h no", []),
        ("HDEL h n no", ["HDEL h n no"]),
        ("HINCRBY h n 2", ["HINCRBY h n 2"]),
        ("HINCRBY h t 2", []),
        ("HINCRBYFLOAT h n 0.25", ["HSET h n 5.25"]),
        ("HINCRBYFLOAT new f -1e2", ["HSET new f -100"]),
        ("HINCRBYFLOAT h t 1", []),
        ("HGETALL h", []),
        ("HRANDFIELD h", []),
        ("HSCAN h 0", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["HSET h n 5 t text"], command) == effects


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        ("HSET h a 1 b 2 n 5", 3),
        ("HSETNX h n 1", 0),
        ("HSETNX h x 1", 1),
        ("HDEL h n t no", 2),
        ("HINCRBY h n 0", 1),
        ("HINCRBYFLOAT h n 0", 1),
        ("HINCRBYFLOAT h t 1", 0),
    ],
)
async def test_changes(command: str, changes: int) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HSET h n 5 t text")
        before = broker.broker.keyspace.changes
        await client.call(command)
        assert broker.broker.keyspace.changes - before == changes


@pytest.mark.parametrize("command", ["HINCRBY new f x", "HINCRBYFLOAT new f x", "HINCRBYFLOAT new f inf", "HSET new f"])
async def test_a_failed_command_creates_nothing(command: str) -> None:
    async with running() as broker:
        client = await broker.client()
        assert (await client.call(command)).startswith(b"-ERR ")
        assert not broker.broker.keyspace.databases[0].data


async def test_deadlines_of_fields() -> None:
    """Setting a field drops its deadline, incrementing keeps it, deleting it takes it along."""
    async with running() as broker:
        client = await broker.client()
        await client.call("HSET h a 1 b 2 c 3 d 4")
        value = broker.broker.keyspace.databases[0].data[b"h"]
        far = broker.broker.clock.now + 10**9
        for field in (b"a", b"b", b"c", b"d"):
            value.expire_at(field, far)
        await client.call("HSET h a 5")
        await client.call("HINCRBY h b 5")
        await client.call("HINCRBYFLOAT h c 5")
        await client.call("HDEL h d")
        assert value.deadlines == {b"b": far, b"c": far}
        await client.call("HSET h x 1 b 2 y 3")
        assert value.deadlines == {b"c": far}


async def test_too_many_draws_are_refused_at_once() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HSET h f v")
        with trio.fail_after(20):
            assert await client.call("HRANDFIELD h -2000000000") == b"-ERR value is out of range\r\n"


_fields = st.sampled_from(["a", "b", "c"])
_numbers = st.sampled_from(["1", "-2.5", "0.1", "1e10"])
_script = st.lists(
    st.one_of(
        st.builds(lambda f, v: ["HSET", "h", f, v], _fields, _numbers),
        st.builds(lambda f, v: ["HSETNX", "h", f, v], _fields, _numbers),
        st.builds(lambda f: ["HDEL", "h", f], _fields),
        st.builds(lambda f: ["HINCRBY", "h", f, "3"], _fields),
        st.builds(lambda f, v: ["HINCRBYFLOAT", "h", f, v], _fields, _numbers),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(_script)
def test_replay(script: list[list[str]]) -> None:
    trio.run(replay_gives_the_same, script)
