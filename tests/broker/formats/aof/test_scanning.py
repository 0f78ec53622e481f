"""Scanning an append-only file's data: in any pieces, on both twins, and what is left to the reader."""

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.aof.scanning import CommandScanner
from broker.formats.aof.writing import sealed
from protocol.replies import bulks
from tests.twins import both, pure_module

scanners = both(
    "broker.formats.aof.scanning", "broker.formats.aof._scanning", attribute="CommandScanner", argument="create"
)
PURE: Any = pure_module("broker.formats.aof.scanning").CommandScanner

SET = [b"SET", b"key", b"value"]


def scan(scanner: Any, data: bytes, at: int = 0) -> tuple[list[list[bytes]], list[int], int]:
    commands: list[list[bytes]] = []
    ends: list[int] = []
    at = scanner.scan(data, at, commands, ends)
    return commands, ends, at


@scanners
def test_commands_and_where_they_end(create: Any) -> None:
    first, second = bulks(SET), bulks([b"GET", b"a" * 1000])
    assert scan(create(), b"xx" + first + second, 2) == (
        [SET, [b"GET", b"a" * 1000]],
        [2 + len(first), 2 + len(first + second)],
        2 + len(first + second),
    )


@scanners
def test_an_incomplete_command_is_continued_at_each_byte(create: Any) -> None:
    data = bulks(SET) + bulks([b"RPUSH", b"list", b"", b"x" * 20])
    for cut in range(len(data)):
        scanner = create()
        commands, _, at = scan(scanner, data[:cut])
        assert cut - at < len(b"$20\r\n") + 20 + 2
        more, ends, end = scan(scanner, data[at:])
        assert commands + more == [SET, [b"RPUSH", b"list", b"", b"x" * 20]]
        assert (ends[-1], end) == (len(data) - at, len(data) - at)
        assert (scanner.args, scanner.wanted) == ([], 0)


@scanners
def test_it_returns_after_a_command_of_one_argument(create: Any) -> None:
    data = bulks([b"MULTI"]) + bulks(SET)
    assert scan(create(), data) == ([[b"MULTI"]], [len(bulks([b"MULTI"]))], len(bulks([b"MULTI"])))


@scanners
@pytest.mark.parametrize(
    "other",
    [
        b"*0\r\n", b"*03\r\n", b"*-1\r\n", b"*3\n", b"*12345678901\r\n", b"*", b"*3\r", b"SET a b\r\n", b"#TS:1\r\n",
        b"#", b"#CRC:0000000\r\n", b"#CRC:0000000A\r\n", b"#CRC:00000000\rx", b"#CRC:00000000\r", b"\r\n",
    ],
)  # fmt: skip
def test_it_stops_before_anything_else(create: Any, other: bytes) -> None:
    data = bulks(SET) + other
    scanner = create()
    assert scan(scanner, data) == ([SET], [len(bulks(SET))], len(bulks(SET)))
    assert scanner.wanted == 0


@scanners
@pytest.mark.parametrize(
    "other",
    [b"*1\r\n", b"$01\r\na\r\n", b"$-1\r\n", b"$1\r\na\rx", b"$1\r\nab\r\n", b"$+1\r\na\r\n",
     b"$1234567890123456789\r\n", b"$999999999999999999\r\n", b"$1\r\na\r", b"$\r\n", b"x"],
)  # fmt: skip
def test_it_stops_before_what_is_no_argument(create: Any, other: bytes) -> None:
    scanner = create()
    data = b"*2\r\n$3\r\nGET\r\n"
    assert scan(scanner, data + other) == ([], [], len(data))
    assert (scanner.args, scanner.wanted) == ([b"GET"], 1)


@scanners
def test_checksum_lines_are_verified(create: Any) -> None:
    first = sealed(bulks(SET))
    data = first + bulks(SET)
    scanner = create()
    commands, _, at = scan(scanner, data)
    assert (len(commands), at) == (2, len(data))
    assert (scanner.checksums, scanner.verified, scanner.confirmed) == (1, len(first), 1)
    assert (scanner.running, scanner.covered) == (0, len(first))
    scanner.cover(data, len(data))
    assert (scanner.running, scanner.covered) == (crc32(bulks(SET)), len(data))
    wrong = bulks(SET) + b"#CRC:%08x\r\n" % (crc32(bulks(SET)) ^ 1)
    scanner = create()
    assert scan(scanner, wrong) == ([SET], [len(bulks(SET))], len(bulks(SET)))
    assert (scanner.checksums, scanner.verified, scanner.confirmed) == (0, -1, 0)


PARTS = st.lists(
    st.one_of(
        st.lists(st.binary(max_size=30), min_size=1, max_size=4).map(bulks),
        st.just(b"#CRC:"),
        st.sampled_from([b"*1\r\n", b"$3\r\n", b"\r\n", b"#TS:1\r\n", b"*x", b"$x"]),
    ),
    max_size=8,
)


@given(parts=PARTS, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_both_twins_do_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b""
    begin = 0
    for part in parts:
        if part == b"#CRC:":
            part = b"#CRC:%08x\r\n" % crc32(data[begin:])
            begin = len(data) + len(part)
        data += part
    scanners = CommandScanner(), PURE()
    kept, left = b"", data
    for cut in cuts:
        kept, left = kept + left[:cut], left[cut:]
        results = []
        for scanner in scanners:
            scanner.covered = scanner.confirmed = 0
            scanner.verified = -1
            found = scan(scanner, kept)
            scanner.cover(kept, found[2])
            results.append(
                (found, scanner.args, scanner.wanted, scanner.running, scanner.covered, scanner.checksums,
                 scanner.verified, scanner.confirmed)
            )  # fmt: skip
        assert results[0] == results[1]
        kept = kept[found[2] :]
