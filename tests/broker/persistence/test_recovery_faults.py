"""Start-up on a disk that fails, and from every beginning of a file and from files with a changed bit."""

import errno
import random
import time

import pytest

from broker.formats.aof.manifest import parse
from broker.network.listeners import StartError
from tests.broker.persistence.aof_sample import Sample, sample
from tests.broker.persistence.durable import APPENDONLY, INCREMENT, MANIFEST, durable
from tests.broker.persistence.files_made import keys_of
from tests.broker.persistence.folders import BASE, aof, folder, loaded, rdb, refused
from tests.broker.persistence.simulated_disk import SHORT, SimulatedDisk, each_fault
from tests.broker.sessions import make_broker, make_session, run

CUT = aof("SET a 1", "SET b 1")[:-1]


# A disk that fails


@pytest.mark.parametrize(("call", "error"), each_fault(56))
async def test_each_call_of_a_start_may_fail(call: int, error: int) -> None:
    """The start is refused, or it has all the data; a later start has it in any case."""
    disk = folder(rdb("SET a 1"), aof("SET b 1"), CUT, b"", history=aof("SET old 1"))
    wanted = {b"a": b"1", b"b": b"1"}
    disk.fail(call, error)
    try:
        assert set(await loaded(disk)) == {*wanted}
    except* StartError as problems:
        assert error != SHORT and str(problems.exceptions[0])
    if disk.heal() == 0:
        return
    for image in [*disk.crash_images(limit=20), disk]:
        assert set(await loaded(image)) == {*wanted}
    assert not disk.open_files


@pytest.mark.parametrize("call", range(36))
async def test_each_call_of_a_first_start_may_fail(call: int) -> None:
    disk = SimulatedDisk()
    disk.fail(call, errno.EIO)
    try:
        async with durable(disk, {**APPENDONLY, "appendfsync": "always"}) as broker:
            disk.heal()
            assert await (await broker.client()).call("SET k v") == b"+OK\r\n"
        for image in disk.crash_images():
            assert await loaded(image) == {b"k": b"v"}
    except* StartError:
        disk.heal()
        for image in [*disk.crash_images(limit=20), disk]:
            assert await loaded(image) == {}


# Every prefix, and flipped bits


def state_after(made: Sample, cut: int) -> dict[tuple[int, bytes], object]:
    """The keys after all units that end before a cut, executed by a client."""
    broker = make_broker()
    session = make_session(broker)
    for end, command in made.commands:
        if end <= made.before(cut):
            run(session, command)
    return keys_of(broker)


async def keys_loaded(disk: SimulatedDisk) -> dict[tuple[int, bytes], object]:
    async with durable(disk, APPENDONLY) as broker:
        return keys_of(broker.broker)


async def test_a_prefix_loads_the_units_that_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # A consumer is seen when it is made, which is not in the file.
    monkeypatch.setattr(time, "time_ns", lambda: 1_750_000_000_000_000_000)
    made = sample()
    states = {end: state_after(made, end) for end in made.ends}
    # Around the end of each unit, and every 31st byte; the reader's test cuts at all of them.
    near = {end + step for end in made.ends for step in (-1, 0, 1)} | {*range(0, len(made.data), 31)}
    for cut in sorted(near & {*range(len(made.data) + 1)}):
        disk = folder(None, made.data[:cut])
        assert await keys_loaded(disk) == states[made.before(cut)], cut
        assert disk.files()[INCREMENT] == made.data[: made.before(cut)]


async def test_a_flipped_bit_anywhere_is_refused() -> None:
    made = sample()
    chance = random.Random(4)
    # That each bit is found is the reader's test; this is about what recovery does then.
    for _ in range(100):
        at = chance.randrange(len(made.data))
        data = bytearray(made.data)
        data[at] ^= 1 << chance.randrange(8)
        assert "appendonly.aof.1.incr.aof: " in await refused(folder(None, bytes(data))), (at, data[at])


async def test_a_flipped_bit_anywhere_in_a_base_or_a_manifest_is_refused() -> None:
    """In the name of a manifest's checksum one may also make another pair of it."""
    whole = folder(rdb("SET a 1", "RPUSH l a b c", "HSET h f v", "XADD s 1-1 f v", aof_base=True), aof("SET b 1"))
    whole = SimulatedDisk({**whole.files(), MANIFEST: parse(whole.files()[MANIFEST]).sealed()})
    wanted = await keys_loaded(SimulatedDisk(whole.files()))
    chance = random.Random(5)
    # Fewer in the base: the loader's own test flips bits of RDB files everywhere.
    for path, count in ((BASE, 40), (MANIFEST, 150)):
        for _ in range(count):
            data = bytearray(whole.files()[path])
            at = chance.randrange(len(data))
            data[at] ^= 1 << chance.randrange(8)
            found = None
            try:
                found = await keys_loaded(SimulatedDisk({**whole.files(), path: bytes(data)}))
            except* StartError:
                pass
            assert found is None or (path == MANIFEST and found == wanted), (path, at, bytes(data))
