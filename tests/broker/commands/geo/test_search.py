"""GEOSEARCH and GEOSEARCHSTORE: the replies of both protocol versions, and what they leave for the journal."""

import pytest

from tests.broker.effects import effects_of
from tests.broker.inprocess import running

_SICILY = "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"
_SEARCH = "FROMLONLAT 15 37 BYRADIUS 200 km"


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        (f"GEOSEARCH g {_SEARCH}", []),
        (f"GEOSEARCHSTORE d g {_SEARCH}", [f"GEOSEARCHSTORE d g {_SEARCH}"]),
        ("GEOSEARCHSTORE d g FROMLONLAT 0 0 BYBOX 1 1 m", []),
        ("GEOSEARCHSTORE g g FROMLONLAT 0 0 BYBOX 1 1 m", ["GEOSEARCHSTORE g g FROMLONLAT 0 0 BYBOX 1 1 m"]),
        (f"GEOSEARCHSTORE g none {_SEARCH}", [f"GEOSEARCHSTORE g none {_SEARCH}"]),
        (f"GEOSEARCHSTORE d none {_SEARCH}", []),
    ],
)
async def test_effects(command: str, effects: list[str]) -> None:
    assert await effects_of([_SICILY], command) == effects


async def test_replies() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call(_SICILY)
        assert await client.call(f"GEOSEARCH g {_SEARCH} ASC") == b"*2\r\n$7\r\nCatania\r\n$7\r\nPalermo\r\n"
        details = f"GEOSEARCH g {_SEARCH} COUNT 1 WITHCOORD WITHDIST WITHHASH"
        head = b"*1\r\n*4\r\n$7\r\nCatania\r\n$7\r\n56.4413\r\n:3479447370796909\r\n*2\r\n"
        assert await client.call(details) == head + b"$18\r\n15.087267458438873\r\n$17\r\n37.50266842333162\r\n"
        await client.call("HELLO 3")
        assert await client.call(details) == head + b",15.087267458438873\r\n,37.50266842333162\r\n"


async def test_every_stored_member_counts_as_a_change() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call(_SICILY)
        await client.call(f"GEOSEARCHSTORE d g {_SEARCH} STOREDIST")
        assert broker.broker.keyspace.changes == 4
        assert await client.call("ZSCORE d Catania") == b"$16\r\n56.4412578701582\r\n"
