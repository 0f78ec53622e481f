"""Keys against the reference: every command, option, conflict, error, missing key and type."""

import pytest

from tests.oracle.harness import AnyCommand, Loose, Masked, Shape, Unordered, pair, requires, same

TYPES = ["SET s abc", "SET n 7", "APPEND s d", "RPUSH l a b", "HSET h f v", "SADD e m", "ZADD z 1 m", "XADD x 1-1 f v"]
NAMES = ("s", "n", "l", "h", "e", "z", "x", "missing")
OUT_OF_RANGE = ["-1", "16", "a", "", "99999999999", "-99999999999", "9223372036854775808", "1.0"]


def test_del_exists_touch_type() -> None:
    for name in ("DEL", "UNLINK", "EXISTS", "TOUCH"):
        same(
            [*TYPES, f"{name} s", f"{name} l h missing l", f"{name} {' '.join(NAMES)}", f"{name}", "DBSIZE"], state=True
        )
    same([*TYPES, *(f"TYPE {name}" for name in NAMES), "TYPE", "TYPE a b", "EXISTS s s s"])


@pytest.mark.parametrize("name", ["RENAME", "RENAMENX"])
def test_rename(name: str) -> None:
    for target in ("new", "s", "l"):
        for source in NAMES:
            same([*TYPES, f"{name} {source} {target}", f"TYPE {source}", f"TYPE {target}"], state=True)
    same(["SET a 1 EX 100", "SET b 2 EX 500", f"{name} a b", Loose("TTL a"), Loose("TTL b"), f"{name} b c",
          Loose("TTL c"), "TTL b", f"{name} c", f"{name} c d e", "SET p 1", "SET q 1 EX 9", f"{name} p q",
          "TTL q"])  # fmt: skip


def test_copy() -> None:
    same([*TYPES, *(f"COPY {name} {name}2" for name in NAMES)], state=True)
    same([*TYPES, *(f"COPY {name} s" for name in NAMES), *(f"COPY {name} s REPLACE" for name in NAMES)], state=True)
    same(["SET a 1 EX 100", "SET b 2", "COPY a b", "COPY a b REPLACE", Loose("TTL b"), "COPY a c", Loose("TTL c"),
          "COPY b a REPLACE", "COPY a a", "COPY a a REPLACE", "COPY missing missing", "COPY a d DB 3 REPLACE",
          "COPY a a DB 3", "COPY a a DB 0", "COPY a d DB 3", "COPY a e DB", "COPY a e BOGUS", "COPY a e REPLACE DB",
          "COPY a", "COPY a e DB 3 DB 4", "copy a f replace replace db 5"], state=True)  # fmt: skip
    same([["COPY", "a", "b", "DB", index] for index in OUT_OF_RANGE])


def test_copies_are_independent() -> None:
    same([*TYPES, *(f"COPY {name} {name}2" for name in NAMES), "APPEND s2 x", "INCR n2", "RPUSH l2 z", "HSET h2 g w",
          "SADD e2 q", "ZADD z2 9 q", "XADD x2 2-2 f v"], state=True)  # fmt: skip


def test_move() -> None:
    same([*TYPES, *(f"MOVE {name} 3" for name in NAMES), "DBSIZE"], state=True)
    same(["SET a 1 EX 100", "MOVE a 1", "SELECT 1", Loose("TTL a"), "MOVE a 1", "SELECT 0", "SET a 2", "MOVE a 1",
          "MOVE a 0", "MOVE missing 0", "MOVE a", "MOVE a 1 2"], state=True)  # fmt: skip
    same([["MOVE", "a", index] for index in OUT_OF_RANGE])


