"""Ranges of sorted sets against a plain sorted list, and what they leave for the journal."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.effects import effects_of
from tests.broker.inprocess import running
from tests.oracle.wire import parse

_SCORES = {f"m{number}": number // 2 for number in range(10)}
_ORDER = sorted(_SCORES, key=lambda member: (_SCORES[member], member))


async def _range(words: list[str]) -> list[str]:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD", "z", *(text for member, score in _SCORES.items() for text in (str(score), member)))
        return [item.text.decode() for item in parse(await client.call("ZRANGE", "z", *words)).items]


@settings(max_examples=60, deadline=None)
@given(st.integers(-12, 12), st.integers(-12, 12), st.booleans())
def test_by_rank(start: int, stop: int, reverse: bool) -> None:
    order = _ORDER[::-1] if reverse else _ORDER
    first = max(start + 10, 0) if start < 0 else start
    last = stop + 10 if stop < 0 else stop
    words = [str(start), str(stop), *(["REV"] if reverse else [])]
    assert trio.run(_range, words) == (order[first : last + 1] if last >= 0 else [])


@settings(max_examples=60, deadline=None)
@given(
    low=st.integers(-1, 6), above=st.booleans(), high=st.integers(-1, 6), below=st.booleans(), reverse=st.booleans(),
    offset=st.integers(-1, 11), limit=st.integers(-1, 11),
)  # fmt: skip
def test_by_score(low: int, above: bool, high: int, below: bool, reverse: bool, offset: int, limit: int) -> None:
    expected = [
        member
        for member in _ORDER
        if (_SCORES[member] > low if above else _SCORES[member] >= low)
        and (_SCORES[member] < high if below else _SCORES[member] <= high)
    ]
    if reverse:
        expected.reverse()
    expected = expected[offset : None if limit < 0 else offset + limit] if offset >= 0 else []
    bounds = ["(" * above + str(low), "(" * below + str(high)]
    words = [*(bounds[::-1] if reverse else bounds), "BYSCORE", "LIMIT", str(offset), str(limit)]
    assert trio.run(_range, [*words, *(["REV"] if reverse else [])]) == expected


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("ZREMRANGEBYRANK z 0 0", ["ZREMRANGEBYRANK z 0 0"]),
        ("ZREMRANGEBYRANK z 5 6", []),
        ("ZREMRANGEBYSCORE z (1 2", ["ZREMRANGEBYSCORE z (1 2"]),
        ("ZREMRANGEBYSCORE z (2 2", []),
        ("ZREMRANGEBYLEX z [a [a", ["ZREMRANGEBYLEX z [a [a"]),
        ("ZRANGESTORE d z 0 -1", ["ZRANGESTORE d z 0 -1"]),
        ("ZRANGESTORE d z 5 6", []),
        ("ZRANGESTORE z z 5 6", ["ZRANGESTORE z z 5 6"]),
        ("ZRANGE z 0 -1", []),
        ("ZCOUNT z 0 1", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of(["ZADD z 1 a 2 b"], command) == effects


async def test_every_removed_member_counts_as_a_change() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("ZADD z 1 a 2 b 3 c")
        before = broker.broker.keyspace.changes
        await client.call("ZREMRANGEBYSCORE z 2 3")
        assert broker.broker.keyspace.changes - before == 2
        await client.call("ZREMRANGEBYRANK z 0 -1")
        assert broker.broker.keyspace.changes - before == 3
        assert not broker.broker.keyspace.databases[0].data
