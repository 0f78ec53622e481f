"""Members with positions: what they leave for the journal."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.effects import effects_of, replay_gives_the_same
from tests.broker.inprocess import running

_PALERMO = "3479099956230698"


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("GEOADD g 13.361389 38.115556 Palermo", [f"ZADD g {_PALERMO} Palermo"]),
        ("GEOADD g NX CH 13.361389 38.115556 Palermo", [f"ZADD g NX CH {_PALERMO} Palermo"]),
        ("GEOADD g XX 13.361389 38.115556 Palermo", []),
        ("GEOADD g 0 0 there", []),
        ("GEOADD g 0 100 there", []),
        ("GEOPOS g there", []),
        ("GEODIST g there there", []),
        ("GEOHASH g there", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["GEOADD g 0 0 there"], command) == effects


async def test_a_change_that_is_none_leaves_nothing_for_the_next_command() -> None:
    assert await effects_of(["GEOADD g 0 0 a", "GEOADD g 0 0 a"], "SET k v") == ["SET k v"]


async def test_every_member_counts_as_a_change() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("GEOADD g 0 0 a 1 1 b")
        assert broker.broker.keyspace.changes == 2
        await client.call("GEOADD g 0 0 a 1 2 b")
        assert broker.broker.keyspace.changes == 3


async def test_a_position_out_of_range_adds_nothing() -> None:
    async with running() as broker:
        client = await broker.client()
        reply = await client.call("GEOADD g 0 0 a 200 0 b")
        assert reply == b"-ERR invalid longitude,latitude pair 200.000000,0.000000\r\n"
        assert await client.call("EXISTS g") == b":0\r\n"


_members = st.sampled_from("abcd")
_degrees = st.integers(-90, 90).map(str)
_writes = st.one_of(
    st.tuples(st.just("GEOADD"), st.just("g"), _degrees, _degrees, _members),
    st.tuples(st.just("GEOADD"), st.just("g"), st.sampled_from(["NX", "XX"]), _degrees, _degrees, _members),
    st.tuples(
        st.sampled_from(["GEORADIUS"]), st.just("g"), _degrees, _degrees, st.just("5000"), st.just("km"),
        st.sampled_from(["STORE", "STOREDIST"]), st.sampled_from("gh"),
    ),
    st.tuples(
        st.just("GEOSEARCHSTORE"), st.sampled_from("gh"), st.just("g"), st.just("FROMMEMBER"), _members,
        st.just("BYBOX"), st.just("9000"), st.just("9000"), st.just("km"),
    ),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(_writes.map(list), max_size=15))
def test_replayed_effects_give_the_same_keyspace(script: list[list[str]]) -> None:
    trio.run(replay_gives_the_same, script)
