"""HGETEX, HSETEX and HGETDEL: what they leave for the journal. Replies are compared in tests/oracle."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.effects import effects_of, replay_gives_the_same
from tests.broker.inprocess import running

FAR = 4_102_444_800_000


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("HGETEX h FIELDS 1 a", []),
        (f"HGETEX h PXAT {FAR} FIELDS 2 a zz", [f"HPEXPIREAT h {FAR} FIELDS 1 a"]),
        ("HGETEX h EX 0 FIELDS 2 a zz", ["HDEL h a"]),
        ("HGETEX h PERSIST FIELDS 2 a b", ["HPERSIST h FIELDS 1 b"]),
        ("HSETEX h FIELDS 1 a 5", ["HSET h a 5"]),
        ("HSETEX h FNX FIELDS 1 a 5", []),
        (f"HSETEX h FXX EXAT {FAR // 1000} FIELDS 1 a 5", ["HSET h a 5", f"HPEXPIREAT h {FAR} FIELDS 1 a"]),
        ("HSETEX h EX 0 FIELDS 1 n 5", ["HDEL h n"]),
        ("HSETEX h KEEPTTL FIELDS 1 b 5", ["HSET h b 5", f"HPEXPIREAT h {FAR + 1} FIELDS 1 b"]),
        ("HGETDEL h FIELDS 2 a zz", ["HDEL h a"]),
        ("HGETDEL h FIELDS 1 zz", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["HSET h a 1 b 2", f"HPEXPIREAT h {FAR + 1} FIELDS 1 b"], command) == effects


async def test_an_increment_by_float_keeps_the_deadline_when_replayed() -> None:
    setup = ["HSET h a 1", f"HPEXPIREAT h {FAR} FIELDS 1 a"]
    assert await effects_of(setup, "HINCRBYFLOAT h a 1.5") == [
        "HSET h a 2.5",
        f"HPEXPIREAT h {FAR} FIELDS 1 a",
    ]


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        (f"HGETEX h PXAT {FAR} FIELDS 2 a zz", 1),
        ("HGETEX h FIELDS 2 a b", 0),
        ("HSETEX h FIELDS 2 a 1 n 2", 2),
        ("HSETEX h EX 0 FIELDS 2 a 1 n 2", 2),
        ("HGETDEL h FIELDS 3 a b zz", 2),
    ],
)
async def test_changes(command: str, changes: int) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HSET h a 1 b 2")
        before = broker.broker.keyspace.changes
        await client.call(command)
        assert broker.broker.keyspace.changes - before == changes


_fields = st.sampled_from(["a", "b"])
_options = st.sampled_from([[], ["PXAT", str(FAR)], ["EX", "0"], ["KEEPTTL"], ["PERSIST"], ["FNX"], ["FXX"]])
_script = st.lists(
    st.one_of(
        st.builds(lambda o, f: ["HSETEX", "h", *o, "FIELDS", "1", f, "v"], _options, _fields),
        st.builds(lambda o, f: ["HGETEX", "h", *o, "FIELDS", "1", f], _options, _fields),
        st.builds(lambda f: ["HPEXPIREAT", "h", str(FAR + 1), "NX", "FIELDS", "1", f], _fields),
        st.builds(lambda f: ["HINCRBYFLOAT", "h", f, "1.5"], _fields),
        st.builds(lambda f: ["HGETDEL", "h", "FIELDS", "1", f], _fields),
        st.builds(lambda f: ["HSET", "h", f, "1"], _fields),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(_script)
def test_replay(script: list[list[str]]) -> None:
    trio.run(replay_gives_the_same, script)
