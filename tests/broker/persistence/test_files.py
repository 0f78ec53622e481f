"""The disk: the real one and the simulated one alike, and the functions that stand on it."""

import errno
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.persistence.files import (
    Bytes,
    Disk,
    Lock,
    Output,
    Source,
    Write,
    read_all,
    replace,
    temporary_path,
    write_all,
)
from tests.broker.persistence import simulated_disk
from tests.broker.persistence.simulated_disk import SHORT, SimulatedDisk


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.chdir(tmp_path)
    return Disk() if request.param == "real" else SimulatedDisk()


def put(disk: Disk, path: str, content: bytes) -> None:
    output = disk.create(path)
    write_all(output, content)
    output.sync()
    output.close()


def test_what_is_written_is_read(disk: Disk) -> None:
    put(disk, "a", b"0123456789")
    source = disk.open_source("a")
    assert source.size == 10
    assert (source.read(4), source.read(100), source.read(100)) == (b"0123", b"456789", b"")
    source.close()
    assert read_all(disk, "a") == b"0123456789"
    assert disk.size("a") == 10


def test_create_empties_and_append_goes_on(disk: Disk) -> None:
    put(disk, "a", b"old content")
    put(disk, "a", b"new")
    assert read_all(disk, "a") == b"new"
    for part in (b" and", bytearray(b" more"), memoryview(b" of it")):
        output = disk.append("a")
        assert output.write(part) == len(part)
        output.close()
    assert read_all(disk, "a") == b"new and more of it"
    disk.append("b").close()
    assert disk.size("b") == 0


def test_an_appended_file_goes_on_where_it_was_cut(disk: Disk) -> None:
    output = disk.append("a")
    output.write(b"whole torn")
    disk.truncate("a", 6)
    output.write(b"whole too")
    output.close()
    assert read_all(disk, "a") == b"whole whole too"


def test_names_change(disk: Disk) -> None:
    put(disk, "a", b"1")
    put(disk, "b", b"2")
    disk.rename("a", "b")
    assert read_all(disk, "b") == b"1"
    disk.copy("b", "c")
    disk.remove("b")
    assert disk.names("") == ["c"]
    assert disk.size("b") is None
    assert read_all(disk, "c") == b"1"
    disk.sync_folder("")


def test_folders(disk: Disk) -> None:
    assert not disk.is_folder("f")
    disk.make_folder("f")
    disk.make_folder("f")
    assert disk.is_folder("f") and disk.is_folder("")
    put(disk, "f/a", b"1")
    assert disk.names("f") == ["a"]
    disk.sync_folder("f")
    disk.rename("f/a", "a")
    assert sorted(disk.names(".")) == ["a", "f"]
    assert disk.size("a/b") is None
    assert not disk.is_folder("a")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda disk: disk.open_source("none"), FileNotFoundError),
        (lambda disk: disk.create("none/a"), FileNotFoundError),
        (lambda disk: disk.append("none/a"), FileNotFoundError),
        (lambda disk: disk.truncate("none", 0), FileNotFoundError),
        (lambda disk: disk.rename("none", "a"), FileNotFoundError),
        (lambda disk: disk.remove("none"), FileNotFoundError),
        (lambda disk: disk.copy("none", "a"), FileNotFoundError),
        (lambda disk: disk.names("none"), FileNotFoundError),
        (lambda disk: disk.names("file"), NotADirectoryError),
        (lambda disk: disk.sync_folder("none"), FileNotFoundError),
        (lambda disk: disk.sync_folder("file"), NotADirectoryError),
        (lambda disk: disk.make_folder("file"), FileExistsError),
        (lambda disk: disk.make_folder("none/a"), FileNotFoundError),
        (lambda disk: disk.create("folder"), IsADirectoryError),
        (lambda disk: disk.rename("file", "folder"), IsADirectoryError),
        (lambda disk: disk.lock("none/a"), FileNotFoundError),
    ],
)
def test_what_can_not_be_done_raises(disk: Disk, call: Callable[[Disk], object], error: type[OSError]) -> None:
    put(disk, "file", b"1")
    disk.make_folder("folder")
    with pytest.raises(error):
        call(disk)
    assert read_all(disk, "file") == b"1"


def test_a_lock_is_held_once(disk: Disk) -> None:
    lock = disk.lock("lock")
    assert lock is not None
    assert disk.lock("lock") is None
    lock.release()
    again = disk.lock("lock")
    assert again is not None
    again.release()