def test_swapdb_flush_dbsize() -> None:
    same([*TYPES, "SELECT 1", "SET other 1 EX 100", "SWAPDB 0 1", "DBSIZE", "SELECT 0", "DBSIZE", Loose("TTL other"),
          "SWAPDB 0 0", "SWAPDB 5 6", "SWAPDB 0", "DBSIZE x"], state=True)  # fmt: skip
    same([["SWAPDB", a, b] for a in OUT_OF_RANGE for b in ("0", *OUT_OF_RANGE)])
    for name in ("FLUSHDB", "FLUSHALL"):
        for mode in ("", "ASYNC", "sync", "BOGUS", "SYNC ASYNC"):
            same([*TYPES, "SELECT 1", "SET a 1", f"{name} {mode}", "DBSIZE", "SELECT 0", "DBSIZE"], state=True)


def test_keys() -> None:
    names = ["", "*", "a", "ab", "abc", "b", "key:1", "key:2", "key:10", "[x]", "a\\b", "A"]
    patterns = ["*", "", "a*", "?", "??", "key:*", "key:[12]", "[^a]", "\\*", "*b*", "\\[*", "nothing", "a\\\\b"]
    store = [["SET", name, "v"] for name in names]
    same([*store, *(Unordered(["KEYS", pattern]) for pattern in patterns), "KEYS", "KEYS a b"])


def test_randomkey() -> None:
    same(["RANDOMKEY", "SET a 1", "RANDOMKEY", "RANDOMKEY x", "SET b 1", Masked("RANDOMKEY", lambda reply: reply[:4])])


def test_scan_of_a_small_database() -> None:
    whole = [f"SCAN 0 COUNT 1000{rest}" for rest in ("", " MATCH *", " MATCH [hx]", " TYPE string", " TYPE LIST",
             " type zset", " TYPE bogus", " MATCH s TYPE string", " MATCH a MATCH l",
             " TYPE set TYPE stream")]  # fmt: skip
    same([*TYPES, *(Unordered(command) for command in whole)])
    same(["SCAN", "SCAN a", "SCAN -1", "SCAN 0 COUNT", "SCAN 0 COUNT 0", "SCAN 0 COUNT -1", "SCAN 0 COUNT x",
          "SCAN 0 MATCH", "SCAN 0 TYPE", "SCAN 0 BOGUS 1", "SCAN 0 NOVALUES", "SCAN 0 COUNT x NOVALUES",
          "SCAN 18446744073709551616", "SCAN 0 COUNT 9223372036854775808",
          "SCAN 1.5", ["SCAN", ""], ["SCAN", " 0"], "SCAN 0"])  # fmt: skip
    same(["SCAN 0 COUNT 9223372036854775807", Shape("SCAN 18446744073709551615"), Shape("SCAN 12345 COUNT 1")])


def test_object() -> None:
    same([*TYPES, *(f"OBJECT {sub} {name}" for sub in ("ENCODING", "REFCOUNT", "FREQ") for name in NAMES)])
    same([*TYPES, *(f"OBJECT IDLETIME {name}" for name in NAMES)])
    same(["OBJECT", "OBJECT BOGUS", "OBJECT BOGUS a", "OBJECT ENCODING", "OBJECT ENCODING a b", "OBJECT FREQ",
          "OBJECT HELP a", "object encoding missing"])  # fmt: skip


def test_object_under_an_lfu_policy() -> None:
    script: list[AnyCommand] = [
        "CONFIG SET maxmemory-policy allkeys-lfu",
        "SET k v",
        Shape("OBJECT FREQ k"),
        "OBJECT IDLETIME k",
    ]
    same([*script, "OBJECT FREQ missing"], cleanup=("CONFIG SET maxmemory-policy noeviction",))


