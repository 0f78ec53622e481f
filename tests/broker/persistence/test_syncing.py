"""The thread that syncs files: that it tells of the end, of failures, and leaves nothing behind."""

import errno
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from broker.persistence import syncing
from broker.persistence.files import Disk, Output
from protocol.native import IN_USE
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.twins import pure_module


@pytest.fixture(params=["pure", "compiled"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "pure":
        return pure_module("broker.persistence.syncing")
    if not IN_USE["broker.persistence._syncing"]:
        pytest.skip("the compiled twin is not in use")
    return syncing


@pytest.fixture
def thread(module: ModuleType) -> Iterator[syncing.SyncThread]:
    thread = module.SyncThread()
    yield thread
    thread.close()


def ended(thread: syncing.SyncThread) -> bool:
    """Wait for the end of the sync that is running."""
    assert select.select([thread.fileno()], [], [], 10)[0]
    return thread.ended()


def test_it_tells_when_a_sync_has_ended(thread: syncing.SyncThread, tmp_path: Path) -> None:
    file = Disk().create(str(tmp_path / "file"))
    assert not thread.ended()
    for _ in range(3):
        file.write(b"x")
        thread.start(file)
        assert ended(thread)
        assert not thread.ended()
    file.close()


def test_a_file_without_a_descriptor_is_synced_in_its_own_way(thread: syncing.SyncThread, tmp_path: Path) -> None:
    disk = SimulatedDisk()
    simulated, real = disk.create("file"), Disk().create(str(tmp_path / "file"))
    for file in (simulated, real, simulated):
        thread.start(file)
        assert ended(thread)
    assert disk.calls.count("sync") == 2
    disk.fail(0, errno.ENOSPC)
    thread.start(simulated)
    with pytest.raises(OSError, match="No space left") as caught:
        ended(thread)
    assert caught.value.errno == errno.ENOSPC
    real.close()


def test_it_tells_why_a_sync_has_failed_and_goes_on(thread: syncing.SyncThread, tmp_path: Path) -> None:
    receiving, sending = os.pipe()  # which no system syncs
    thread.start(Output(sending))
    with pytest.raises(OSError) as caught:
        ended(thread)
    assert caught.value.errno == errno.EINVAL
    os.close(receiving)
    os.close(sending)
    file = Disk().create(str(tmp_path / "file"))
    thread.start(file)
    assert ended(thread)
    file.close()


class Slow(Output):
    """A file whose sync waits until it may end."""

    descriptor = -1

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.begun = threading.Event()
        self.problem: OSError | None = None

    def sync(self) -> None:
        self.begun.set()
        assert self.may_end.wait(60)
        if self.problem is not None:
            raise self.problem


@pytest.mark.parametrize("problem", [None, OSError(errno.EIO, "broken")])
def test_closing_waits_for_the_sync_that_is_running(module: ModuleType, problem: OSError | None) -> None:
    thread = module.SyncThread()
    file = Slow()
    file.problem = problem
    thread.start(file)
    assert file.begun.wait(60)
    assert not thread.ended()
    threading.Timer(0.05, file.may_end.set).start()
    if problem is None:
        thread.close()
    else:
        with pytest.raises(OSError, match="Input/output"):
            thread.close()
    assert file.may_end.is_set()
    assert all(other.name != syncing.NAME for other in threading.enumerate())


def test_waiting_for_the_sync_that_is_running(thread: syncing.SyncThread) -> None:
    for problem in (None, OSError(errno.EIO, "broken"), None):
        file = Slow()
        file.problem = problem
        thread.start(file)
        assert file.begun.wait(60)
        threading.Timer(0.05, file.may_end.set).start()
        if problem is None:
            thread.wait()
        else:
            with pytest.raises(OSError, match="Input/output"):
                thread.wait()
        assert file.may_end.is_set()
        assert not thread.ended()


def test_closing_leaves_no_descriptor(module: ModuleType) -> None:
    before = os.listdir("/dev/fd")
    module.SyncThread().close()
    assert os.listdir("/dev/fd") == before


def test_where_no_thread_can_be_had_nothing_is_left(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    before = os.listdir("/dev/fd")
    with pytest.raises(OSError, match="can't start new thread"):
        module.SyncThread()
    assert os.listdir("/dev/fd") == before