def test_a_child_neither_inherits_a_lock_nor_releases_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    lock = Disk().lock(path)
    assert lock is not None
    ask = f"from broker.persistence.files import Disk; print(Disk().lock({path!r}) is None)"
    # The first shows that another process is refused, the second that the first one's end changed nothing.
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
        assert done.stdout == "True\n"
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert Disk().lock(path) is None
    lock.release()


def test_a_copy_may_replace_a_longer_file(disk: Disk) -> None:
    put(disk, "a", b"short")
    put(disk, "b", b"much longer")
    disk.copy("a", "b")
    assert read_all(disk, "b") == b"short"


def test_a_link_is_another_name_of_the_same_file(disk: Disk) -> None:
    put(disk, "a", b"1")
    assert disk.link_count("a") == 1
    disk.link("a", "b")
    assert disk.link_count("a") == disk.link_count("b") == 2
    output = disk.append("a")
    output.write(b"2")
    output.close()
    disk.remove("a")
    assert read_all(disk, "b") == b"12" and disk.link_count("b") == 1
    put(disk, "c", b"3")
    with pytest.raises(FileExistsError):
        disk.link("b", "c")
    with pytest.raises(FileNotFoundError):
        disk.link("a", "d")


class Stubborn(Output):
    """Takes `size` bytes of what it is given."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.content = b""

    def write(self, data: Bytes) -> int:
        self.content += bytes(data[: self.size])
        return min(self.size, len(data))


@pytest.mark.parametrize("data", [b"0123456789", bytearray(b"0123456789"), memoryview(b"0123456789"), b""])
def test_write_all_goes_on_after_a_short_write(data: Bytes) -> None:
    output = Stubborn(3)
    write_all(output, data)
    assert output.content == bytes(data)


def test_write_all_does_not_try_for_ever() -> None:
    with pytest.raises(OSError, match="takes no more bytes"):
        write_all(Stubborn(0), b"x")


def in_parts(content: bytes) -> Callable[[Write], None]:
    def write_to(write: Write) -> None:
        for at in range(0, len(content), 4):
            write(content[at : at + 4])

    return write_to


def test_replace(disk: Disk) -> None:
    replace(disk, "a", b"first")
    replace(disk, "a", in_parts(b"the second one"), temporary="elsewhere", sync_every=5)
    assert read_all(disk, "a") == b"the second one"
    assert disk.names("") == ["a"]


def test_a_temporary_file_stands_beside_its_file() -> None:
    assert temporary_path("a") == "temp-a"
    assert temporary_path("/x/y/a.rdb") == "/x/y/temp-a.rdb"


@pytest.mark.parametrize("content", [b"the new content", in_parts(b"the new content")])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, SHORT])
def test_each_failure_of_replace_leaves_the_old_file_or_the_new_one(
    content: bytes | Callable[[Write], None], error: int
) -> None:
    for call in range(50):
        disk = SimulatedDisk({"f/a": b"old"})
        disk.fail(call, error)
        try:
            replace(disk, "f/a", content, sync_every=8)
        except OSError as raised:
            assert raised.errno == error
            # Only after the rename, when the folder is synced, is it the new one.
            assert disk.files() == {"f/a": b"the new content" if disk.calls[-1] == "sync_folder" else b"old"}
            whole = False
        else:
            assert disk.files() == {"f/a": b"the new content"}
            whole = True
        assert disk.open_files == 0
        for image in disk.crash_images():
            left = image.files()["f/a"]
            assert left == b"the new content" or (left == b"old" and not whole)
        if whole and error != SHORT:
            return
    assert error == SHORT


def test_a_content_that_fails_leaves_the_old_file(disk: Disk) -> None:
    def fails(write: Write) -> None:
        write(b"some")
        raise ValueError("no more")

    replace(disk, "a", b"old")
    with pytest.raises(ValueError, match="no more"):
        replace(disk, "a", fails)
    assert read_all(disk, "a") == b"old"
    assert disk.names("") == ["a"]


@pytest.mark.parametrize(
    ("real", "simulated"),
    [
        (Disk, SimulatedDisk),
        (Source, simulated_disk._Source),
        (Output, simulated_disk._Output),
        (Lock, simulated_disk._Lock),
    ],
)
def test_the_simulated_disk_replaces_every_call(real: type, simulated: type) -> None:
    public = [name for name, _ in inspect.getmembers(real) if not name.startswith("_")]
    assert public and all(name in vars(simulated) for name in public)
