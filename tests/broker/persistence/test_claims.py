"""Claims: one broker's files are written by no other."""

import pytest

from broker.config import Config
from broker.persistence.claims import LOCK_SUFFIX, Claims, FilesInUse, UnusableFolder
from tests.broker.persistence.simulated_disk import SimulatedDisk


def claims(disk: SimulatedDisk, **directives: str) -> Claims:
    config = Config()
    config.dir = "/"
    for name, value in directives.items():
        setattr(config, name, value)
    return Claims(config, disk)


def test_what_one_broker_has_claimed_no_other_gets_until_it_is_released() -> None:
    disk = SimulatedDisk()
    first, second = claims(disk), claims(disk)
    first.append_only()
    first.append_only()
    with pytest.raises(
        FilesInUse, match=r"keeps its append-only file in /appendonlydir: this one needs another dir or appenddirname$"
    ):
        second.append_only()
    second.snapshots()
    with pytest.raises(
        FilesInUse, match=r"keeps its RDB file at /dump\.rdb: this one needs another dir or dbfilename$"
    ):
        first.snapshots()
    first.release()
    second.append_only()


def test_what_was_named_before_stays_claimed() -> None:
    disk = SimulatedDisk()
    config = Config()
    config.dir = "/"
    mine = Claims(config, disk)
    mine.snapshots()
    config.dbfilename = "other.rdb"
    mine.snapshots()
    for name in ("dump.rdb", "other.rdb"):
        with pytest.raises(FilesInUse):
            claims(disk, dbfilename=name).snapshots()
        assert disk.lock("/" + name + LOCK_SUFFIX) is None
    mine.release()
    claims(disk).snapshots()


def test_a_folder_that_takes_no_files_is_named() -> None:
    class ReadOnly(SimulatedDisk):
        def lock(self, path: str) -> None:
            raise OSError(30, "Read-only file system", path)

    with pytest.raises(UnusableFolder, match=r"^can't keep files in the folder /: Read-only file system$"):
        claims(ReadOnly()).append_only()
