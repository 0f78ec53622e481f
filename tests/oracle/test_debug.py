"""DEBUG's subcommands for test suites beside the reference."""

import re

import pytest

from tests.oracle.harness import Masked, requires, same

pytestmark = requires("8.10")

VALUES = [
    "SET int 1", "SET text hello", "APPEND raw x", "RPUSH list 1 2 3", "HSET hash f v", "ZADD zset 1 a 2 b",
    "SADD ints 1 2 3",
    ["RPUSH", "long", *range(3000)], ["HSET", "large", *range(2000)],
    ["SADD", "members", *(f"m{n}" for n in range(500))],
]  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        "SET-DISABLE-DENY-SCRIPTS 1",
        "SET-DISABLE-DENY-SCRIPTS 0",
        "SET-DISABLE-DENY-SCRIPTS",
        "SET-SKIP-CHECKSUM-VALIDATION 0",
        "SET-SKIP-CHECKSUM-VALIDATION x",
        "QUICKLIST-PACKED-THRESHOLD 100b",
        "QUICKLIST-PACKED-THRESHOLD 0",
        "QUICKLIST-PACKED-THRESHOLD x",
        "QUICKLIST-PACKED-THRESHOLD 5gb",
        "PAUSE-CRON 1",
        "PAUSE-CRON 0",
        "PAUSE-CRON",
        "REPLYBUFFER PEAK-RESET-TIME NEVER",
        "REPLYBUFFER PEAK-RESET-TIME RESET",
        "REPLYBUFFER PEAK-RESET-TIME x",
        "REPLYBUFFER RESIZING 1",
        "REPLYBUFFER x y",
        "REPLYBUFFER",
        "HTSTATS 99",
        "HTSTATS x",
        "HTSTATS 5",
        "HTSTATS-KEY nokey",
        "DICT-RESIZING 1",
        "LISTPACK nokey",
        "MALLCTL x",
        "CONFIG-REWRITE-FORCE-ALL",
        "CONFIG-REWRITE-FORCE-ALL x",
        "CHANGE-REPL-ID",
        "REPLICATE x",
        "REPLICATE",
        "QUICKLIST nokey",
        "KEYSIZES-HIST-ASSERT 0",
        "REPLY-COPY-AVOIDANCE 1",
        "AOF-FLUSH-SLEEP 0",
        "LOADAOF",
    ],
)
def test_switches(command: str) -> None:
    same([f"DEBUG {command}"])


def test_how_values_are_kept() -> None:
    names = ("int", "text", "raw", "list", "hash", "zset", "ints", "long", "large", "members", "missing")
    script = [*VALUES]
    for name in names:
        script += [f"DEBUG LISTPACK {name}", f"DEBUG QUICKLIST {name}", f"DEBUG HTSTATS-KEY {name}"]
    script += ["DEBUG HTSTATS 0"]
    same(script)


def _without_times(reply: bytes) -> bytes:
    return re.sub(rb"at:0x[0-9a-f]+|lru:\d+|idle:\d+", b"", reply)


def test_objects() -> None:
    names = ("int", "text", "raw", "list", "hash", "zset", "ints", "missing")
    same([*VALUES, *(Masked(f"DEBUG OBJECT {name}", _without_times) for name in names)])
    nodes = re.compile(rb"ql_nodes:\d+ ql_avg_node:[\d.]+ ql_listpack_max:-?\d+ ql_compressed:\d")
    same([*VALUES, Masked("DEBUG OBJECT long", lambda reply: b"".join(nodes.findall(reply)))])


def test_scripts_may_call_everything() -> None:
    call = "EVAL \"return redis.pcall('CLIENT', 'GETNAME')\" 0"
    same([call, "DEBUG SET-DISABLE-DENY-SCRIPTS 1", call, "DEBUG SET-DISABLE-DENY-SCRIPTS 0", call])


def test_payloads_with_wrong_checksums() -> None:
    payload = b"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xcf"
    same([
        ["RESTORE", "k", 0, payload], "DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", ["RESTORE", "k", 0, payload],
        "DEBUG SET-SKIP-CHECKSUM-VALIDATION 0", ["RESTORE", "k2", 0, payload], "GET k",
    ])  # fmt: skip