@requires("8.2")
def test_encodings_of_strings() -> None:
    script: list[AnyCommand] = []
    for length in (1, 30, 38, 39, 40, 41, 42, 44, 45):
        for key in ("k", "ke", "key1", "k" * 20, "k" * 37):
            script += [
                ["SET", key, "x" * length],
                f"OBJECT ENCODING {key}",
                f"EXPIRE {key} 100",
                f"OBJECT ENCODING {key}",
            ]
    for value in (
        "0",
        "-1",
        "01",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1.5",
        "+1",
        "",
    ):
        script += [["SET", "k", value], "OBJECT ENCODING k", 'APPEND k ""', "OBJECT ENCODING k", "COPY k j REPLACE",
                   "OBJECT ENCODING j", "DEL k", ["APPEND", "k", value], "OBJECT ENCODING k"]  # fmt: skip
    same([*script, "SETRANGE r 0 1", "OBJECT ENCODING r", "INCR i", "OBJECT ENCODING i", "APPEND r 2", "INCR r",
          "OBJECT ENCODING r"])  # fmt: skip


def test_watch_and_whole_databases() -> None:
    for change, key, exists in (
        ("FLUSHALL", "a", True), ("FLUSHALL", "a", False), ("FLUSHDB", "a", True), ("SWAPDB 0 1", "a", True),
        ("SWAPDB 0 1", "b", False), ("SWAPDB 0 1", "c", False), ("SWAPDB 2 3", "a", True), ("SWAPDB 0 0", "a", True),
        ("MOVE a 2", "a", True), ("RENAME a z", "a", True), ("RENAME a z", "z", False), ("COPY a z", "a", True),
        ("COPY a z", "z", False), ("EXPIRE a 100", "a", True), ("PERSIST a", "a", True), ("TOUCH a", "a", True),
        ("EXPIRE a -1", "a", True), ("DEL a", "a", True), ("DEL b", "b", False), ("SETNX a x", "a", True),
    ):  # fmt: skip
        with pair() as servers:
            one, two = servers.client(), servers.client()
            two.do("SELECT 1")
            two.do("SET b 1")
            two.do("SELECT 0")
            if exists:
                two.do("SET a 1")
            for command in (f"WATCH {key}", "MULTI", "PING"):
                one.do(command)
            two.do(change)
            one.do("EXEC")


def test_swapdb_and_move_serve_waiting_clients() -> None:
    for changes in (("SELECT 1", "RPUSH l a", "SWAPDB 0 1"), ("SELECT 1", "RPUSH l a", "MOVE l 0"),
                    ("RPUSH k a", "RENAME k l"), ("RPUSH k a", "COPY k l")):  # fmt: skip
        with pair() as servers:
            waiting, other = servers.client(), servers.client()
            waiting.send("BLPOP l 0")
            servers.settle()
            for command in changes:
                other.do(command)
            servers.settle()
            waiting.receive()


EVENTS = [*TYPES, "DEL s missing n", "UNLINK l", "RENAME h h2", "RENAME h2 e", "RENAMENX e e9", "RENAMENX e9 z",
          "COPY z z2", "COPY z x", "COPY z x REPLACE", "COPY z z2 REPLACE", "COPY z q DB 3", "MOVE z 4", "EXPIRE x 100",
          "EXPIRE x 100 NX", "PEXPIREAT x 99999999999999", "PERSIST x", "PERSIST x", "EXPIRE x -1", "EXISTS x",
          "TYPE x", "TOUCH x", "TTL x", "OBJECT ENCODING x", "SET k v", "RENAME k k", "RENAME z2 k", "FLUSHDB",
          "FLUSHALL", "SWAPDB 0 3", "KEYS *", "DBSIZE"]  # fmt: skip


@requires("8.2")
@pytest.mark.parametrize("letters", ["KEA", "KEAmnoc"])
def test_events_of_keys(letters: str) -> None:
    with pair(cleanup=('CONFIG SET notify-keyspace-events ""',)) as servers:
        listener, client = servers.client(resp=3), servers.client()
        client.do(f"CONFIG SET notify-keyspace-events {letters}")
        listener.do("PSUBSCRIBE __key*")
        for command in EVENTS:
            client.do(command)
            servers.settle()
            listener.drain()
