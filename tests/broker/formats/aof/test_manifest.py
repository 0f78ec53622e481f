"""The manifest: Redis's lines read and written, Redis's checks, and the steps of a rewrite."""

from collections.abc import Iterator
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.aof.manifest import (
    A_PATH,
    BASE,
    DUPLICATE_BASE,
    EMPTY,
    HISTORY,
    INCREMENT,
    INVALID,
    NOT_MONOTONIC,
    TOO_LONG_LINE,
    UNKNOWN_TYPE,
    BadManifest,
    Entry,
    Manifest,
    parse,
    single_base,
)
from broker.formats.aof.writing import sealed

FULL = b"""file appendonly.aof.2.base.rdb seq 2 type b
file appendonly.aof.1.base.rdb seq 1 type h
file appendonly.aof.3.incr.aof seq 3 type h
file appendonly.aof.4.incr.aof seq 4 type i startoffset 0 endoffset 12
file appendonly.aof.5.incr.aof seq 5 type i startoffset 12
"""


def test_a_manifest_of_redis_is_read_and_written_alike() -> None:
    manifest = parse(FULL)
    assert manifest.base == Entry("appendonly.aof.2.base.rdb", 2, BASE)
    assert manifest.increments == (
        Entry("appendonly.aof.4.incr.aof", 4, INCREMENT, 0, 12),
        Entry("appendonly.aof.5.incr.aof", 5, INCREMENT, 12),
    )
    assert [entry.name for entry in manifest.history] == ["appendonly.aof.1.base.rdb", "appendonly.aof.3.incr.aof"]
    assert {entry.kind for entry in manifest.history} == {HISTORY}
    assert [entry.sequence for entry in manifest.files()] == [2, 4, 5]
    assert manifest.format() == FULL


@pytest.mark.parametrize(
    "text",
    [
        b"file a.incr.aof seq 1 type i\n",
        b"# a comment\nfile a.incr.aof seq 1 type i\n#another\n",
        b"  FILE a.incr.aof  TYPE ix\tSEQ 1 \r\n",
        b'file "a.incr\\x2eaof" seq 1 type i\n',
        b"file a.incr.aof seq 1 type i novelty 12 more 'of it'\n",
        b"file other seq 7 type b file a.incr.aof seq 1 type i\n",
        b"file a.incr.aof seq 1 type i startoffset -1 endoffset -1\n",
    ],
)
def test_lines_that_say_the_same(text: bytes) -> None:
    assert parse(text) == Manifest(increments=(Entry("a.incr.aof", 1, INCREMENT),))


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        (b"", EMPTY, 0),
        (b"file a seq 1 type i", TOO_LONG_LINE, 0),
        (b"file " + b"a" * 1020 + b" seq 1 type i\n", TOO_LONG_LINE, 0),
        (b"\n", INVALID, 1),
        (b"file a seq 1 type i\n\n", INVALID, 2),
        (b"file a seq 1\n", INVALID, 1),
        (b"file a seq 1 type\n", INVALID, 1),
        (b"file a seq 1 type i more\n", INVALID, 1),
        (b"file 'a seq 1 type i\n", INVALID, 1),
        (b"name a seq 1 type i\n", INVALID, 1),
        (b"file '' seq 1 type i\n", INVALID, 1),
        (b"file a seq 0 type i\n", INVALID, 1),
        (b"file a seq -1 type i\n", INVALID, 1),
        (b"file a seq one type i\n", INVALID, 1),
        (b"file a seq 1x type i\n", INVALID, 1),
        (b"file a seq 1 type ''\n", INVALID, 1),
        (b"file a\0b seq 1 type i\n", INVALID, 1),
        (b"file a seq 1 type i startoffset x\n", INVALID, 1),
        (b"file a seq 1 type i endoffset -2\n", INVALID, 1),
        (b"file a/b seq 1 type i\n", A_PATH, 1),
        (b"file /a seq 1 type i\n", A_PATH, 1),
        (b"file a\\b seq 1 type i\n", A_PATH, 1),
        (b"file .. seq 1 type i\n", A_PATH, 1),
        (b"file . seq 1 type i\n", A_PATH, 1),
        (b"file a seq 1 type b\nfile b seq 2 type b\n", DUPLICATE_BASE, 2),
        (b"#\nfile a seq 2 type i\nfile b seq 2 type i\n", NOT_MONOTONIC, 3),
        (b"file a seq 2 type i\nfile b seq 1 type i\n", NOT_MONOTONIC, 2),
        (b"file a seq 1 type x\n", UNKNOWN_TYPE, 1),
        (b"file a seq 1 type B\n", UNKNOWN_TYPE, 1),
    ],
)
def test_what_redis_refuses_is_refused_with_its_reason(text: bytes, reason: str, line: int) -> None:
    with pytest.raises(BadManifest) as raised:
        parse(text)
    assert (raised.value.reason, raised.value.line) == (reason, line)


