"""Strings against the reference: every command, option, conflict, error, missing and wrong-typed key."""

import itertools

import pytest

from tests.oracle.harness import AnyCommand, Loose, pair, requires, same

PAST = 1_000
FAR = 99_999_999_999
FAR_MS = FAR * 1000
TYPES = ["SET s abc", "SET n 7", "APPEND s d", "RPUSH l a", "HSET h f v", "SADD e m", "ZADD z 1 m", "XADD x 1-1 f v"]
NAMES = ("s", "n", "l", "h", "e", "z", "x", "missing")


def test_set_and_get() -> None:
    same(["SET k v", "GET k", "set k w", "GET k", "GET missing", 'SET "" ""', 'GET ""', "SET k", "GET", "GET a b"])
    same([["SET", b"\x00k\r\n", b"\x00v\r\n"], ["GET", b"\x00k\r\n"], ["SET", "big", b"x" * 70_000], "GET big"])


def test_set_replaces_any_type_and_drops_the_deadline() -> None:
    same([*TYPES, *(f"SET {name} new" for name in NAMES), *(f"GET {name}" for name in NAMES)], state=True)
    same(["SET k v EX 1000", "SET k w", "TTL k", "SET k v EX 1000", "SET k w KEEPTTL", Loose("TTL k")], state=True)


OPTIONS = [
    "", "NX", "XX", "GET", "KEEPTTL", "EX 1000", "PX 1000000", f"EXAT {FAR}", f"PXAT {FAR_MS}", "IFEQ abc",
    "IFNE abc", "IFDEQ 78af5f94892f3950", "IFDEQ 78AF5F94892F3950", "IFDNE 78af5f94892f3950",
    "IFDNE 0000000000000000", "IFDEQ short", f"EXAT {PAST}", f"PXAT {PAST}", "EX", "IFEQ", "BOGUS", "PERSIST",
]  # fmt: skip


@requires("8.4")
@pytest.mark.parametrize("first", OPTIONS)
def test_set_with_two_options(first: str) -> None:
    script: list[AnyCommand] = []
    for second in OPTIONS:
        if "short" in first + second and "GET" in first + second:
            continue  # Redis answers twice: the old value, then the error.
        for value in ("SET k abc", "SET k abc EX 500", "RPUSH k a", "DEL k"):
            script += ["DEL k", value, f"SET k new {first} {second}", "TYPE k", Loose("TTL k")]
    same(script)


@requires("8.4")
def test_set_with_three_options() -> None:
    script: list[AnyCommand] = []
    for options in itertools.product(("NX", "XX", "IFEQ abc"), ("GET", "get GET"), ("EX 100", "KEEPTTL")):
        for value in ("SET k abc", "RPUSH k a", "DEL k"):
            script += ["DEL k", value, f"SET k new {' '.join(options)}", "TYPE k", Loose("TTL k")]
    same(script)


TIMES = ["10", "0", "-1", "a", "1.5", " 1", "01", "9223372036854775807", "9223372036854775808", "9223372036854775",
         "9223372036854776", "-9223372036854775808", ""]  # fmt: skip


def test_expire_times_of_set() -> None:
    same([["SET", "k", "v", unit, time] for unit in ("EX", "PX", "EXAT", "PXAT", "ex") for time in TIMES], state=True)
    same([[name, "k", time, "v"] for name in ("SETEX", "PSETEX") for time in TIMES], state=True)
    same([[name, "k", time] for name in ("SETEX", "PSETEX") for time in TIMES])


def test_setex_replaces_any_type() -> None:
    for name in ("SETEX", "PSETEX"):
        same([*TYPES, *(f"{name} {key} 1000000 v" for key in NAMES), *(f"GET {key}" for key in NAMES)], state=True)


def test_setnx() -> None:
    same([*TYPES, *(f"SETNX {name} v" for name in NAMES), "SETNX k", "SETNX k v w"], state=True)


def test_getset_and_getdel() -> None:
    same([*TYPES, *(f"GETSET {name} v" for name in NAMES), "GETSET k"], state=True)
    same(["SET k v EX 100", "GETSET k w", "TTL k"])
    same([*TYPES, *(f"GETDEL {name}" for name in NAMES), "GETDEL", "GETDEL s t"], state=True)


GETEX_OPTIONS = ["", "PERSIST", "EX 100", "PX 100000", f"EXAT {FAR}", f"PXAT {FAR_MS}", "EXAT 5", "PXAT 5", "EX",
                 "KEEPTTL", "EX 0", "PX -1", "EXAT a", "persist", "NX", "EX 9223372036854775807"]  # fmt: skip


