"""Deadlines against the reference, and generated scripts over strings, keys and deadlines.

No test waits for a key to expire: deadlines are far off, or have passed when they are set.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, Loose, agree, examples, requires, same

FAR = 99_999_999_999
NUMBERS = ["100", "0", "-1", "a", "", "1.5", " 1", "+1", "9223372036854775807", "9223372036854775808",
           "9223372036854775", "9223372036854776", "-9223372036854775", "-9223372036854776",
           "-9223372036854775808", str(FAR), str(FAR * 1000)]  # fmt: skip
COMMANDS = ("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT")


@pytest.mark.parametrize("name", COMMANDS)
def test_numbers(name: str) -> None:
    script: list[AnyCommand] = []
    for number in NUMBERS:
        script += ["SET k v", [name, "k", number], "EXISTS k", Loose("TTL k"), [name, "missing", number]]
    same([*script, name, f"{name} k", "SET k v", f"{name} k x NX XX", f"{name} k 9223372036854775807 NX"])


@pytest.mark.parametrize("name", COMMANDS)
def test_conditions(name: str) -> None:
    later = {"EXPIRE": 2000, "PEXPIRE": 2_000_000, "EXPIREAT": FAR, "PEXPIREAT": FAR * 1000}[name]
    sooner = {"EXPIRE": 10, "PEXPIRE": 10_000, "EXPIREAT": 5, "PEXPIREAT": 5}[name]
    script: list[AnyCommand] = []
    for options in ("", "NX", "XX", "GT", "LT", "NX XX", "NX GT", "NX LT", "XX GT", "XX LT", "GT LT", "XX GT LT",
                    "BOGUS", "NX BOGUS", "nx", "NX NX", "GT GT"):  # fmt: skip
        for value in ("SET k v", "SET k v EX 1000", "DEL k", "RPUSH k a"):
            for number in (later, sooner, -5):
                script += ["DEL k", value, f"{name} k {number} {options}", "EXISTS k", Loose("TTL k")]
    same(script)


def test_the_same_deadline_again() -> None:
    same([f"SET k v PXAT {FAR}000", f"PEXPIREAT k {FAR}000 GT", f"PEXPIREAT k {FAR}000 LT", f"PEXPIREAT k {FAR}001 GT",
          "PEXPIRETIME k", f"PEXPIREAT k {FAR}000 LT", "PEXPIRETIME k", "EXPIRETIME k", f"PEXPIREAT k {FAR}499",
          "EXPIRETIME k", f"PEXPIREAT k {FAR}500", "EXPIRETIME k"])  # fmt: skip


def test_reading_deadlines() -> None:
    script: list[AnyCommand] = ["SET k v", "RPUSH l a", f"EXPIREAT l {FAR}"]
    for name in ("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"):
        script += [f"{name} k", Loose(f"{name} l", 2000), f"{name} missing", name, f"{name} a b"]
    same([*script, "PERSIST k", "PERSIST l", "PERSIST l", "PERSIST missing", "PERSIST", "TTL l"])


def test_deadlines_follow_their_keys() -> None:
    same(["SET k v EX 100", "SET k w", "TTL k", "EXPIRE k 100", "SETRANGE k 0 x", "INCRBYFLOAT n 1", "EXPIRE n 100",
          "INCR n", "INCRBYFLOAT n 1.5", Loose("TTL n"), Loose("TTL k"), "GETSET k y", "TTL k", "EXPIRE k 100",
          "MSET k z", "TTL k", "EXPIRE k 100", "DEL k", "SET k v", "TTL k"])  # fmt: skip


names = st.sampled_from(["a", "b", "c"])
values = st.sampled_from(["", "0", "1", "-7", "abc", "3.5", "x" * 50, "9223372036854775807"])
numbers = st.sampled_from(["0", "1", "-1", "3", "9223372036854775807", "x", "1.5"])
expiry = st.sampled_from(["EX 5000", "PX 5000000", f"EXAT {FAR}", f"PXAT {FAR}000", "EXAT 5", "PXAT 5", "KEEPTTL", ""])
conditions = st.sampled_from(["", "NX", "XX", "GET", "IFEQ abc", "IFNE abc", "NX GET"])


def not_past(option: str) -> bool:
    """MSETEX sets keys with a deadline of the past, and Redis counts them in DBSIZE until it comes across them."""
    return not option.endswith(" 5")


expire_conditions = st.sampled_from(["", "NX", "XX", "GT", "LT"])
of_a_key = st.sampled_from(["GET", "GETDEL", "INCR", "DECR", "STRLEN", "DEL", "TYPE", "PERSIST", "EXISTS", "DIGEST",
                            "OBJECT ENCODING"])  # fmt: skip
of_a_value = st.sampled_from(["APPEND", "SETNX", "GETSET", "RPUSH", "SADD"])
of_a_number = st.sampled_from(["INCRBY", "DECRBY", "INCRBYFLOAT"])
of_two_keys = st.sampled_from(["RENAME", "RENAMENX", "COPY", "LCS", "MGET"])
script_of_keys = st.one_of(
    st.builds(lambda k, v, e, c: ["SET", k, v, *e.split(), *c.split()], names, values, expiry, conditions),
    st.builds(lambda name, k: [*name.split(), k], of_a_key, names),
    st.builds(lambda name, k, v: [name, k, v], of_a_value, names, values),
    st.builds(lambda name, k, n: [name, k, n], of_a_number, names, numbers),
    st.builds(lambda name, k, j: [name, k, j], of_two_keys, names, names),
    st.builds(lambda k, j, e: ["MSETEX", "2", k, "1", j, "2", *e.split()], names, names, expiry.filter(not_past)),
    st.builds(lambda k, e: ["GETEX", k, *e.replace("KEEPTTL", "PERSIST").split()], names, expiry),
    st.builds(lambda k, n, v: ["SETRANGE", k, n, v], names, numbers, values.filter(lambda v: len(v) < 40)),
    st.builds(lambda k, a, b: ["GETRANGE", k, a, b], names, numbers, numbers),
    st.builds(lambda k, c: ["PEXPIREAT", k, f"{FAR}000", *c.split()], names, expire_conditions),
    st.builds(lambda k, n: ["EXPIRE", k, n], names, st.sampled_from(["5000", "-1", "0"])),
    st.builds(lambda k, n: ["MOVE", k, n], names, st.sampled_from(["0", "1", "2"])),
    st.builds(lambda a, b: ["SWAPDB", a, b], st.sampled_from("012"), st.sampled_from("012")),
    st.builds(lambda n: ["SELECT", n], st.sampled_from("012")),
    st.sampled_from([["DBSIZE"], ["MSET", "a", "1", "b", "2"], ["MSETNX", "b", "1", "c", "2"], ["FLUSHDB"]]),
)  # fmt: skip


@requires("8.4")
@examples(50)
@given(st.lists(script_of_keys, max_size=40))
def test_generated(script: list[list[str]]) -> None:
    # Redis keeps the sum of INCRBYFLOAT as text where it is an integer, and so names another encoding.
    if any(command[0] == "INCRBYFLOAT" for command in script):
        script = [command for command in script if command[0] != "OBJECT"]
    agree(script)
