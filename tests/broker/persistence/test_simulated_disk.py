"""The simulated disk: what it forgets, what it may keep, and how it fails."""

import errno

import pytest

from broker.persistence.files import read_all, write_all
from tests.broker.persistence.simulated_disk import SHORT, SimulatedDisk


def states(disk: SimulatedDisk, limit: int = 1000, seed: int = 0) -> set[frozenset[tuple[str, bytes]]]:
    return {frozenset(image.files().items()) for image in disk.crash_images(limit, seed)}


def state(**files: bytes) -> frozenset[tuple[str, bytes]]:
    return frozenset(files.items())


def test_unsynced_data_is_dropped_kept_or_cut() -> None:
    disk = SimulatedDisk({"a": b"sure"})
    output = disk.append("a")
    output.write(b"12")
    output.write(b"3")
    assert states(disk) == {state(a=content) for content in (b"sure", b"sure1", b"sure12", b"sure123")}
    output.sync()
    assert states(disk) == {state(a=b"sure123")}


def test_a_write_is_cut_at_any_byte() -> None:
    disk = SimulatedDisk({"a": b""})
    disk.append("a").write(b"0123456789")
    found = set().union(*(states(disk, seed=seed) for seed in range(200)))
    assert found == {state(a=b"0123456789"[:size]) for size in range(11)}


def test_unsynced_names_come_in_any_combination() -> None:
    disk = SimulatedDisk({"old": b"o"})
    disk.create("new").close()
    disk.remove("old")
    assert states(disk) == {state(), state(old=b"o"), state(new=b""), state(old=b"o", new=b"")}
    disk.sync_folder("")
    assert states(disk) == {state(new=b"")}


def test_a_rename_without_syncs_may_leave_an_empty_file() -> None:
    disk = SimulatedDisk({"a": b"old"})
    output = disk.create("b")
    output.write(b"n")
    disk.rename("b", "a")
    assert states(disk) == {
        state(a=b"old"), state(a=b"old", b=b""), state(a=b"old", b=b"n"), state(a=b""), state(a=b"n"),
    }  # fmt: skip
    output.sync()
    assert states(disk) == {state(a=b"old"), state(a=b"old", b=b"n"), state(a=b"n")}
    disk.sync_folder(".")
    assert states(disk) == {state(a=b"n")}


def test_names_of_another_folder_stay_unsure() -> None:
    disk = SimulatedDisk({"f/a": b"1"})
    disk.rename("f/a", "b")
    disk.sync_folder("f")
    assert states(disk) == {frozenset({("f/a", b"1")}), state(b=b"1")}
    disk.sync_folder("")
    assert states(disk) == {state(b=b"1")}


def test_a_new_folder_is_unsure_with_all_that_is_in_it() -> None:
    disk = SimulatedDisk()
    disk.make_folder("f")
    output = disk.create("f/a")
    output.write(b"1")
    output.sync()
    disk.sync_folder("f")
    assert states(disk) == {state(), frozenset({("f/a", b"1")})}
    assert [image.is_folder("f") for image in disk.crash_images()] == [False, True]
    disk.sync_folder("")
    assert states(disk) == {frozenset({("f/a", b"1")})}


def test_a_removed_file_comes_back_with_its_data() -> None:
    disk = SimulatedDisk({"a": b"1"})
    disk.remove("a")
    disk.create("a").write(b"2")
    assert states(disk) == {state(), state(a=b"1"), state(a=b""), state(a=b"2")}


def test_a_link_is_sure_once_its_folder_was_synced() -> None:
    disk = SimulatedDisk({"a": b"1"})
    disk.link("a", "b")
    assert states(disk) == {state(a=b"1"), state(a=b"1", b=b"1")}
    disk.sync_folder(".")
    disk.remove("a")
    disk.sync_folder(".")
    assert states(disk) == {state(b=b"1")}


def test_an_emptied_file_may_be_as_it_was() -> None:
    disk = SimulatedDisk({"a": b"old"})
    disk.create("a").write(b"n")
    assert states(disk) == {state(a=b"old"), state(a=b""), state(a=b"n")}


def test_a_cut_and_a_copy_are_sure() -> None:
    disk = SimulatedDisk({"a": b"0123", "b": b"x"})
    disk.truncate("a", 2)
    disk.copy("a", "b")
    assert states(disk) == {state(a=b"01", b=b"01")}


def test_after_a_failed_sync_nothing_is_sure_any_more() -> None:
    disk = SimulatedDisk({"a": b""})
    output = disk.append("a")
    output.write(b"1")
    disk.fail(0, errno.EIO)
    with pytest.raises(OSError):
        output.sync()
    output.sync()
    assert states(disk) == {state(a=b""), state(a=b"1")}


def test_many_states_are_drawn_by_a_seed() -> None:
    disk = SimulatedDisk()
    for number in range(20):
        disk.create(f"f{number}").write(b"some data")
    found = states(disk, limit=50)
    assert 40 <= len(found) <= 50
    assert found == states(disk, limit=50) != states(disk, limit=50, seed=1)
    assert state() in found
    assert frozenset(disk.files().items()) in found


def test_an_image_is_a_disk_to_start_from() -> None:
    disk = SimulatedDisk({"a": b"1"})
    disk.append("a").write(b"2")
    lock = disk.lock("a")
    assert lock is not None
    last = list(disk.crash_images())[-1]
    assert read_all(last, "a") == b"12"
    assert last.calls == ["open_source", "read", "read"]
    assert last.lock("a") is not None
    last.remove("a")
    assert disk.files() == {"a": b"12"}


def test_the_call_that_shall_fail_fails() -> None:
    disk = SimulatedDisk()
    disk.fail(2, errno.EIO)
    output = disk.create("a")
    output.write(b"1")
    with pytest.raises(OSError) as raised:
        output.write(b"2")
    assert raised.value.errno == errno.EIO
    output.write(b"3")
    assert disk.calls == ["create", "write", "write", "write"]
    assert disk.files() == {"a": b"13"}
    disk.fail(0, errno.ENOSPC, times=2)
    for _ in range(2):
        with pytest.raises(OSError):
            disk.names("")
    disk.fail(0, errno.ENOSPC)
    disk.heal()
    assert disk.names("") == ["a"]


def test_a_short_write() -> None:
    disk = SimulatedDisk()
    output = disk.create("a")
    disk.fail(0, SHORT)
    assert output.write(b"0123456789") == 5
    disk.fail(0, SHORT, times=3)
    write_all(output, b"abc")
    assert disk.files() == {"a": b"01234abc"}


def test_a_full_disk() -> None:
    disk = SimulatedDisk({"a": b"12345"}, capacity=8)
    output = disk.append("a")
    assert output.write(b"67890") == 3
    with pytest.raises(OSError) as raised:
        output.write(b"90")
    assert raised.value.errno == errno.ENOSPC
    disk.truncate("a", 2)
    assert output.write(b"34") == 2
    disk.heal()
    assert output.write(bytes(100)) == 100


def test_open_files_are_counted() -> None:
    disk = SimulatedDisk({"a": b"1"})
    output, source, lock = disk.create("b"), disk.open_source("a"), disk.lock("l")
    assert lock is not None and disk.open_files == 3
    output.close()
    source.close()
    lock.release()
    assert disk.open_files == 0