def test_the_error_names_the_line() -> None:
    with pytest.raises(BadManifest, match=r"Unknown AOF file type \(line 2: 'file b seq 1 type x'\)"):
        parse(b"#\n file b seq 1 type x\n")
    with pytest.raises(BadManifest, match=r"^Found an empty AOF manifest$"):
        parse(b"")


def test_a_manifest_cut_anywhere_is_refused_or_lacks_whole_lines() -> None:
    for cut in range(len(FULL)):
        if cut and FULL[cut - 1 : cut] == b"\n":
            assert parse(FULL[:cut]).format() == FULL[:cut]
        else:
            with pytest.raises(BadManifest):
                parse(FULL[:cut])


def test_names_are_quoted_where_they_must_be() -> None:
    for name in ("a b", "quo'te\"s", "tab\t", "\udcff\xe9", "line\nend"):
        line = Entry(name, 1, INCREMENT).line()
        assert line.startswith(b'file "') and line.count(b"\n") == 1
        assert parse(line).increments[0].name == name


def test_the_files_of_a_new_folder() -> None:
    manifest = Manifest()
    assert not manifest
    manifest = manifest.with_new_base("appendonly.aof", as_rdb=True).with_new_increment("appendonly.aof", 0)
    assert manifest
    assert manifest.format() == (
        b"file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i startoffset 0\n"
    )


def test_the_steps_of_a_rewrite() -> None:
    start = Manifest().with_new_base("a", as_rdb=True).with_new_increment("a")
    during = start.with_new_increment("a")
    assert during.format() == (
        b"file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n"
    )
    # A rewrite that fails leaves its increment, and the next one has two to replace.
    during = during.with_new_increment("a")
    done = during.with_new_base("a", as_rdb=False).without_rewritten(kept=1)
    assert done.format() == (
        b"file a.2.base.aof seq 2 type b\n"
        b"file a.2.incr.aof seq 2 type h\n"
        b"file a.1.incr.aof seq 1 type h\n"
        b"file a.1.base.rdb seq 1 type h\n"
        b"file a.3.incr.aof seq 3 type i\n"
    )
    assert done.without_history().format() == b"file a.2.base.aof seq 2 type b\nfile a.3.incr.aof seq 3 type i\n"
    off = done.with_new_base("a", as_rdb=True).without_rewritten(kept=0)
    assert off.increments == () and len(off.history) == 5


def test_a_new_file_never_has_the_name_of_one_in_history() -> None:
    manifest = parse(
        b"file a.2.base.rdb seq 2 type b\nfile a.1.incr.aof seq 1 type h\nfile a.5.base.aof seq 5 type h\n"
    )
    assert manifest.with_new_increment("a").increments[0].name == "a.2.incr.aof"
    base = manifest.with_new_base("a", as_rdb=True).base
    assert base is not None and base.name == "a.6.base.rdb"


def test_an_increment_that_is_written_again_has_no_end() -> None:
    manifest = parse(FULL.replace(b"startoffset 12", b"startoffset 12 endoffset 20"))
    assert manifest.reopened().format() == FULL
    assert Manifest().reopened() == Manifest()


def test_a_file_of_redis_before_7_becomes_the_base() -> None:
    manifest = single_base("appendonly.aof")
    assert manifest.format() == b"file appendonly.aof seq 1 type b\n"
    following = manifest.with_new_increment("appendonly.aof").with_new_base("appendonly.aof", as_rdb=True)
    assert following.format() == (
        b"file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof seq 1 type h\n"
        b"file appendonly.aof.1.incr.aof seq 1 type i\n"
    )


