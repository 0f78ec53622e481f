"""The collector's pauses are measured while a broker runs, and no longer."""

import gc

from broker.process.collector import CollectorPauses, exempt_loaded
from tests.broker.inprocess import running


def test_pauses_are_counted_while_they_are_measured() -> None:
    told: list[float] = []
    pauses = CollectorPauses(told.append)
    gc.collect()
    before = len(gc.callbacks)
    with pauses.measured():
        gc.collect()
        gc.collect()
    gc.collect()
    assert pauses.count == 2 and 0 < pauses.longest <= pauses.seconds
    assert len(gc.callbacks) == before
    assert sum(told) == pauses.seconds and len(told) == 2
    pauses.reset()
    assert (pauses.count, pauses.seconds, pauses.longest) == (0, 0, 0)


async def test_info_has_them() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PING")
        gc.collect()
        fields = dict(line.split(":") for line in (await client.text("INFO stats")).split("\r\n") if ":" in line)
        assert int(fields["trimaran_collections"]) >= 1
        assert int(fields["trimaran_collections_usec"]) >= int(fields["trimaran_collections_max_usec"]) > 0
        await client.call("CONFIG RESETSTAT")
        assert "trimaran_collections:0" in await client.text("INFO stats")


def test_what_was_loaded_is_exempt_only_where_the_rest_is() -> None:
    assert not gc.get_freeze_count()
    exempt_loaded()
    assert not gc.get_freeze_count()
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        loaded: list[list[int]] = [[] for _ in range(1000)]
        exempt_loaded()
        assert gc.get_freeze_count() >= before + len(loaded)
    finally:
        gc.unfreeze()
