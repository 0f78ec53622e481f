"""SAVE, BGSAVE, BGREWRITEAOF, INFO persistence and DEBUG RELOAD beside the reference."""

import re

import pytest

from tests.oracle.background import until
from tests.oracle.harness import Masked, Shape, pair, same

pytestmark = pytest.mark.usefixtures("quiet_servers")


def test_the_arguments_of_saves_and_rewrites() -> None:
    same([
        "SAVE x", "BGSAVE x", "BGSAVE SCHEDULE x", "BGREWRITEAOF x", "LASTSAVE x", "WAITAOF", "WAITAOF 0 0",
        "WAITAOF 0 0 0 0", "WAITAOF x 0 0", "WAITAOF 2 0 0", "WAITAOF -1 0 0", "WAITAOF 0 x 0", "WAITAOF 0 -1 0",
        "WAITAOF 0 0 x", "WAITAOF 0 0 -1", "WAITAOF 1 0 0", "WAITAOF 0 0 0", "WAITAOF 0 0 100000000000000000000",
        "WAITAOF 0 1 1",
        "MULTI", "SAVE", "EXEC", "MULTI", "WAITAOF 0 0 0", "WAITAOF 0 1 0", "EXEC", Shape("LASTSAVE"),
        "SHUTDOWN x", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT", "SHUTDOWN ABORT NOW", "SHUTDOWN SAVE x",
    ])  # fmt: skip


def test_scripts_do_not_save() -> None:
    mask = re.compile(rb"[0-9a-f]{40}")
    same([
        Masked(["EVAL", f"return redis.pcall('{name}')", "0"], lambda reply: mask.sub(b"", reply))
        for name in ("SAVE", "BGSAVE", "BGREWRITEAOF", "SHUTDOWN", "LASTSAVE')[1] and ('")
    ])  # fmt: skip


@pytest.mark.parametrize("save", ["", "3600 1"])
@pytest.mark.parametrize(
    "commands",
    [
        ["FLUSHALL"],
        ["MSET a 1 b 2", "FLUSHALL"],
        ["MSET a 1 b 2", "FLUSHDB"],
        ["SET a 1", "FLUSHALL ASYNC", "SET b 1"],
        ["MULTI", "SET a 1", "FLUSHALL", "SET b 1", "EXEC"],
        ["EVAL \"redis.call('SET', 'a', 1) redis.call('FLUSHALL') redis.call('SET', 'b', 1)\" 0"],
        ["SET a 1", "SWAPDB 0 1"],
    ],
)
def test_changes_since_the_last_save(commands: list[str], save: str) -> None:
    def changes(reply: bytes) -> bytes:
        found = re.search(rb"rdb_changes_since_last_save:\d+", reply)
        return found[0] if found else reply

    with pair() as p:
        client = p.client()
        client.do(["CONFIG", "SET", "save", save])
        client.do("SAVE")
        for command in commands:
            client.do(command)
            if "MULTI" not in commands:
                client.do(Masked("INFO persistence", changes))
        client.do(Masked("INFO persistence", changes))


def test_saves_and_rewrites_in_their_course() -> None:
    with pair() as p:
        client = p.client()
        for command, running in (
            ("BGSAVE", "rdb_bgsave"),
            ("BGSAVE SCHEDULE", "rdb_bgsave"),
            ("BGREWRITEAOF", "aof_rewrite"),
        ):
            client.do(command)
            for connection in (client.theirs, client.ours):
                until(connection, f"{running}_in_progress:0", f"{running.replace('rdb_', '')}_scheduled:0")
        client.do("SAVE")
        client.do("SET k v")
        client.do("MULTI")
        client.do("BGSAVE SCHEDULE")
        client.do("EXEC")
        for connection in (client.theirs, client.ours):
            # No field tells that a save is scheduled; but when it is over, there are no changes.
            until(connection, "rdb_changes_since_last_save:0", "rdb_bgsave_in_progress:0")
            until(connection, "rdb_last_bgsave_status:ok", "aof_last_bgrewrite_status:ok")


def test_what_was_changed_since_the_last_save() -> None:
    with pair() as p:
        client = p.client()
        client.do("SAVE")
        for command in (
            "SET k v", "SET k w XX", "SET new v XX", "DEL nothing", "MSET a 1 b 2", "RPUSH l a b c", "SADD s a a b",
            "DEL k l", "HSET h a 1 b 2", "ZADD z 1 a 2 b", "XADD x 1-1 f v", "PEXPIRE a 100000", "GETDEL a",
            "SREM s a x", "FLUSHDB",
        ):  # fmt: skip
            client.do(command)
            client.do(Masked("INFO persistence", _changes))


def _changes(reply: bytes) -> bytes:
    found = re.search(rb"rdb_changes_since_last_save:\d+", reply)
    assert found is not None
    return found[0]


NOT_HERE = {
    b"current_cow_peak", b"current_cow_size", b"current_cow_size_age", b"current_fork_perc",
    b"current_save_keys_processed", b"current_save_keys_total", b"module_fork_in_progress",
    b"module_fork_last_cow_size",
}  # fmt: skip
"""Of what Redis's INFO tells: about modules, and how it counts the pages of a child under way."""


def test_info_has_the_same_fields() -> None:
    with pair() as p:
        client = p.client()
        theirs, ours = (_fields(one.call("INFO", "persistence")) for one in (client.theirs, client.ours))
        assert theirs - ours <= NOT_HERE


def _fields(reply: bytes) -> set[bytes]:
    return {line.split(b":")[0] for line in reply.split(b"\r\n") if b":" in line}


def test_reloading_by_debug() -> None:
    same([
        "SET k v", "RPUSH l a b", "SELECT 3", "SADD s 1", "DEBUG RELOAD", "SMEMBERS s", "SELECT 0", "GET k",
        "LRANGE l 0 -1", "SET k w", "DEBUG RELOAD NOSAVE", "GET k", "DEBUG RELOAD NOSAVE NOFLUSH MERGE", "SET new 1",
        "SET k x", "DEBUG RELOAD NOSAVE NOFLUSH MERGE", "MGET k new", "DEBUG RELOAD WHATEVER",
        "DEBUG RELOAD NOFLUSH NOSAVE X", "SET later 1 PX 1000000", "DEBUG RELOAD MERGE", "EXISTS later k new",
    ], state=True)  # fmt: skip
