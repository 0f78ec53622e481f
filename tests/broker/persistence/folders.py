"""Append-only folders and dumps made by hand, and starts from them that must succeed or be refused."""

from collections.abc import Sequence

import pytest

from broker.network.listeners import StartError
from protocol.replies import bulks
from tests.broker.persistence.durable import APPENDONLY, MANIFEST, contents, durable
from tests.broker.persistence.files_made import saved
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.sessions import make_broker, make_session, run

BASE = "appendonlydir/appendonly.aof.1.base.rdb"


def aof(*commands: str) -> bytes:
    """Commands without any checksum, as redis-server writes them."""
    return b"".join(bulks([word.encode() for word in command.split()]) for command in commands)


def rdb(*commands: str, functions: Sequence[bytes] = (), **more: bool) -> bytes:
    """An RDB file of what commands make."""
    broker = make_broker()
    session = make_session(broker)
    for command in commands:
        assert run(session, command)[:1] != b"-"
    return saved(broker, functions, **more)


def folder(base: bytes | None = None, *increments: bytes, history: bytes | None = None) -> SimulatedDisk:
    """A disk with an append-only folder."""
    files: dict[str, bytes] = {}
    lines = ""
    if base is not None:
        files[BASE] = base
        lines += "file appendonly.aof.1.base.rdb seq 1 type b\n"
    if history is not None:
        files["appendonlydir/appendonly.aof.0.incr.aof"] = history
        lines += "file appendonly.aof.0.incr.aof seq 9 type h\n"
    for number, data in enumerate(increments, 1):
        files[f"appendonlydir/appendonly.aof.{number}.incr.aof"] = data
        lines += f"file appendonly.aof.{number}.incr.aof seq {number} type i\n"
    return SimulatedDisk({**files, MANIFEST: lines.encode()})


def _but_locks(disk: SimulatedDisk) -> dict[str, bytes]:
    return {path: data for path, data in disk.files().items() if not path.endswith(".lock")}


async def refused(disk: SimulatedDisk, **directives: str) -> str:
    """Why a start is refused. Nothing on the disk but a lock file may have changed, nor anything be left open."""
    before = _but_locks(disk)
    text = ""
    try:
        async with durable(disk, {**APPENDONLY, **directives}):
            pytest.fail("it has started")
    except* StartError as problems:
        text = str(problems.exceptions[0])
    assert _but_locks(disk) == before
    assert not disk.open_files
    return text


async def loaded(disk: SimulatedDisk, **directives: str) -> dict[bytes, object]:
    return await contents(disk, {**APPENDONLY, **directives})
