"""What all searches share: ANY ends them early, and the result is independent of its source."""

import pytest

from broker.commands.geo.query import ANY_WITHOUT_COUNT, Query
from broker.values.geo.area import Circle
from broker.values.geo.geohash import score_of
from broker.values.sorted_set import SortedSet
from protocol.errors import SYNTAX, CommandError
from tests.broker.inprocess import running


class _Counting(Circle):
    """Counts the members that were looked at."""

    looked_at = 0

    def within(self, position: tuple[float, float]) -> float | None:
        self.looked_at += 1
        return super().within(position)


def _members(count: int) -> SortedSet:
    return SortedSet({b"%d" % number: float(score_of(number / count, 0.0)) for number in range(count)})


def test_a_search_with_any_ends_early() -> None:
    area = _Counting((0.5, 0.0), 1000.0, 1000.0)
    query = Query(_members(1000), area, count=5, any=True)
    assert len(query._result()) == 5
    assert area.looked_at == 5


def test_only_the_cells_around_are_looked_at() -> None:
    area = _Counting((0.5, 0.0), 300.0, 1.0)
    query = Query(_members(1000), area)
    assert len(query._result()) == 5
    assert area.looked_at < 20


async def test_options_are_checked() -> None:
    with pytest.raises(CommandError) as raised:
        Query(None, None, any=True)
    assert raised.value.text == ANY_WITHOUT_COUNT
    async with running() as broker:
        client = await broker.client()
        assert await client.call("GEORADIUS_RO g 0 0 1 m STORE d") == b"-%b\r\n" % SYNTAX


async def test_the_result_shares_nothing_with_its_source() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("GEOADD g 0 0 a 1 1 b")
        assert await client.call("GEOSEARCHSTORE d g FROMLONLAT 0 0 BYRADIUS 500 km") == b":2\r\n"
        await client.call("ZREM d a")
        assert await client.call("ZCARD g") == b":2\r\n"
