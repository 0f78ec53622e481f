"""BITFIELD and BITFIELD_RO against the reference: types, offsets, overflow, errors, generated sequences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, agree, examples, same

TYPES = ["i1", "i2", "i5", "i8", "i33", "i63", "i64", "u1", "u2", "u5", "u8", "u33", "u62", "u63"]
EDGES = [0, 1, 2, -1, -2, 3, 127, 128, 255, 256, -127, -128, -129, 2**32, 2**33, -(2**32), -(2**33), 2**62 - 1, 2**62,
         -(2**62), -(2**62) - 1, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, -(2**63) + 127, -(2**63) + 128,
         -(2**63) + 129]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("mode", ["WRAP", "SAT", "FAIL"])
def test_overflow(kind: str, mode: str) -> None:
    script: list[AnyCommand] = []
    for first in EDGES:
        script += ["DEL k", f"BITFIELD k SET {kind} 3 {first} GET {kind} 3"]
        for value in EDGES:
            script += [
                f"BITFIELD k OVERFLOW {mode} SET {kind} 3 {value} GET {kind} 3 INCRBY {kind} 3 {first} GET {kind} 3"
            ]
    same([*script, "GET k"], resp=(3,))


def test_types_and_offsets() -> None:
    types = ["i0", "i65", "u0", "u64", "u65", "i", "u", "", "8", "I8", "U8", "x8", "i08", "i-1", "i+1", "u8 ", "u8.0",
             "i9223372036854775807", "i9223372036854775808", "u8\0x", "u8x"]  # fmt: skip
    offsets = ["-1", "#-1", "#", "##1", "a", "", "1.5", "01", "#01", "4294967295", "4294967296", "#536870911",
               "#536870912", "9223372036854775807", "#9223372036854775807", "9223372036854775808", " 1"]  # fmt: skip
    same([["SET", "k", bytes(range(1, 40))],
          *(["BITFIELD", "k", "GET", kind, "0"] for kind in types),
          *(["BITFIELD", "missing", "SET", kind, "0", "1"] for kind in types),
          *(["BITFIELD", "k", "GET", "u8", at] for at in offsets),
          *(["BITFIELD", "missing", "SET", "u8", at, "x"] for at in offsets),
          *(f"BITFIELD k GET {kind} {at}" for kind in TYPES for at in (0, 1, 7, 8, 300, 311, 312, 400, "#0", "#3"))],
         state=True)  # fmt: skip


def test_forms() -> None:
    same(["BITFIELD", "BITFIELD k", "BITFIELD k GET", "BITFIELD k GET u8", "BITFIELD k GET u8 0 GET",
          "BITFIELD k SET u8 0", "BITFIELD k INCRBY u8 0", "BITFIELD k INCRBY u8 0 x", "BITFIELD k INCRBY u8 0 1.5",
          "BITFIELD k SET u8 0 9223372036854775808", "BITFIELD k OVERFLOW", "BITFIELD k OVERFLOW bogus",
          "BITFIELD k OVERFLOW SAT", "BITFIELD k OVERFLOW SAT OVERFLOW fail", "BITFIELD k BOGUS u8 0",
          "BITFIELD k SET u8 0 1 BOGUS", "EXISTS k", "bitfield k set u8 0 255 get u8 0 incrby u8 0 1 get u8 0",
          "BITFIELD k OVERFLOW SAT INCRBY u8 0 300 OVERFLOW wrap INCRBY u8 0 1 OVERFLOW Fail INCRBY i8 0 300",
          "BITFIELD k SET i8 100 1 SET u8 #1 7", "GET k", "BITFIELD_RO k", "BITFIELD_RO k GET u8 0 GET i8 100",
          "BITFIELD_RO k SET u8 0 1", "BITFIELD_RO k GET u8 0 INCRBY u8 0 1", "BITFIELD_RO k SET u8 0 x",
          "BITFIELD_RO k OVERFLOW SAT GET u8 0", "BITFIELD_RO k OVERFLOW x", "BITFIELD_RO missing GET u8 0",
          "BITFIELD_RO", "BITFIELD missing GET u8 0 GET i64 9", "EXISTS missing", "SET n 12", "OBJECT ENCODING n",
          "BITFIELD n GET u8 0", "OBJECT ENCODING n", "BITFIELD n INCRBY u8 0 1", "OBJECT ENCODING n", "GET n"],
         state=True)  # fmt: skip


def test_wrong_types_and_refused_growth() -> None:
    same(["RPUSH l a", "BITFIELD l", "BITFIELD l GET u8 0", "BITFIELD l SET u8 0 1", "BITFIELD_RO l GET u8 0",
          "BITFIELD_RO l SET u8 0 1", "BITFIELD l SET u8 0 x", "BITFIELD k OVERFLOW FAIL SET u4 100 16", "GET k",
          "BITFIELD k OVERFLOW FAIL INCRBY u4 200 16", "GET k", "SET t a EX 100", "BITFIELD t SET u8 0 1", "TTL t",
          "BITFIELD t OVERFLOW FAIL INCRBY u4 200 16", "TTL t", "STRLEN t"], state=True)  # fmt: skip


KIND = st.sampled_from(TYPES)
OFFSET = st.integers(0, 200).map(str) | st.integers(0, 9).map("#{}".format)
VALUE = st.sampled_from(EDGES) | st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300)
OPERATION = st.one_of(
    st.tuples(st.just("GET"), KIND, OFFSET),
    st.tuples(st.sampled_from(["SET", "INCRBY"]), KIND, OFFSET, VALUE),
    st.tuples(st.just("OVERFLOW"), st.sampled_from(["WRAP", "SAT", "FAIL"])),
).map(list)
COMMANDS = st.builds(
    lambda name, key, operations: [name, key, *(word for operation in operations for word in operation)],
    st.sampled_from(["BITFIELD"] * 5 + ["BITFIELD_RO"]),
    st.sampled_from(["a", "b"]),
    st.lists(OPERATION, min_size=1, max_size=8),
)


@examples(100)
@given(st.lists(COMMANDS, max_size=12))
def test_generated_operations(script: list[AnyCommand]) -> None:
    agree(script)