@given(st.binary(max_size=200))
def test_no_bytes_make_another_error(data: bytes) -> None:
    try:
        manifest = parse(data)
    except BadManifest:
        return
    assert parse(manifest.format() or b"#\n") == manifest


def flipped(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The data with each of its bits changed, and at which byte."""
    for at in range(len(data)):
        for bit in range(8):
            yield at, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def test_the_checksum_line_of_early_versions_is_verified() -> None:
    data = sealed(FULL)
    assert parse(data) == parse(FULL)
    assert parse(data + b"# hello\n") == parse(FULL)
    for at, changed in flipped(data):
        try:
            assert parse(changed) == parse(FULL)
        except BadManifest:
            continue
        # Another comment line in its place: all the rest is as it was.
        assert at >= len(FULL)
    with pytest.raises(BadManifest, match="Wrong checksum"):
        parse(data.replace(b"type i", b"type h", 1))


def test_the_checksum_is_a_pair_of_the_first_line_and_no_other_line_is_new() -> None:
    data = parse(FULL).sealed()
    first, *others = data.splitlines()
    assert [first.split()[:-2], *map(bytes.split, others)] == [line.split() for line in FULL.splitlines()]
    assert first.split()[-2:] == [b"crc", b"%08x" % crc32(FULL)]
    assert parse(data) == parse(FULL)


def test_a_changed_bit_in_a_manifest_is_found() -> None:
    data = parse(FULL).sealed()
    for at, changed in flipped(data):
        try:
            assert parse(changed) == parse(FULL), at
        except BadManifest:
            continue
        # Another pair in its place: all the rest is as it was.
        assert b" crc " not in changed, at


def test_a_manifest_that_has_lost_or_gained_something_is_refused() -> None:
    data = parse(FULL).sealed()
    lines = data.splitlines(keepends=True)
    changed = [data[:end] for end in range(len(data))]
    changed += [b"".join(lines[:at] + lines[at + 1 :]) for at in range(1, len(lines))]
    changed += [b"".join([*lines[: at + 1], lines[at], *lines[at + 1 :]]) for at in range(len(lines))]
    for one in range(len(lines)):
        for other in range(one + 1, len(lines)):
            swapped = lines.copy()
            swapped[one], swapped[other] = lines[other], lines[one]
            changed.append(b"".join(swapped))
    for text in changed:
        with pytest.raises(BadManifest):
            parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"file a seq 1 type i\nfile a seq 2 type i\n",
        b"file a seq 1 type b\nfile a seq 1 type i\n",
        b"file a seq 1 type h\nfile a seq 1 type i\n",
        b"file a seq 1 type h\nfile a seq 1 type h\n",
    ],
)
def test_a_file_that_comes_twice_is_refused(text: bytes) -> None:
    with pytest.raises(BadManifest, match=r"Found a file name twice \(line 2: "):
        parse(text)


def test_what_a_whole_manifest_would_name() -> None:
    sizes = {
        "a.1.base.rdb": 9, "a.2.base.rdb": 9, "a.3.base.aof": 9, "a.1.incr.aof": 9, "a.2.incr.aof": 9,
        "a.3.incr.aof": 0, "a.4.incr.rdb": 9, "a.x.incr.aof": 9, "b.9.incr.aof": 9, "a.manifest": 9, "a": 9,
        "a.9.incr.aof.before-fix": 9, "temp-a.5.incr.aof": 9,
    }  # fmt: skip
    manifest = parse(b"file a.2.base.rdb seq 2 type b\nfile a.2.incr.aof seq 2 type i\n")
    assert manifest.missing_from("a", sizes) == ["a.1.incr.aof"]
    assert parse(b"file a.2.incr.aof seq 2 type i\nfile a.1.incr.aof seq 1 type h\n").missing_from("a", sizes) == [
        "a.1.base.rdb", "a.2.base.rdb", "a.3.base.aof",
    ]  # fmt: skip
    assert len(Manifest().missing_from("a", sizes)) == 5
    # And no new file gets a name that is taken.
    base = manifest.with_new_base("a", as_rdb=True, beside=sizes).base
    assert base is not None and base.name == "a.4.base.rdb"
    assert manifest.with_new_increment("a", beside=sizes).increments[-1].name == "a.4.incr.aof"
