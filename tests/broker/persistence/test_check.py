"""`trimaran check`: verdicts, counts, offsets, and cutting off."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.commands import command_table
from broker.formats.aof.writing import sealed
from broker.persistence.check import USAGE, run
from broker.persistence.claims import LOCK_SUFFIX
from broker.persistence.files import Disk
from protocol.replies import bulks
from tests.broker.persistence.simulated_disk import SHORT, SimulatedDisk

SELECT = bulks([b"SELECT", b"0"])
SET = bulks([b"SET", b"a", b"1"])
XADD = bulks([b"XADD", b"s", b"1-1", b"f", b"v"])
COMMANDS = sealed(SELECT + SET + SET) + sealed(XADD)
STRINGS = b"\x00\x01a\x01b" + b"\x00\x01b\x01c"
RDB = b"REDIS0010" + b"\xfa\x09redis-ver\x067.0.15" + b"\xfe\x00" + STRINGS
RDB += b"\xfe\x03\xfc" + (4102444800000).to_bytes(8, "little") + b"\x01\x01l\x02\x01x\x01y" + b"\xff" + bytes(8)
MANIFEST = b"file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"
FOLDER = {"f/a.manifest": MANIFEST, "f/a.1.base.rdb": RDB, "f/a.1.incr.aof": COMMANDS}


def never(question: str) -> bool:
    raise AssertionError(question)


def check(disk: Disk | dict[str, bytes], *words: str, ask: Callable[[str], bool] = never) -> tuple[int, list[str]]:
    """The exit status and the lines told."""
    lines: list[str] = []
    status = run(words, SimulatedDisk(disk) if isinstance(disk, dict) else disk, command_table, ask, lines.append)
    return status, lines


def test_an_append_only_file() -> None:
    assert check({"a.aof": b"#TS:1700000000\r\n" + SELECT + SET + SET + XADD}, "a.aof") == (
        0,
        [
            "a.aof: ok, 137 bytes",
            "  commands: 4 (2 SET, 1 SELECT, 1 XADD)",
            "  bytes without a checksum: 137",
            "  written until 2023-11-14 22:13:20 UTC",
        ],
    )
    assert check({"a.aof": COMMANDS}, "a.aof") == (
        0,
        ["a.aof: ok, 151 bytes", "  commands: 4 (2 SET, 1 SELECT, 1 XADD)", "  checksums: 2, the last before byte 151"],
    )


def test_of_many_kinds_of_commands_the_most_frequent_are_named() -> None:
    kinds = (
        b"APPEND BITFIELD BITOP COPY DECR DECRBY DEL EXPIRE GEOADD HDEL HINCRBY HSET INCR INCRBY LPOP LPUSH LREM LSET"
        b" MSET PERSIST PFADD RENAME"
    ).split()
    texts = [bulks([name, b"a", b"1"]) for name in kinds]
    status, lines = check({"a.aof": SELECT * 3 + SET * 2 + b"".join(texts)}, "a.aof")
    assert status == 0
    assert lines[1].startswith("  commands: 27 (3 SELECT, 2 SET, 1 ") and lines[1].endswith(", and 4 more kinds)")
    assert lines[1].count(",") == 20


def test_a_dump() -> None:
    assert check({"d.rdb": RDB}, "d.rdb") == (
        0,
        [
            f"d.rdb: ok, {len(RDB)} bytes",
            "  RDB version 10, without a checksum",
            "  keys: 3 (2 string, 1 list)",
            "  databases: 0, 3",
            "  keys with a deadline: 1",
            "  written by version 7.0.15",
        ],
    )


def test_keys_before_any_database_is_named_are_in_the_first() -> None:
    dump = b"REDIS0010" + STRINGS + b"\xfe\x03" + b"\x00\x01c\x01d" + b"\xff" + bytes(8)
    status, lines = check({"d.rdb": dump}, "d.rdb")
    assert (status, lines[2:]) == (0, ["  keys: 3 (3 string)", "  databases: 0, 3"])


def test_a_dump_followed_by_commands() -> None:
    status, lines = check({"a.aof": RDB + SELECT + SET}, "a.aof")
    assert status == 0
    assert lines[-2:] == ["  commands: 2 (1 SELECT, 1 SET)", "  bytes without a checksum: 50"]
    status, lines = check({"a.aof": RDB + SELECT + SET[:-1]}, "a.aof")
    assert (status, lines[:2]) == (
        1,
        [
            f"a.aof: BAD: cut short at byte {len(RDB) + 49} of {len(RDB) + 49}",
            f"  good up to byte {len(RDB) + 23}; 26 bytes after that",
        ],
    )


def test_a_folder_with_a_manifest() -> None:
    status, lines = check(FOLDER, "f")
    assert status == 0
    assert [line for line in lines if not line.startswith(" ")] == [
        "f/a.manifest: ok, 62 bytes",
        f"f/a.1.base.rdb: ok, {len(RDB)} bytes",
        "f/a.1.incr.aof: ok, 151 bytes",
    ]
    assert lines[1] == "  base: 1, increments: 1, superfluous files: 0"
    assert check(FOLDER, "f/a.manifest") == (status, lines)


def test_a_folder_of_several_things() -> None:
    status, lines = check(
        {**FOLDER, "d.rdb": RDB, "other.txt": b"x", "f/a.9.base.aof": COMMANDS, "f/temp-1.rdb": b"", "g/x": b""}, ""
    )
    assert status == 0
    assert [line for line in lines if not line.startswith(" ")] == [
        f"d.rdb: ok, {len(RDB)} bytes",
        "f/a.manifest: ok, 62 bytes",
        f"f/a.1.base.rdb: ok, {len(RDB)} bytes",
        "f/a.1.incr.aof: ok, 151 bytes",
        "f/a.9.base.aof: ok, 151 bytes",
    ]
    assert lines[-1] == "  no manifest names it: a server does not load it"


def test_a_manifest_that_lacks_an_increment() -> None:
    status, lines = check({**FOLDER, "f/a.9.incr.aof": COMMANDS}, "f")
    assert (status, lines[0]) == (1, "f/a.manifest: BAD: it doesn't name a.9.incr.aof")


def test_a_folder_without_a_manifest() -> None:
    status, lines = check({"f/a.1.incr.aof": COMMANDS}, ".")
    assert (status, lines[-1]) == (0, "  no manifest names it: a server does not load it")


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"f/a.manifest": b""}, "f/a.manifest: BAD: Found an empty AOF manifest"),
        ({"f/a.manifest": b"x\n"}, "f/a.manifest: BAD: Invalid AOF manifest file format (line 1: 'x')"),
        ({"f/a.manifest": MANIFEST}, "f/a.1.base.rdb: BAD: No such file or directory"),
        ({"f/a.1.base.rdb": b""}, "f/a.1.base.rdb: BAD: cut short at byte 0 of 0"),
        (
            {"f/a.rdb": b"*1\r\n$4\r\nPING\r\n"},
            "f/a.rdb: BAD: Wrong signature trying to load DB from file at byte 9 of 14",
        ),
        ({"f/a.rdb": RDB.replace(b"7.0.15", b"7.0.1")}, None),
        ({"f/a.rdb": RDB[:-9]}, None),
        ({"f/a.rdb": RDB.replace(b"\x01b\x01c", b"\x01a\x01c")}, None),
        ({"f/a.aof": COMMANDS[:-1]}, "f/a.aof: BAD: cut short at byte 150 of 150"),
        ({"f/a.aof": COMMANDS.replace(b"1-1", b"1-2")}, "f/a.aof: BAD: wrong checksum at byte 136 of 151"),
        ({"f/a.aof": b"notes\n"}, "f/a.aof: BAD: not a command at byte 0 of 6"),
        ({"f/a.aof": SELECT + bulks([b"N\x1bPE"]) + SET}, "f/a.aof: BAD: unknown command 'N\\x1bPE' at byte 23 of 64"),
        ({"f/a.aof": SELECT + bulks([b"XGROUP", b"X"])}, "f/a.aof: BAD: unknown command 'XGROUP' at byte 23 of 46"),
    ],
)
def test_what_is_bad_is_named_with_its_place(files: dict[str, bytes], line: str | None) -> None:
    status, lines = check(files, "f")
    assert status == 1
    assert any("BAD" in told for told in lines)
    assert line is None or line in lines


def test_nothing_to_check() -> None:
    assert check({"f/x": b""}, "f") == (2, ["f: no append-only file and no RDB file is here"])
    assert check({}, "none") == (1, ["none: BAD: No such file or directory"])
    assert check({"a.aof": COMMANDS}, "none", "a.aof")[0] == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "a FILE or a FOLDER is missing"),
        (["--fix"], "a FILE or a FOLDER is missing"),
        (["--repair", "a"], "unknown option '--repair'"),
        (["-x"], "unknown option '-x'"),
    ],
)
def test_wrong_arguments(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check({}, *words) == (2, [])
    assert capsys.readouterr().err == f"trimaran check: {text}; see trimaran check --help\n"


def test_help() -> None:
    assert check({}, "--help") == (0, [USAGE])


def asked(answers: list[bool]) -> Callable[[str], bool]:
    return lambda question: answers.pop(0)


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (COMMANDS[:-20], sealed(SELECT + SET + SET)),
        (COMMANDS + b"junk" + SET, COMMANDS),
        (COMMANDS.replace(b"1-1", b"1-2"), sealed(SELECT + SET + SET)),
        (RDB + SELECT + SET[:-1], RDB + SELECT),
    ],
)
def test_fix_cuts_off_and_keeps_a_copy(content: bytes, left: bytes) -> None:
    disk = SimulatedDisk({"f/a.aof": content, "f/a.aof.before-fix": b"earlier"})
    answers = [False]
    assert check(disk, "--fix", "f", ask=asked(answers))[0] == 1
    assert disk.files()["f/a.aof"] == content and not answers
    status, lines = check(disk, "--fix", "f/a.aof", ask=asked([True]))
    assert status == 0
    assert f"f/a.aof: the last {len(content) - len(left)} bytes will be cut off; a copy is kept as" in "\n".join(lines)
    assert f"f/a.aof: ok, {len(left)} bytes" in lines
    files = {"f/a.aof": left, "f/a.aof.before-fix": b"earlier", "f/a.aof.before-fix-2": content}
    assert [image.files() for image in disk.crash_images()] == [files]
    assert disk.open_files == 0


def test_fix_without_asking() -> None:
    disk = SimulatedDisk({"a.aof": COMMANDS[:-20]})
    assert check(disk, "--fix", "-y", "a.aof")[0] == 0
    assert check(disk, "a.aof")[0] == 0


def test_nothing_is_asked_where_all_is_well() -> None:
    assert check(FOLDER, "--fix", "f")[0] == 0


@pytest.mark.parametrize(
    "files",
    [
        {"f/a.rdb": RDB[:-9]},
        {"f/a.aof": b"notes\n"},
        {"f/a.aof": SELECT + bulks([b"NOPE"])},
        {"f/a.manifest": b"x\n"},
        {**FOLDER, "f/a.1.base.rdb": RDB[:-1]},
        {
            **FOLDER,
            "f/a.manifest": MANIFEST + b"file a.2.incr.aof seq 2 type i\n",
            "f/a.1.incr.aof": COMMANDS[:-1],
            "f/a.2.incr.aof": COMMANDS,
        },
    ],
)
def test_what_cutting_does_not_repair_is_left_alone(files: dict[str, bytes]) -> None:
    disk = SimulatedDisk(files)
    status, lines = check(disk, "--fix", "-y", "f")
    assert status == 1
    assert lines[-1].endswith("can't be repaired by cutting off its end")
    assert disk.files() == files


def test_an_empty_increment_does_not_keep_the_one_before_from_being_cut() -> None:
    files = {**FOLDER, "f/a.manifest": MANIFEST + b"file a.2.incr.aof seq 2 type i\n", "f/a.2.incr.aof": b""}
    files["f/a.1.incr.aof"] = COMMANDS[:-1]
    assert check(files, "--fix", "-y", "f")[0] == 0


@pytest.mark.parametrize("folder", ["f", "f/"])
def test_files_of_a_running_broker_are_not_cut(folder: str) -> None:
    disk = SimulatedDisk({**FOLDER, "f/a.1.incr.aof": COMMANDS[:-1], "f" + LOCK_SUFFIX: b""})
    lock = disk.lock("f" + LOCK_SUFFIX)
    assert lock is not None
    status, lines = check(disk, "--fix", "-y", folder)
    assert (status, lines[-1]) == (1, "f/a.1.incr.aof: a broker is running on this folder; stop it first")
    lock.release()
    assert check(disk, "--fix", "-y", "f")[0] == 0


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, SHORT])
def test_each_failure_of_the_disk_is_told_and_loses_nothing(error: int) -> None:
    for call in range(100):
        disk = SimulatedDisk({"f/a.aof": COMMANDS[:-1]})
        disk.fail(call, error)
        status, lines = check(disk, "--fix", "-y", "f/a.aof")
        reached = call < len(disk.calls)
        assert status == (reached and error != SHORT), lines
        for image in disk.crash_images():
            assert COMMANDS[:-1] in image.files().values()
        assert disk.open_files == 0
        if not reached:
            return


def test_on_the_real_disk(tmp_path: Path) -> None:
    (tmp_path / "a.aof").write_bytes(COMMANDS[:-1])
    status, _ = check(Disk(), "--fix", "-y", str(tmp_path))
    assert status == 0
    assert (tmp_path / "a.aof.before-fix").read_bytes() == COMMANDS[:-1]
    assert (tmp_path / "a.aof").read_bytes() == sealed(SELECT + SET + SET) + XADD


def test_fix_does_not_touch_a_file_that_a_backup_shares() -> None:
    files = {**FOLDER, "f/a.1.incr.aof": COMMANDS[:-1]}
    disk = SimulatedDisk(files)
    disk.make_folder("backup")
    for name in files:
        disk.link(name, name.replace("f/", "backup/", 1))
    before = disk.files()
    status, lines = check(disk, "--fix", "-y", "backup")
    assert status == 1 and "has another name" in lines[-1]
    assert disk.files() == before
    for name in files:
        disk.remove(name)
    assert check(disk, "--fix", "-y", "backup")[0] == 0


def test_a_backup_is_checked_like_the_folder_it_was_made_of() -> None:
    """On its own, and with the append-only folder beside it; one that was never sealed has no manifest."""
    files = {
        path.replace("f/", f"{folder}/", 1): data for folder in ("live", "backupdir") for path, data in FOLDER.items()
    }
    status, lines = check(files, "backupdir")
    assert status == 0 and "  base: 1, increments: 1, superfluous files: 0" in lines
    status, lines = check({f"data/{path}": data for path, data in files.items()}, "data")
    assert status == 0 and lines.count("  base: 1, increments: 1, superfluous files: 0") == 2
    status, lines = check({"backupdir/a.1.base.rdb": RDB}, "backupdir")
    assert status == 0 and lines[-1] == "  no manifest names it: a server does not load it"
