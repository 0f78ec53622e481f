"""Counters against the reference: INCR and its relatives, INCRBYFLOAT, INCREX."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, Loose, examples, requires, same

FAR = 99_999_999_999
NAMES = ("n", "s", "l", "missing", "grown")
VALUES = ["SET n 7", "SET s abc", "RPUSH l a", "APPEND grown 1", "APPEND grown 2"]
INTEGERS = ["1", "-1", "0", "9223372036854775807", "-9223372036854775808", "-9223372036854775807",
            "9223372036854775808", "a", "", "1.0", "+1", "01", "-0", " 1", "1 "]  # fmt: skip


@pytest.mark.parametrize("name", ["INCR", "DECR"])
def test_by_one(name: str) -> None:
    same([*VALUES, *(f"{name} {key}" for key in NAMES), "MGET n s missing grown", f"{name}", f"{name} k 1"])
    for value in INTEGERS:
        same([["SET", "k", value], f"{name} k", f"{name} k", "GET k"])
    same(["SET k 1 EX 100", f"{name} k", Loose("TTL k")])


@pytest.mark.parametrize("name", ["INCRBY", "DECRBY"])
def test_by_integer(name: str) -> None:
    same([*VALUES, *(f"{name} {key} 5" for key in NAMES), *(f"{name} {key} a" for key in NAMES), f"{name} k"])
    for value in INTEGERS:
        same([["SET", "k", value], *([name, "k", increment] for increment in INTEGERS), "GET k"], resp=(2,))
    same([step for increment in INTEGERS for step in ("DEL k", [name, "k", increment], "GET k")])


FLOATS = ["1", "-1", "0.1", "0.2", "-0.3", "1e3", "1e-20", "1.5e300", "3.0e4000", "5.0000000000000000000001", "inf",
          "-inf", "nan", "a", "", " 1", "1 ", "0x10", "1e5000", ".5", "5.", "-0.0", "9223372036854775807",
          "10.50", "123456789012345678901234567890"]  # fmt: skip


def test_by_float() -> None:
    same([*VALUES, *(f"INCRBYFLOAT {key} 0.5" for key in NAMES), "GET grown", "INCRBYFLOAT k", "INCRBYFLOAT l a"])
    same([step for value in FLOATS for step in ("DEL k", ["INCRBYFLOAT", "k", value], "GET k")])
    same(["SET k 1 EX 100", "INCRBYFLOAT k 1.5", Loose("TTL k")])


@pytest.mark.parametrize("value", FLOATS)
def test_by_float_to(value: str) -> None:
    same([step for increment in FLOATS for step in (["SET", "k", value], ["INCRBYFLOAT", "k", increment])], resp=(2,))


INCREX_OPTIONS = ["", "BYINT 5", "BYINT -5", "BYFLOAT 0.5", "BYFLOAT -1e3", "BYFLOAT inf", "BYFLOAT x", "BYINT 1.5",
                  "LBOUND 0", "UBOUND 8", "LBOUND 9", "UBOUND 0.5", "LBOUND x", "UBOUND inf", "SATURATE", "ENX",
                  "PERSIST", "EX 100", "PX 100000", f"EXAT {FAR}", "PXAT 5", "EX 0", "EX x", "EX", "BYINT",
                  "BOGUS", "saturate"]  # fmt: skip


@requires("8.8")
@pytest.mark.parametrize("first", INCREX_OPTIONS)
def test_increx_with_two_options(first: str) -> None:
    script: list[AnyCommand] = []
    for second in INCREX_OPTIONS:
        for value in ("SET k 7", "SET k 7 EX 500", "DEL k"):
            script += ["DEL k", value, f"INCREX k {first} {second}", "GET k", Loose("TTL k")]
    same(script)


@requires("8.8")
def test_increx_bounds() -> None:
    script: list[AnyCommand] = []
    for value in ("0", "10", "-10", "9223372036854775807", "-9223372036854775808", "0.5", "1e4000", "inf", "x", ""):
        for by in ("BYINT 5", "BYINT -5", "BYINT 9223372036854775807", "BYINT -9223372036854775808", "BYFLOAT 0.25",
                   "BYFLOAT -1e4932", "BYFLOAT 1e4932", "BYFLOAT 1.1e4932"):  # fmt: skip
            for bounds in ("", "LBOUND -3 UBOUND 12", "UBOUND 12", "LBOUND 100", "UBOUND -5 LBOUND -7"):
                for mode in ("", "SATURATE"):
                    script += [["SET", "k", value], f"INCREX k {by} {bounds} {mode}", "GET k"]
    same(script)


@requires("8.8")
def test_increx_expiry() -> None:
    script: list[AnyCommand] = []
    for value in ("SET k 7", "SET k 7 EX 500", "DEL k", "RPUSH k a", "APPEND k 7", "SET k abc"):
        for expiry in ("", "EX 100", "EX 100 ENX", "ENX EX 100", "PXAT 5", "PXAT 5 ENX", "PERSIST", "PERSIST PERSIST",
                       "ENX PERSIST", "EX 1 PX 1", "SATURATE SATURATE", "LBOUND 1 LBOUND 2",
                       "ENX ENX EX 5"):  # fmt: skip
            for by in ("BYINT 1", "BYFLOAT 1.5", "UBOUND 0"):
                script += ["DEL k", value, f"INCREX k {by} {expiry}", "EXISTS k", Loose("TTL k")]
    same([*script, "INCREX", "INCREX k BYINT 1 BYFLOAT 1"])


number = st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20)
decimal = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12).map(str)
counting = st.one_of(
    st.builds(lambda n: ["SET", "k", str(n)], number | decimal),
    st.builds(lambda name: [name, "k"], st.sampled_from(["INCR", "DECR", "GET", "DEL"])),
    st.builds(lambda name, n: [name, "k", str(n)], st.sampled_from(["INCRBY", "DECRBY"]), number),
    st.builds(lambda n: ["INCRBYFLOAT", "k", n], decimal),
    st.builds(lambda n, a, b: f"INCREX k BYINT {n} LBOUND {a} UBOUND {b} SATURATE".split(), number, number, number),
    st.builds(lambda n, a: f"INCREX k BYFLOAT {n} UBOUND {a}".split(), decimal, decimal),
)


@requires("8.8")
@examples(40)
@given(st.lists(counting, max_size=30))
def test_generated_counting(script: list[list[str]]) -> None:
    same(script, resp=(2,))