@pytest.mark.parametrize("first", GETEX_OPTIONS)
def test_getex(first: str) -> None:
    script: list[AnyCommand] = []
    for second in ("", "PERSIST", "EX 50", f"PXAT {FAR_MS}"):
        for value in ("SET k v", "SET k v EX 500", "RPUSH k a", "DEL k"):
            script += ["DEL k", value, f"GETEX k {first} {second}", "EXISTS k", Loose("TTL k")]
    same(script)


def test_several_strings() -> None:
    same([*TYPES, "MGET " + " ".join(NAMES), "MGET s s", "MGET"])
    same([*TYPES, "MSET s 1 l 2 missing 3 s 4", "MSET a", "MSET a b c", "MSET", "MGET s l missing"], state=True)
    same([*TYPES, "MSETNX a 1 s 2", "MSETNX a 1 b 2 a 3", "MSETNX a 1", "MSETNX b 1 c", "MSETNX a"], state=True)
    same(["SET k v EX 100", "MSET k w", "TTL k"])


@requires("8.4")
def test_msetex() -> None:
    script: list[AnyCommand] = ["MSETEX", "MSETEX 1 a", "MSETEX 0 a 1", "MSETEX -1 a 1", "MSETEX x a 1",
              "MSETEX 2 a 1", "MSETEX 1 a 1 b",
              "MSETEX 2147483648 a 1", "MSETEX 2147483647 a 1", "MSETEX 2 a 1 b", "MSETEX 1 a 1 EX",
              "MSETEX 1 a 1 EX 0", "MSETEX 1 a 1 EX x", "MSETEX 1 a 1 GET", "MSETEX 1 a 1 PERSIST",
              "MSETEX 1 a 1 EX 9223372036854775807", "MSETEX 1 a 1 KEEPTTL EX 1", "MSETEX 1 a 1 NX XX"]  # fmt: skip
    for condition in ("", "NX", "XX"):
        for expiry in ("", "KEEPTTL", "EX 100", "PX 100000", f"EXAT {FAR}", f"PXAT {FAR_MS}", "PXAT 5", "EXAT 5"):
            script += ["FLUSHALL", "SET a 0 EX 500", "RPUSH b x"]
            script += [f"MSETEX 2 a 1 b 2 {expiry} {condition}", "MGET a b", Loose("TTL a"), Loose("TTL b")]
            script += [f"MSETEX 2 b 1 c 2 {condition} {expiry}", "MGET b c", Loose("TTL b"), Loose("TTL c")]
            script += [f"MSETEX 2 d 1 d 2 {condition} {expiry}", "GET d", Loose("TTL d")]
    same(script, state=True)


def test_append() -> None:
    same(
        [*TYPES, *(f"APPEND {name} tail" for name in NAMES), "GET s", "GET n", "APPEND k", 'APPEND new ""'], state=True
    )
    same(["SET k v EX 100", "APPEND k w", Loose("TTL k"), "GET k", 'APPEND k ""', "APPEND k x", "STRLEN k"])
    same(["SET n 1", "APPEND n 2", "INCR n", "APPEND n x", "INCR n", "GET n"])


def test_setrange() -> None:
    same(
        [*TYPES, *(f"SETRANGE {name} 2 XY" for name in NAMES), *(f'SETRANGE {name} 2 ""' for name in NAMES)], state=True
    )
    same(["SET k abc", "SETRANGE k 6 x", "GET k", "SETRANGE k 0 yyyyyyyyyy", "GET k", "SETRANGE k 3 z", "GET k"])
    same(["SETRANGE k -1 x", "SETRANGE k a x", "SETRANGE k 9223372036854775807 x", "SETRANGE k 536870912 x",
          "SETRANGE k 536870911 xx", "SETRANGE k 0", 'SETRANGE k 536870912 ""', "EXISTS k",
          "RPUSH l a", "SETRANGE l 536870912 x", "SETRANGE l -1 x"])  # fmt: skip


def test_strings_too_long() -> None:
    cleanup = ("CONFIG SET proto-max-bulk-len 536870912",)
    same(["CONFIG SET proto-max-bulk-len 1048576", ["SET", "k", "x" * 1_048_570], "APPEND k 123456", "APPEND k 1",
          "SETRANGE k 1048575 y", "SETRANGE k 1048576 y", "SETRANGE new 1048575 ab", "STRLEN k", "STRLEN new",
          "SET a " + "x" * 600, "SET b " + "y" * 600, "LCS a b LEN"], cleanup=cleanup)  # fmt: skip


RANGES = ["0", "1", "3", "-1", "-2", "-4", "-5", "-100", "100", "9223372036854775807", "-9223372036854775808"]


