"""Starts on a folder whose manifest has lost something: all the data is there, or the start is refused.

A start that is refused changes nothing.
"""

import itertools
from collections.abc import Iterator

import pytest

from broker.formats.aof.manifest import parse
from broker.network.listeners import StartError
from tests.broker.persistence.durable import APPENDONLY, MANIFEST, contents, durable
from tests.broker.persistence.folders import BASE, aof, rdb, refused
from tests.broker.persistence.simulated_disk import SimulatedDisk

FILES = {
    "appendonlydir/appendonly.aof.2.base.rdb": rdb("SET base 1", aof_base=True),
    BASE: rdb("SET superfluous 1", aof_base=True),
    "appendonlydir/appendonly.aof.2.incr.aof": aof("SET superfluous 2"),
    "appendonlydir/appendonly.aof.3.incr.aof": aof("SET three 1"),
    "appendonlydir/appendonly.aof.4.incr.aof": aof("SET four 1"),
}
PLAIN = b"""file appendonly.aof.2.base.rdb seq 2 type b
file appendonly.aof.2.incr.aof seq 2 type h
file appendonly.aof.1.base.rdb seq 1 type h
file appendonly.aof.3.incr.aof seq 3 type i
file appendonly.aof.4.incr.aof seq 4 type i
"""
"""As redis-server writes it while a rewrite removes what is superfluous."""

WANTED = {b"base": b"1", b"three": b"1", b"four": b"1"}


def disk_with(manifest: bytes | None) -> SimulatedDisk:
    return SimulatedDisk(FILES if manifest is None else {**FILES, MANIFEST: manifest})


def damaged(text: bytes) -> Iterator[bytes]:
    """Cut around line ends and at every fifth byte, and with each line dropped, doubled or in another's place."""
    lines = text.splitlines(keepends=True)
    ends = itertools.accumulate(map(len, lines))
    for cut in sorted({end + step for end in ends for step in (-2, -1, 0, 1)} | {*range(0, len(text), 5)}):
        if cut < len(text):
            yield text[:cut]
    for at in range(len(lines)):
        yield b"".join(lines[:at] + lines[at + 1 :])
        yield b"".join([*lines[: at + 1], *lines[at:]])
        for other in range(at):
            swapped = lines.copy()
            swapped[at], swapped[other] = lines[other], lines[at]
            yield b"".join(swapped)


@pytest.mark.parametrize("text", [PLAIN, parse(PLAIN).sealed()], ids=["redis", "sealed"])
async def test_a_damaged_manifest_loses_nothing(text: bytes) -> None:
    assert await contents(disk_with(text), APPENDONLY) == WANTED
    starts = 0
    for manifest in damaged(text):
        try:
            assert await contents(disk_with(manifest), APPENDONLY) == WANTED, manifest
            starts += 1
        except* StartError:
            disk = disk_with(manifest)
            assert (await refused(disk)).startswith("/appendonlydir/appendonly.aof.manifest: ")
    # Without a checksum: an order that makes no difference, the line of an old base lost.
    assert starts == (0 if b"crc" in text else 7)


async def test_the_refusal_names_the_files() -> None:
    first_line = PLAIN.splitlines(keepends=True)[0]
    assert await refused(disk_with(first_line)) == (
        "/appendonlydir/appendonly.aof.manifest: it doesn't name appendonly.aof.2.incr.aof (38 bytes),"
        " appendonly.aof.3.incr.aof (31 bytes), appendonly.aof.4.incr.aof (30 bytes). Put the manifest right that"
        " belongs to these files, or move away what is superfluous"
    )
    assert "it doesn't name appendonly.aof.2.base.rdb (" in await refused(disk_with(PLAIN.partition(b"\n")[2]))
    text = await refused(disk_with(None))
    assert "there is no such file, and nothing else names appendonly.aof.1.base.rdb" in text


async def test_one_that_is_switched_on_at_run_time_replaces_nothing_either() -> None:
    disk = disk_with(None)
    async with durable(disk, {"save": ""}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert b"Unable to turn on AOF" in await client.call("CONFIG SET appendonly yes")
    assert {path: data for path, data in disk.files().items() if path in FILES} == FILES
    assert MANIFEST not in disk.files()


async def test_an_older_manifest_put_back_is_refused() -> None:
    disk = SimulatedDisk()
    async with durable(disk, APPENDONLY) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        old = disk.files()
        await client.call("BGREWRITEAOF")
        while broker.broker.persistence.rewrites.running:
            await client.call("PING")
        await client.call("SET b 1")
    assert "appendonly.aof.2.incr.aof (" in await refused(SimulatedDisk({**disk.files(), **old}))


async def test_an_empty_increment_that_nothing_names_is_what_a_rewrite_has_left() -> None:
    """It was made, and the crash came before the manifest named it."""
    files = {**FILES, MANIFEST: PLAIN, "appendonlydir/appendonly.aof.5.incr.aof": b""}
    disk = SimulatedDisk(files)
    assert await contents(disk, APPENDONLY) == WANTED
    assert "appendonlydir/appendonly.aof.5.incr.aof" not in disk.files()


async def test_a_base_that_nothing_names_keeps_its_content() -> None:
    """What an unfinished rewrite of redis-server leaves."""
    left = "appendonlydir/appendonly.aof.3.base.rdb"
    disk = SimulatedDisk({**FILES, MANIFEST: PLAIN, left: b"whatever"})
    async with durable(disk, APPENDONLY) as broker:
        client = await broker.client()
        await client.call("BGREWRITEAOF")
        while broker.broker.persistence.rewrites.running:
            await client.call("PING")
    assert disk.files()[left] == b"whatever"
    assert b"appendonly.aof.4.base.rdb" in disk.files()[MANIFEST]
    assert await contents(disk, APPENDONLY) == WANTED


async def test_each_moment_of_switching_on_leaves_a_folder_that_starts() -> None:
    """From nothing: before the manifest counts, the start is that of a new folder, and nothing lies about."""
    disk = SimulatedDisk()
    images: list[SimulatedDisk] = []
    original = disk.call

    def call(name: str) -> bool:
        images.extend(disk.crash_images(limit=20, seed=len(images)))
        return original(name)

    async with durable(disk, {"save": "", "appendfsync": "always"}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        disk.call = call  # type: ignore[method-assign]
        await client.call("CONFIG SET appendonly yes")
        while broker.broker.persistence.rewrites.running:
            await client.call("PING")
        del disk.call
        images += disk.crash_images()
    states = []
    for image in images:
        states.append(await contents(image, APPENDONLY))
        names = set(image.files()) - {path for path in image.files() if not path.startswith("appendonlydir/")}
        manifest = parse(image.files()[MANIFEST])
        named = {f"appendonlydir/{entry.name}" for entry in manifest.files()}
        assert names == {MANIFEST, *named} and not manifest.history
    assert all(state in ({}, {b"k": b"v"}) for state in states)
    assert states[0] == {} and states[-1] == {b"k": b"v"}
