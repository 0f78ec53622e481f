"""Bitmaps against the reference: every option, range, error, missing and wrong-typed key."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, agree, examples, pair, requires, same

NUMBERS = ["0", "1", "7", "8", "9", "23", "24", "100", "-1", "-2", "-8", "-9", "-24", "-25", "-100",
           "9223372036854775807", "-9223372036854775808"]  # fmt: skip
BAD_NUMBERS = ["a", "", "1.5", " 1", "01", "+1", "9223372036854775808", "-9223372036854775809"]
VALUES: list[AnyCommand] = [
    ["SET", "k", b"\xff\xf0\x01"], ["SET", "zeros", b"\0\0\0"], ["SET", "ones", b"\xff\xff\xff"], 'SET empty ""',
    "SET n 12345", "APPEND grown ab", "APPEND grown c", "RPUSH l a",
]  # fmt: skip
KEYS = ("k", "zeros", "ones", "empty", "n", "grown", "missing")


def test_setbit_and_getbit() -> None:
    script: list[AnyCommand] = [*VALUES]
    for name in (*KEYS, "l"):
        script += [f"GETBIT {name} {at}" for at in (0, 1, 7, 8, 23, 24, 1000)]
        script += [f"SETBIT {name} {at} {bit}" for at in (0, 9, 40, 3) for bit in (1, 1, 0)]
        script += [f"OBJECT ENCODING {name}"]
    same(script, state=True)


def test_offsets_and_bits() -> None:
    offsets = [*BAD_NUMBERS, "-1", "4294967296", "4294967295000", "9223372036854775807", "#1", "#"]
    same(
        [
            *(["GETBIT", name, at] for at in [*offsets, "4294967295"] for name in ("k", "l")),
            *(["SETBIT", name, at, "1"] for at in offsets for name in ("k", "l")),
            *(["SETBIT", "k", "1", bit] for bit in [*BAD_NUMBERS, "2", "-1", "0", "1"]),
            ["SETBIT", "l", "x", "y"], "SETBIT k 1", "SETBIT k 1 1 1", "GETBIT k", "GETBIT k 1 1",
        ],
        state=True,
    )  # fmt: skip


def test_the_longest_string() -> None:
    cleanup = ("CONFIG SET proto-max-bulk-len 536870912",)
    same(["CONFIG SET proto-max-bulk-len 1048576", "SETBIT k 8388607 1", "SETBIT k 8388608 1", "STRLEN k",
          "GETBIT k 8388607", "GETBIT k 8388608", "BITFIELD k SET u8 8388600 1", "BITFIELD k SET u8 8388608 1",
          "BITFIELD k GET u8 #1048575", "BITFIELD k GET u8 #1048576", "BITCOUNT k", "BITPOS k 1"],
         cleanup=cleanup)  # fmt: skip


def test_an_unchanged_bit_is_no_change() -> None:
    same(["SETBIT k 5 0", "GET k", "SET k a EX 1000", "SETBIT k 0 0", "TTL k", "SETBIT k 30 0", "GET k", "SET i 7",
          "OBJECT ENCODING i", "SETBIT i 0 0", "OBJECT ENCODING i", "INCR i", "SETBIT i 9 1", "GET i"])  # fmt: skip


@pytest.mark.parametrize("name", [*KEYS, "l"])
def test_bitcount(name: str) -> None:
    script: list[AnyCommand] = [*VALUES, f"BITCOUNT {name}"]
    for start, end in itertools.product(NUMBERS, NUMBERS):
        script += [f"BITCOUNT {name} {start} {end}{unit}" for unit in ("", " BYTE", " BIT")]
    same(script, resp=(2,))


def test_errors_of_bitcount() -> None:
    same([*VALUES, *(["BITCOUNT", "k", "0", bad] for bad in BAD_NUMBERS), "BITCOUNT l x y",
          *(["BITCOUNT", "k", bad, "0"] for bad in BAD_NUMBERS), "BITCOUNT", "BITCOUNT k 0", "BITCOUNT l 0",
          "BITCOUNT k 0 1 bit", "BITCOUNT k 0 1 ByTe", "BITCOUNT k 0 1 BITS", "BITCOUNT l 0 1 BITS",
          "BITCOUNT missing 0 1 BITS", "BITCOUNT k 0 1 BIT x", "BITCOUNT k a b c d e", "BITCOUNT l -1 -2",
          "BITCOUNT missing -1 -2 BIT"])  # fmt: skip


@pytest.mark.parametrize("name", [*KEYS, "l"])
def test_bitpos(name: str) -> None:
    script: list[AnyCommand] = [*VALUES]
    for bit in (0, 1):
        script += [f"BITPOS {name} {bit}", *(f"BITPOS {name} {bit} {start}" for start in NUMBERS)]
        for start, end in itertools.product(NUMBERS, NUMBERS):
            script += [f"BITPOS {name} {bit} {start} {end}{unit}" for unit in ("", " BYTE", " BIT")]
    same(script, resp=(2,))


def test_errors_of_bitpos() -> None:
    same([*VALUES, *(["BITPOS", name, bit] for bit in [*BAD_NUMBERS, "2", "-1"] for name in ("k", "l")),
          *(["BITPOS", "k", "1", bad] for bad in BAD_NUMBERS), *(["BITPOS", "k", "1", "0", bad] for bad in BAD_NUMBERS),
          "BITPOS k", "BITPOS k 1 0 1 bit", "BITPOS k 1 0 1 BITS", "BITPOS k 1 0 x BITS", "BITPOS k 1 x 1 BITS",
          "BITPOS k 2 x 1 BITS", "BITPOS k 1 0 1 BIT x", "BITPOS k 2 0 1 BIT x", "BITPOS k 1 x 1 BIT x",
          "BITPOS l 1 x", "BITPOS l 1 0 1 BITS", "BITPOS missing 0 5", "BITPOS missing 1 5"])  # fmt: skip


OPERATIONS = ["AND", "OR", "XOR", "NOT", "DIFF", "DIFF1", "ANDOR", "ONE"]


@requires("8.2")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_bitop(operation: str) -> None:
    script: list[AnyCommand] = [*VALUES, ["SET", "p", bytes(range(0, 256, 7)) * 20]]
    names = ("k", "ones", "empty", "n", "p", "missing", "l")
    for count in (1, 2, 3):
        for sources in itertools.islice(itertools.product(names, repeat=count), 0, None, 1 if count < 3 else 3):
            script += [f"BITOP {operation} d {' '.join(sources)}", "GET d"]
    same([*script, f"BITOP {operation.lower()} k k p", "GET k", f"BITOP {operation} p p p p p", "GET p"], resp=(2,))


@requires("8.2")
def test_what_bitop_stores() -> None:
    same([*VALUES, "RPUSH d a", "BITOP OR d k", "GET d", "OBJECT ENCODING d", "EXPIRE d 100", "BITOP OR d k", "TTL d",
          "BITOP OR d missing empty", "EXISTS d", "BITOP NOT d missing", "BITOP AND l l", "BITOP OR l missing",
          "EXISTS l", "SET a 1", "BITOP OR b a", "OBJECT ENCODING b", "INCR b", "BITOP OR a a", "GET a"],
         state=True)  # fmt: skip


@requires("8.2")
def test_errors_of_bitop() -> None:
    same([*VALUES, "BITOP", "BITOP AND d", "BITOP NAND d k", "BITOP ANDO d k", 'BITOP "" d k', "BITOP NOT d k n",
          "BITOP not d l k", "BITOP DIFF d k", "BITOP diff1 d l", "BITOP AnDor d missing", "BITOP ONE d k l",
          "BITOP AND d l", "BITOP AND d missing l", "BITOP NAND d l"], state=True)  # fmt: skip


TEXTS = st.binary(max_size=40) | st.sampled_from([b"\0" * 5000, b"\xff" * 5000, b"\xff" * 4096 + b"\x7f", b"\0" * 70])
NAMES = st.sampled_from(["a", "b", "c"])
AT = st.integers(-60, 400) | st.integers(-41000, 41000)
UNIT = st.sampled_from([[], ["BYTE"], ["BIT"]])
BIT = st.sampled_from(["0", "1"])
COMMANDS = st.one_of(
    st.tuples(st.just("SET"), NAMES, TEXTS).map(list),
    st.tuples(st.just("SETBIT"), NAMES, st.integers(0, 400), BIT).map(list),
    st.tuples(st.just("GETBIT"), NAMES, st.integers(0, 400)).map(list),
    st.builds(lambda k, a, b, u: ["BITCOUNT", k, a, b, *u], NAMES, AT, AT, UNIT),
    st.builds(lambda k, v, a, b, u: ["BITPOS", k, v, a, b, *u], NAMES, BIT, AT, AT, UNIT),
    st.builds(lambda k, v, a: ["BITPOS", k, v, a], NAMES, BIT, AT),
    st.builds(lambda o, d, s: ["BITOP", o, d, *s], st.sampled_from(OPERATIONS), NAMES, st.lists(NAMES, min_size=1)),
    st.tuples(st.just("APPEND"), NAMES, TEXTS).map(list),
    st.tuples(st.just("GET"), NAMES).map(list),
)


@requires("8.2")
@examples(80)
@given(st.lists(COMMANDS, max_size=30))
def test_generated_commands(script: list[AnyCommand]) -> None:
    agree(script)


@requires("8.2")
def test_events() -> None:
    with pair(cleanup=('CONFIG SET notify-keyspace-events ""',)) as servers:
        listener, client = servers.client(resp=3), servers.client()
        client.do("CONFIG SET notify-keyspace-events KEAmnoc")
        listener.do("PSUBSCRIBE __key*")
        for command in ("SETBIT k 1 1", "SETBIT k 1 1", "SETBIT k 1 0", "SETBIT k 100 0", "GETBIT k 1", "GETBIT m 1",
                        "BITCOUNT k", "BITCOUNT m", "BITPOS m 1", "BITOP OR d k m", "BITOP OR d k", "RPUSH l a",
                        "BITOP NOT l k", "BITOP OR l m", "BITOP OR l m", "BITOP AND k", "SETBIT k x 1",
                        "BITFIELD k SET u4 0 3", "BITFIELD k SET u4 0 3", "BITFIELD k GET u4 0",
                        "BITFIELD f SET u4 0 0", "BITFIELD f SET u4 0 1 INCRBY u4 0 1",
                        "BITFIELD m GET u4 0", "BITFIELD_RO m GET u4 0",
                        "BITFIELD m OVERFLOW FAIL SET u4 0 16"):  # fmt: skip
            client.do(command)
            servers.settle()
            listener.drain()


def test_bits_in_transactions_and_watches() -> None:
    with pair() as servers:
        one, two = servers.client(), servers.client()
        one.do("SETBIT k 1 1")
        for command in ("SETBIT k 1 1", "SETBIT k 1 0", "BITOP OR k k", "BITFIELD k SET u2 0 0", "BITFIELD k GET u2 0",
                        "BITFIELD k INCRBY u2 0 1", "BITOP OR k m"):  # fmt: skip
            one.do("WATCH k")
            two.do(command)
            one.do("MULTI")
            one.do("BITCOUNT k")
            one.do("EXEC")