@pytest.mark.parametrize("name", ["GETRANGE", "SUBSTR"])
def test_getrange(name: str) -> None:
    script: list[AnyCommand] = ["SET k abcd", "APPEND grown ab", "APPEND grown cd"]
    script += [f"{name} {key} {a} {b}" for key in ("k", "grown", "missing") for a in RANGES for b in RANGES]
    same([*script, f"{name} k a 1", f"{name} k 1 a", f"{name} k 1", "RPUSH l a", f"{name} l 0 1", f"{name} l a 1"])


def test_strlen() -> None:
    same([*TYPES, *(f"STRLEN {name}" for name in NAMES), "STRLEN"])


@requires("8.4")
def test_digest() -> None:
    same([*TYPES, *(f"DIGEST {name}" for name in NAMES), "DIGEST", "DIGEST a b", 'SET e ""', "DIGEST e"])
    lengths = (1, 3, 4, 16, 17, 128, 129, 240, 241, 1024, 5000)
    script: list[AnyCommand] = []
    for n in lengths:
        script += [["SET", "k", b"\xff" * n], "DIGEST k"]
    same(script)


@requires("8.4")
def test_delex() -> None:
    script: list[AnyCommand] = ["DELEX", "DELEX k IFEQ", "DELEX k IFEQ a b", "DELEX k BOGUS a"]
    for condition in [*OPTIONS[9:16], "IFEQ nope", "ifeq abc", "BOGUS x", "NX a"]:
        for value in ("SET k abc", "APPEND k abc", "RPUSH k a", "DEL k"):
            script += ["DEL k", value, f"DELEX k {condition}", "EXISTS k"]
    same([*script, *TYPES, *(f"DELEX {name}" for name in NAMES)], state=True)


def test_lcs() -> None:
    same(["MSET a ohmytext b mynewtext", "LCS a b", "LCS a b LEN", "LCS a b IDX", "LCS a b IDX MINMATCHLEN 4",
          "LCS a b IDX WITHMATCHLEN", "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "LCS a b MINMATCHLEN -5 IDX",
          "LCS a b LEN WITHMATCHLEN", "LCS a b LEN IDX", "LCS a b MINMATCHLEN", "LCS a b MINMATCHLEN x",
          "LCS a b BOGUS", "LCS a", "LCS a missing", "LCS a missing IDX", "LCS missing gone LEN", "LCS a a IDX",
          "RPUSH l x", "LCS a l", "LCS l a BOGUS", "LCS missing l", "APPEND c my", "APPEND c text",
          "LCS a c IDX"])  # fmt: skip


def test_wrong_types() -> None:
    same(["RPUSH l a", "GET l", "SET l x GET", "GETEX l", "GETEX l EX 10", "GETEX l EX 0", "GETDEL l", "GETSET l v",
          "APPEND l v", "SETRANGE l 0 v", "GETRANGE l 0 1", "STRLEN l", "MGET l"])  # fmt: skip


EVENTS = ["SET k v", "SET k w", "SET k w EX 100", "SET k w XX GET", "SET k w NX", "SET k w PXAT 5", "SETNX k v",
          "SETEX k 100 v", "GETSET k w", "GETEX k EX 10", "GETEX k PERSIST", "GETEX k PERSIST", "GETEX k PXAT 5",
          "GETEX k", "GETDEL k", "GETDEL k", "MSET k 1 j 2", "MSETNX k 1", "MSETNX m 1 n 2", "APPEND k v", "APPEND o v",
          "SETRANGE k 1 v", 'SETRANGE k 1 ""', "SETRANGE p 1 v", "INCR q", "INCRBY q 2", "DECR q", "INCRBYFLOAT q 1.5",
          "RPUSH l a", "SET l x", "RPUSH l2 a", "SETEX l2 100 v", "GET nothing", "MGET nothing k", "STRLEN nothing",
          "DEL k j k", "LCS nothing m"]  # fmt: skip
NEWER_EVENTS = ["SET k v IFEQ x", "SET k v IFNE x", "DELEX k IFEQ v", "MSETEX 2 k 1 j 2 EX 100", "MSETEX 1 k 2 KEEPTTL",
                "INCREX q", "INCREX q BYFLOAT 1.5 EX 100", "INCREX q BYFLOAT 1 PERSIST",
                "INCREX q BYFLOAT 1 PXAT 5", "INCREX q PXAT 5", "INCREX q UBOUND 0"]  # fmt: skip


@requires("8.8")
@pytest.mark.parametrize("letters", ["KEA", "KEAmnoc"])
def test_events_of_strings(letters: str) -> None:
    cleanup = ('CONFIG SET notify-keyspace-events ""',)
    with pair(cleanup=cleanup) as servers:
        listener, client = servers.client(resp=3), servers.client()
        client.do(f"CONFIG SET notify-keyspace-events {letters}")
        listener.do("PSUBSCRIBE __key*")
        for command in EVENTS + NEWER_EVENTS:
            client.do(command)
            servers.settle()
            listener.drain()
