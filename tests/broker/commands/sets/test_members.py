"""Sets: what they change and leave for the journal. Replies are compared in tests/oracle."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.effects import effects_of, journal, lines, replay_gives_the_same
from tests.broker.inprocess import running


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("SADD s x y", ["SADD s x y"]),
        ("SADD s a", []),
        ("SADD s a z", ["SADD s a z"]),
        ("SREM s no", []),
        ("SREM s a no", ["SREM s a no"]),
        ("SPOP one", ["SREM one m"]),
        ("SPOP no", []),
        ("SPOP s 0", []),
        ("SPOP s 5", ["DEL s"]),
        ("SMOVE s one a", ["SMOVE s one a"]),
        ("SMOVE s one no", []),
        ("SMOVE s s a", []),
        ("SRANDMEMBER s", []),
        ("SSCAN s 0", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["SADD s a b c", "SADD one m"], command) == effects


async def test_popped_members_are_removed_by_name_in_batches() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SADD", "s", *map(str, range(3000)))
        seen = journal(broker.broker)
        await client.call("SPOP s 2500")
        assert [len(words) - 2 for _, words in seen] == [1024, 1024, 452]
        removed = {member for _, words in seen for member in words[2:]}
        assert len(removed) == 2500
        assert removed.isdisjoint(broker.broker.keyspace.databases[0].data[b"s"])
        del seen[:]
        reply = await client.call("SPOP s")
        assert lines(seen) == ["SREM s " + reply.split(b"\r\n")[1].decode()]


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        ("SADD s a x y", 2),
        ("SREM s a no", 1),
        ("SPOP s 2", 2),
        ("SPOP s 9", 3),
        ("SPOP s", 1),
        ("SMOVE s one a", 2),
        ("SMOVE s both a", 1),
        ("SMOVE s s a", 0),
    ],
)
async def test_changes(command: str, changes: int) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SADD s a b c")
        await client.call("SADD one m")
        await client.call("SADD both a")
        before = broker.broker.keyspace.changes
        await client.call(command)
        assert broker.broker.keyspace.changes - before == changes


async def test_too_many_draws_are_refused_at_once() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SADD s a")
        with trio.fail_after(20):
            assert await client.call("SRANDMEMBER s -2000000000") == b"-ERR value is out of range\r\n"


_keys = st.sampled_from(["s", "t"])
_members = st.sampled_from(["a", "b", "c", "1"])
_script = st.lists(
    st.one_of(
        st.builds(lambda k, m, n: ["SADD", k, m, n], _keys, _members, _members),
        st.builds(lambda k, m: ["SREM", k, m], _keys, _members),
        st.builds(lambda k: ["SPOP", k], _keys),
        st.builds(lambda k, n: ["SPOP", k, str(n)], _keys, st.integers(0, 4)),
        st.builds(lambda k, m, n: ["SMOVE", k, m, n], _keys, _keys, _members),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(_script)
def test_replay(script: list[list[str]]) -> None:
    trio.run(replay_gives_the_same, script)
