"""BACKUP beside the reference: replies, states, files, and what other commands do to a backup and it to them.

Where tests share a server of each kind, each finds them without data and without a backup: but for the numbers of
their files, as good as new.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.oracle import servers
from tests.oracle.background import until
from tests.oracle.harness import requires
from tests.oracle.test_append_only_folders import commands_for, digests
from tests.oracle.test_dump import fill
from tests.oracle.two_servers import One, Two, end_children, forked, quiet

pytestmark = requires("8.10")

SLOWLY = "CONFIG SET rdb-key-save-delay 400000"
"""Makes a child take over a second for the three keys that the servers begin with."""

NEVER = "CONFIG SET rdb-key-save-delay 10000000"
"""Makes a child take longer than any test."""


Start = Callable[..., Two]


@pytest.fixture(scope="module")
def shared() -> Iterator[list[Two]]:
    """The servers that tests with an append-only file share: one pair, once there is one."""
    kept: list[Two] = []
    yield kept
    for found in kept:
        found.stop()


@pytest.fixture
def two(
    shared: list[Two], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Start]:
    """Gives both servers with three keys. The test has them for itself where it asks for `fresh` ones or for options,
    and without an append-only file: then servers number their files each in its own way once there have been some."""
    own: list[Two] = []
    failed = request.session.testsfailed

    def start(appendonly: str, *options: str, fresh: bool = False) -> Two:
        directives = ["--appendonly", appendonly, *options]
        if fresh or options or appendonly == "no":
            found = Two(tmp_path, directives)
            own.append(found)
        elif shared:
            (found,) = shared
            found.empty()
        else:
            found = Two(tmp_path_factory.mktemp("shared"), directives)
            shared.append(found)
        found.do("SET a 1", "RPUSH b 1 2", "SET c 3")
        return found

    yield start
    # After a failure they may be in any state; what a save or rewrite that is ended leaves is up to each server.
    if request.session.testsfailed > failed or any(one.children() for p in shared for one in p.both):
        own += shared
        shared.clear()
    for found in own:
        found.stop()


either = pytest.mark.parametrize("appendonly", ["yes", "no"])


@either
def test_a_backup_from_start_to_end(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do("BACKUP", "BACKUP WHATEVER", "BACKUP START x", "BACKUP SEAL", "BACKUP ABORT", "BACKUP CLEANUP")
    p.compare()
    p.start_backup()
    p.compare()
    p.do("SET d 4", "BACKUP START", "BACKUP CLEANUP", "BGREWRITEAOF", "BGREWRITEAOF")
    p.compare()
    p.do("BACKUP SEAL", "SET e 5")
    p.do("BACKUP STATUS", "BACKUP LIST", "BACKUP START", "BACKUP SEAL", "BACKUP ABORT")
    p.each(One.backup_files)
    quiet(p)
    p.compare()
    p.do("BACKUP CLEANUP")
    p.compare()
    p.start_backup()
    p.do("BACKUP ABORT")
    p.compare()
    p.start_backup()
    p.do("BACKUP SEAL")
    p.compare()


@either
def test_files_of_a_sealed_backup_never_change(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.start_backup()
    p.do("SET d 4", "BACKUP SEAL")

    def contents(one: One) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (one.folder / "backupdir").iterdir()}

    before = [contents(one) for one in p.both]
    p.do("SET e 5", "FLUSHALL", "SET f 6")
    for one in p.both:
        assert one.connection.call("BGREWRITEAOF").startswith(b"+")
        until(one.connection, "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0")
    p.do("CONFIG SET appendonly no", "SET g 7", "BACKUP STATUS")
    assert [contents(one) for one in p.both] == before


def test_the_live_folder_is_as_it_was_without_an_append_only_file(two: Start) -> None:
    p = two("no")
    p.start_backup()
    p.each(lambda one: sorted(os.listdir(one.folder / "appendonlydir")))
    p.do("BACKUP SEAL")
    p.each(lambda one: os.listdir(one.folder / "appendonlydir"))


@either
def test_while_another_child_runs_it_is_pending(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do(NEVER, "BGSAVE", "BACKUP START")
    p.compare()
    p.do("BACKUP SEAL", "BACKUP CLEANUP", "BACKUP START", "BGREWRITEAOF")
    p.compare()
    p.do("CONFIG SET rdb-key-save-delay 0")
    end_children(p)
    p.wait("incrementing")
    p.compare()
    p.do("BACKUP SEAL")
    p.compare()


@either
def test_a_pending_one_can_be_given_up(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do(NEVER, "BGSAVE", "BACKUP START", "BACKUP ABORT")
    p.compare()
    p.do("BACKUP ABORT", "BACKUP SEAL", "BACKUP CLEANUP")
    p.compare()


def test_a_rewrite_under_way_serves_for_a_backup(two: Start) -> None:
    p = two("yes", fresh=True)
    p.do(SLOWLY, "BGREWRITEAOF", "BACKUP START")
    p.compare()
    p.do("SET d 4")
    p.wait("incrementing")
    p.compare()
    for one in p.both:
        assert b"aof_rewrites:1\r\n" in one.connection.call("INFO", "persistence")
    p.do("BACKUP SEAL")
    p.compare()


def test_a_rewrite_without_an_increment_does_not(two: Start) -> None:
    p = two("no")
    p.do(SLOWLY, "BGREWRITEAOF", "BACKUP START")
    p.compare()
    p.do("SET d 4", "CONFIG SET rdb-key-save-delay 0")
    p.wait("incrementing")
    p.compare()
    p.do("BACKUP ABORT")
    p.compare()
    # Files that were there before stay.
    p.each(lambda one: sorted(os.listdir(one.folder / "appendonlydir")))


@either
def test_requests_during_the_rewrite(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do(SLOWLY, "BACKUP START")
    p.compare()
    p.do("BACKUP SEAL", "BACKUP CLEANUP", "BACKUP START", "BGREWRITEAOF", "BGSAVE", "BGSAVE SCHEDULE")
    p.compare()
    p.do("BACKUP ABORT")
    p.each(One.backup_files)
    p.do("BACKUP STATUS", "BACKUP LIST", "BACKUP ABORT")


@either
def test_a_child_that_dies(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do(NEVER, "BACKUP START")
    forked(p)
    end_children(p)
    p.wait("failed")
    p.compare()
    p.do("CONFIG SET rdb-key-save-delay 0")
    p.start_backup()
    p.do("BACKUP SEAL")
    p.compare()


@either
@pytest.mark.parametrize(
    "commands",
    [["CONFIG SET appendonly no"], ["CONFIG SET appendonly yes"], ["DEBUG RELOAD"], ["DEBUG LOADAOF"],
     ["FLUSHALL", "SET x 1"], ["SAVE"]],
    ids=lambda commands: commands[0],
)  # fmt: skip
def test_what_other_commands_do_to_it(commands: list[str], appendonly: str, two: Start) -> None:
    p = two(appendonly)
    for state in ("pending", "snapshotting", "incrementing", "sealed"):
        if (commands, state) == (["SAVE"], "pending"):
            continue  # refused while BGSAVE runs
        if state == "pending":
            p.do(NEVER, "BGSAVE")
        if state == "snapshotting":
            p.do(SLOWLY)
        p.do("BACKUP START")
        if state == "snapshotting":
            forked(p)
        if state in ("incrementing", "sealed"):
            p.wait("incrementing")
        if state == "sealed":
            p.do("BACKUP SEAL")
        p.do("CONFIG SET rdb-key-save-delay 0")
        for command in commands:
            theirs, ours = (one.call(command) for one in p.both)
            assert theirs[:1] == ours[:1], f"{command} while {state}: {theirs!r} {ours!r}"
        if state == "pending":
            end_children(p)
        # FLUSHALL ends a save, and then the backup begins when it likes.
        if p.theirs.state() in ("pending", "snapshotting"):
            p.wait("incrementing")
        p.do("BACKUP STATUS", "BACKUP LIST", "CONFIG GET appendonly")
        p.each(One.backup_files)
        p.do("SET y 1", "BACKUP SEAL", "BACKUP STATUS", "BACKUP LIST")
        p.each(One.backup_files)
        quiet(p)
        p.compare()
        p.do("BACKUP CLEANUP", f"CONFIG SET appendonly {appendonly}")
        quiet(p)


@either
def test_the_data_of_a_master_take_the_place_of_its_own(appendonly: str, two: Start, tmp_path: Path) -> None:
    p = two(appendonly, fresh=True)
    master = One(servers.find_reference()[0], tmp_path / "master", ["--repl-diskless-sync-delay", "0"])
    master.start()
    try:
        p.start_backup()
        p.do(f"REPLICAOF 127.0.0.1 {master.port}")
        p.wait("failed")
        p.compare()
    finally:
        master.stop()


def test_an_append_only_file_switched_on_meanwhile_stays(two: Start) -> None:
    p = two("no")
    p.start_backup()
    p.do("CONFIG SET appendonly no", "BACKUP STATUS", "CONFIG SET appendonly yes")
    p.compare()
    p.do("BACKUP SEAL")
    p.compare()
    p.do("SET d 4")
    for one in p.both:
        one.kill()
    for one in p.both:
        one.start()
    p.each(lambda one: len(os.listdir(one.folder / "appendonlydir")))


@either
def test_in_transactions(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do("MULTI", "BACKUP START", "BACKUP ABORT", "BACKUP CLEANUP", "BACKUP STATUS", "EXEC")
    p.do("MULTI", "SET a 2", "BACKUP START", "SET a 3", "BACKUP STATUS", "BACKUP LIST", "EXEC")
    p.wait("incrementing")
    p.do("MULTI", "SET a 4", "BACKUP SEAL", "SET a 5", "BACKUP STATUS", "BACKUP LIST", "EXEC")
    p.compare()
    # What the transaction did is not in the backup, as it wasn't finished.
    p.each(lambda one: (one.folder / p.ours.backup_files()[1].join(["backupdir/", ""])).read_bytes())
    p.do("BACKUP CLEANUP", "MULTI", "BACKUP SEAL", "BACKUP START x", "EXEC", "GET a")


def test_in_scripts(two: Start) -> None:
    p = two("no")
    for name in ("START", "SEAL", "ABORT", "CLEANUP", "STATUS", "LIST", "HELP"):
        theirs, ours = (one.connection.call("EVAL", f"return redis.call('BACKUP','{name}')[1]", "0") for one in p.both)
        assert re.sub(rb"[0-9a-f]{40}", b"", ours) == re.sub(rb"[0-9a-f]{40}", b"", theirs) or name == "HELP"
        assert ours[:1] == theirs[:1]


def test_as_a_map(two: Start) -> None:
    p = two("yes")
    for one in p.both:
        one.connection.call("HELLO", "3")
    p.do("BACKUP STATUS", "BACKUP LIST", "BACKUP START")
    for one in p.both:
        until(one.connection, "aof_rewrite_in_progress:0")
    p.do("BACKUP STATUS", "BACKUP LIST", "BACKUP SEAL", "BACKUP STATUS", "BACKUP LIST")


@pytest.mark.parametrize("state", ["idle", "sealed", "failed"])
def test_a_folder_that_is_not_empty(state: str, two: Start) -> None:
    p = two("yes")
    if state != "idle":
        p.start_backup()
        p.do("BACKUP SEAL" if state == "sealed" else "BACKUP ABORT")
    for one in p.both:
        (one.folder / "backupdir").mkdir(exist_ok=True)
        (one.folder / "backupdir" / "foreign").write_text("x")
    p.do("BACKUP START")
    p.compare()
    p.do("BACKUP CLEANUP")
    p.compare()
    for one in p.both:
        (one.folder / "backupdir" / "inner").mkdir()
    p.do("BACKUP CLEANUP", "BACKUP START")
    p.compare()


def test_a_file_in_place_of_the_folder(two: Start) -> None:
    p = two("yes")
    for one in p.both:
        (one.folder / "backupdir").write_text("x")
    p.do("BACKUP START", "BACKUP STATUS", "BACKUP CLEANUP")
    p.each(lambda one: (one.folder / "backupdir").read_text())
    for one in p.both:
        (one.folder / "backupdir").unlink()
    p.start_backup()


def test_a_link_in_place_of_the_folder(two: Start) -> None:
    p = two("no")
    for one in p.both:
        (one.folder / "backupdir").symlink_to("elsewhere")
    p.do("BACKUP START", "BACKUP STATUS", "BACKUP CLEANUP")
    for one in p.both:
        (one.folder / "elsewhere").mkdir()
    p.start_backup()
    p.do("BACKUP SEAL")
    p.compare()


def _take_folder_away(one: One) -> None:
    for path in (one.folder / "backupdir").iterdir():
        path.unlink()
    (one.folder / "backupdir").rmdir()


def _take_increment(one: One) -> None:
    (increment,) = (path for path in (one.folder / "appendonlydir").iterdir() if path.suffixes[-2] == ".incr")
    (one.folder / "backupdir" / increment.name).write_text("x")


def _take_manifest(one: One) -> None:
    (one.folder / "backupdir" / "appendonly.aof.manifest").mkdir()


@either
@pytest.mark.parametrize("obstacle", [_take_folder_away, _take_increment, _take_manifest])
def test_sealing_fails(obstacle: Callable[[One], None], appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.start_backup()
    p.each(obstacle)
    p.do("BACKUP SEAL")
    p.compare()
    p.do("SET d 4", "BACKUP SEAL", "BACKUP ABORT", "BACKUP START", "BACKUP STATUS")


@either
def test_the_base_cannot_be_linked(appendonly: str, two: Start) -> None:
    p = two(appendonly)
    p.do(SLOWLY, "BACKUP START")
    p.each(_take_folder_away)
    p.wait("failed")
    p.compare()


def test_no_append_only_file_can_be_kept(two: Start) -> None:
    p = two("no")
    for one in p.both:
        (one.folder / "appendonlydir").write_text("x")
    p.do("BACKUP START", "BACKUP STATUS", "BACKUP LIST")
    p.each(One.backup_files)


def test_growth_begins_no_rewrite_meanwhile(two: Start) -> None:
    p = two("yes", "--auto-aof-rewrite-percentage", "1", "--auto-aof-rewrite-min-size", "64")
    for one in p.both:
        until(one.connection, "aof_rewrites:1", "aof_rewrite_in_progress:0")
    p.start_backup()
    p.do(f"SET a {'x' * 10000}")
    for one in p.both:
        one.connection.call("BGSAVE")
        until(one.connection, "rdb_bgsave_in_progress:0")
    for one in p.both:
        assert b"aof_rewrites:2\r\n" in one.connection.call("INFO", "persistence")
    p.do("BACKUP SEAL")
    for one in p.both:
        until(one.connection, "aof_rewrites:3", "aof_rewrite_in_progress:0")
    p.compare()


def test_a_sealed_one_is_removed_after_its_time(two: Start) -> None:
    p = two("yes", "--backup-sealed-ttl", "1")
    p.start_backup()
    for one in p.both:
        one.connection.call("BACKUP", "SEAL")
    p.wait("idle")
    p.compare()
    p.do("CONFIG SET backup-sealed-ttl 0")
    p.start_backup()
    p.do("BACKUP SEAL")
    p.compare()
    p.do("CONFIG SET backup-sealed-ttl 1")
    p.wait("idle")
    p.compare()
    p.do("CONFIG SET backup-sealed-ttl -1", "CONFIG SET backupdirname x")
    p.do("CONFIG GET backupdirname", "CONFIG GET backup-sealed-ttl")


@either
@pytest.mark.parametrize(
    ("state", "end"),
    [("pending", One.kill), ("snapshotting", One.kill), ("incrementing", One.kill), ("sealed", One.kill),
     ("pending", One.shut_down), ("incrementing", One.shut_down)],
)  # fmt: skip
def test_a_restart_in_the_middle(state: str, end: Callable[[One], None], appendonly: str, two: Start) -> None:
    p = two(appendonly, fresh=True)
    if state in ("pending", "snapshotting"):
        p.do(NEVER)
    if state == "pending":
        p.do("BGSAVE")
    p.do("BACKUP START", "SET d 4")
    if state == "snapshotting":
        forked(p)
    if state in ("incrementing", "sealed"):
        p.wait("incrementing")
        p.do("SET e 5")
    if state == "sealed":
        p.do("BACKUP SEAL")
    for one in p.both:
        end(one)
    p.each(One.backup_files)
    for one in p.both:
        one.start()
    p.do("DBSIZE", "LRANGE b 0 -1", "BACKUP STATUS", "BACKUP LIST", "BACKUP START", "BACKUP CLEANUP", "BACKUP LIST")
    p.each(One.backup_files)
    p.do("BACKUP ABORT" if state in ("pending", "snapshotting") else "BACKUP CLEANUP")
    p.start_backup()
    p.do("SET f 6", "BACKUP SEAL", "DBSIZE")
    p.each(One.backup_files)


def test_no_shutdown_during_the_rewrite_that_switches_the_file_on(two: Start) -> None:
    p = two("no")
    p.do(NEVER, "BACKUP START")
    forked(p)
    p.do("SHUTDOWN NOSAVE", "BACKUP STATUS")


@pytest.mark.parametrize("maker", ["theirs", "ours"])
@either
def test_either_loads_a_backup_of_the_other(appendonly: str, maker: str, two: Start, tmp_path: Path) -> None:
    p = two(appendonly)
    one: One = getattr(p, maker)
    commands = commands_for(servers.version())
    one.call("FLUSHALL")
    fill(one.connection, commands[: len(commands) // 2])
    assert one.call("BACKUP START") == b"+OK\r\n"
    one.wait("incrementing")
    fill(one.connection, commands[len(commands) // 2 :])
    one.connection.call("SELECT", "0")
    wanted, digest = digests(one.connection), one.connection.call("DEBUG", "DIGEST")
    assert one.call("BACKUP SEAL") == b"+OK\r\n"
    fill(one.connection, ["SET too late", "DEL a"])
    sealed = {path.name: path.read_bytes() for path in (one.folder / "backupdir").iterdir()}
    (tmp_path / "restored").mkdir()
    restored = Two(tmp_path / "restored", ["--appendonly", "yes"])
    try:
        for other in restored.both:
            other.kill()
            for path in (other.folder / "appendonlydir").iterdir():
                path.unlink()
            for name, content in sealed.items():
                (other.folder / "appendonlydir" / name).write_bytes(content)
            other.start()
            assert digests(other.connection) == wanted
            assert other.connection.call("DEBUG", "DIGEST") == digest
        assert restored.ours.call("SET more 1") == b"+OK\r\n"
    finally:
        restored.stop()
