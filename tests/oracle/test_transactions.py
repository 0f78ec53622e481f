"""Transactions beside redis-server: queueing, EXEC, WATCH, and what the others see of them."""

import time

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.oracle.harness import Raw, Step, agree, examples, pair, requires, same

pytestmark = requires("7.2")


def test_queue_and_execute() -> None:
    same(["MULTI", "SET a 1", "GET a", "PING", "EXEC", "GET a", "EXEC", "MULTI", "EXEC"], state=True)


def test_names_in_any_case() -> None:
    same(["multi", "Set a 1", "eXec", "watch a", "unwatch", "MULTI", "discard"])


def test_without_multi() -> None:
    same(["EXEC", "DISCARD", "UNWATCH", "EXEC x", "DISCARD x", "MULTI x", "WATCH", "UNWATCH x"])


def test_nested_multi_and_watch_do_not_break_the_transaction() -> None:
    same(["MULTI", "MULTI", "WATCH a", "SET a 1", "EXEC", "GET a"])


def test_discard() -> None:
    same(["MULTI", "SET a 1", "DISCARD", "GET a", "DISCARD", "MULTI", "NOPE", "DISCARD", "MULTI", "GET a", "EXEC"])


@pytest.mark.parametrize("bad", ["NOPE", "GET", "GET a b", "SET a", "PUBSUB NOPE", "EXEC x", "MULTI x", "WATCH"])
def test_an_error_while_queueing_aborts(bad: str) -> None:
    same(["SET a 1", "MULTI", "SET a 2", bad, "SET a 3", "EXEC", "GET a", "EXEC"])


def test_an_error_while_executing_does_not_abort() -> None:
    same(["SET s x", "MULTI", "LPUSH s 1", "SET t 1", "INCR s", "GET t", "EXEC", "GET t"], state=True)


def test_unwatch_inside_a_transaction_is_queued() -> None:
    same(["MULTI", "UNWATCH", "GET a", "EXEC"])


def test_refused_exec_ends_the_transaction() -> None:
    same(["MULTI", "SET a 1", "EXEC now", "EXEC", "GET a", "EXEC now"])


@pytest.mark.parametrize(
    "change", ["SET k 2", "DEL k", "EXPIRE k 100", "APPEND k x", "RENAME k other", "FLUSHDB", "FLUSHALL", "GETDEL k"]
)
def test_a_change_of_a_watched_key_makes_exec_nil(change: str) -> None:
    for resp in (2, 3):
        with pair() as p:
            client, other = p.client(resp), p.client()
            client.do("SET k 1")
            client.do("WATCH k")
            other.do(change)
            client.do("MULTI")
            client.do("SET result x")
            client.do("EXEC")
            client.do("GET result")
            client.do("MULTI")
            client.do("SET result y")
            client.do("EXEC")


@pytest.mark.parametrize("other_command", ["GET k", "SET j 2", "DEL j", "TYPE k", "PERSIST k", "EXPIRE j 100"])
def test_what_does_not_change_a_watched_key(other_command: str) -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        client.do("SET k 1")
        client.do("WATCH k")
        other.do(other_command)
        client.do("MULTI")
        client.do("SET result x")
        client.do("EXEC")


def test_own_changes_count_too() -> None:
    same(["WATCH a", "SET a 1", "MULTI", "SET a 2", "EXEC", "GET a", "WATCH a", "MULTI", "SET a 3", "EXEC", "GET a"])


def test_watching_a_missing_key() -> None:
    same(["WATCH a", "DEL a", "MULTI", "GET a", "EXEC", "WATCH a", "SET a 1", "DEL a", "MULTI", "GET a", "EXEC"])


def test_watching_twice_and_unwatching() -> None:
    same(
        [
            "WATCH a a b",
            "WATCH a",
            "SET a 1",
            "UNWATCH",
            "MULTI",
            "GET a",
            "EXEC",
            "WATCH a",
            "SET a 1",
            "WATCH b",
            "MULTI",
            "DISCARD",
            "MULTI",
            "GET a",
            "EXEC",
        ]
    )


def test_a_broken_watch_and_a_broken_queue() -> None:
    same(["WATCH a", "SET a 1", "MULTI", "NOPE", "EXEC", "WATCH a", "SET a 1", "MULTI", "EXEC"])


def test_watch_in_another_database() -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        for changed_in, watched_in in ((1, 1), (0, 1), (1, 0)):
            client.do(f"SELECT {watched_in}")
            client.do("WATCH k")
            client.do("SELECT 0")
            other.do(f"SELECT {changed_in}")
            other.do("SET k v")
            client.do("MULTI")
            client.do("PING")
            client.do("EXEC")


@pytest.mark.parametrize("in_zero, in_one", [(True, True), (True, False), (False, True), (False, False)])
def test_watch_and_swapdb(in_zero: bool, in_one: bool) -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        if in_zero:
            other.do("SET k zero")
        other.do("SELECT 1")
        if in_one:
            other.do("SET k one")
        client.do("WATCH k")
        other.do("SWAPDB 0 1")
        client.do("MULTI")
        client.do("GET k")
        client.do("EXEC")


@pytest.mark.parametrize("flush", ["FLUSHDB", "FLUSHALL"])
def test_flushing_missing_keys_is_no_change(flush: str) -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        other.do("SET other 1")
        client.do("WATCH k")
        other.do(flush)
        client.do("MULTI")
        client.do("PING")
        client.do("EXEC")


def test_a_watched_key_that_expires() -> None:
    with pair() as p:
        client = p.client()
        client.do("SET k v PX 500")
        client.do("WATCH k")
        time.sleep(0.52)
        client.do("MULTI")
        client.do("PING")
        client.do("EXEC")


def test_watching_an_expired_key_without_active_expiry() -> None:
    with pair(cleanup=["DEBUG SET-ACTIVE-EXPIRE 1"]) as p:
        client, other = p.client(), p.client()
        client.do("DEBUG SET-ACTIVE-EXPIRE 0")
        for between in ("PING", "GET k", "DEL k", "SET k new"):
            client.do("SET k v PX 1")
            time.sleep(0.01)
            client.do("WATCH k")
            other.do(between)
            client.do("MULTI")
            client.do("PING")
            client.do("EXEC")
        for between in ("PING", "GET k", "DEL k", "SET k new"):
            client.do("SET k v PX 300")  # long enough that it has not expired before WATCH on a busy machine
            client.do("WATCH k")
            time.sleep(0.32)
            other.do(between)
            client.do("MULTI")
            client.do("PING")
            client.do("EXEC")


def test_blocking_commands_do_not_block() -> None:
    same(
        [
            "MULTI",
            "BLPOP nothing 0",
            "BRPOP nothing 0",
            "BLMOVE a b LEFT RIGHT 0",
            "BRPOPLPUSH a b 0",
            "BLMPOP 0 1 a LEFT",
            "BZPOPMIN z 0",
            "BZMPOP 0 1 z MIN",
            "XREAD BLOCK 0 STREAMS s $",
            "EXEC",
        ]
    )


def test_waiting_clients_are_served_after_the_whole_transaction() -> None:
    with pair() as p:
        waiting, client = p.client(), p.client()
        waiting.send("BLPOP k 0")
        p.settle()
        client.do("MULTI")
        client.do("RPUSH k a")
        client.do("RPUSH k b")
        client.do("LPOP k")
        client.do("EXEC")
        assert b"$1\r\nb" in waiting.receive()
        waiting.send("BLPOP k 0")
        p.settle()
        client.do("MULTI")
        client.do("RPUSH k a")
        client.do("DEL k")
        client.do("EXEC")
        waiting.nothing()


def test_select_inside_a_transaction_stays() -> None:
    same(["MULTI", "SELECT 3", "SET k three", "EXEC", "GET k", "SELECT 0", "GET k"], state=True)


def test_reset_and_quit_inside_a_transaction() -> None:
    same(["MULTI", "SET a 1", "RESET", "GET a", "EXEC", "MULTI", "SET a 1", "QUIT"], resp=(2,))


def test_hello_inside_a_transaction() -> None:
    with pair() as p:
        client = p.client()
        for command in ("MULTI", "HGETALL h", "HELLO 3 SETNAME x", "HGETALL h"):
            client.do(command)
        client.send("EXEC")
        for connection in (client.theirs, client.ours):
            reply = connection.receive()
            assert reply.startswith(b"*3\r\n*0\r\n%")
            assert reply.endswith(b"%0\r\n")
        client._sent.clear()


def test_a_pause_of_writes_holds_back_what_writes() -> None:
    with pair(cleanup=["CLIENT UNPAUSE"]) as p:
        reading, writing, queueing, control = p.client(), p.client(), p.client(), p.client()
        for client in (reading, writing, queueing):
            client.do("MULTI")
        reading.do("GET k")
        writing.do("SET k 1")
        control.do("CLIENT PAUSE 100000 WRITE")
        reading.do("EXEC")
        writing.send("EXEC")
        queueing.send("SET k 2")
        writing.nothing()
        queueing.nothing()
        control.do("GET k")
        control.do("CLIENT UNPAUSE")
        writing.receive()
        queueing.receive()
        queueing.do("EXEC")


def test_publishing_inside_a_transaction() -> None:
    with pair() as p:
        listening, client = p.client(), p.client()
        listening.do("SUBSCRIBE a")
        for command in ("MULTI", "PUBLISH a 1", "SET k v", "SPUBLISH a 2", "PUBSUB NUMSUB a", "PUBLISH a 3", "EXEC"):
            client.do(command)
        listening.drain()


def test_replies_nest() -> None:
    same(["MULTI", "EXEC", "MULTI", "SET a 1", "MGET a b", "LRANGE l 0 -1", "HGETALL h", "SMEMBERS s", "GET b", "EXEC"])


def test_one_pipeline() -> None:
    lines = b"".join(
        line + b"\r\n" for line in (b"WATCH k", b"MULTI", b"SET k 1", b"NOPE", b"EXEC", b"MULTI", b"GET k")
    )
    same([Raw(lines, replies=7), Step("EXEC")])


def test_two_clients_race_for_a_watched_key() -> None:
    with pair() as p:
        first, second = p.client(2), p.client(3)
        for client in (first, second):
            client.do("WATCH k")
            client.do("MULTI")
            client.do("INCR k")
        assert first.do("EXEC") == b"*1\r\n:1\r\n"
        assert second.do("EXEC") == b"_\r\n"


def test_a_closed_client_watches_nothing() -> None:
    with pair() as p:
        gone, client = p.client(), p.client()
        gone.do("WATCH k")
        gone.do("MULTI")
        gone.do("SET k gone")
        gone.close()
        client.do("SET k 1")
        client.do("WATCH k")
        client.do("MULTI")
        client.do("GET k")
        client.do("EXEC")


_keys = st.sampled_from(["a", "b"])
_commands = st.one_of(
    st.sampled_from(["MULTI", "EXEC", "EXEC", "DISCARD", "UNWATCH", "NOPE", "GET", "PING", "SELECT 0", "SELECT 1"]),
    _keys.map(lambda key: f"WATCH {key}"),
    _keys.map(lambda key: f"SET {key} 1"),
    _keys.map(lambda key: f"GET {key}"),
    _keys.map(lambda key: f"DEL {key}"),
    _keys.map(lambda key: f"INCR {key}"),
    _keys.map(lambda key: f"LPUSH {key} x"),
    st.sampled_from(["SWAPDB 0 1", "FLUSHDB", "MOVE a 1", "RENAME a b"]),
)


@examples(40)
@given(st.lists(_commands, max_size=25))
def test_generated_transactions(script: list[str]) -> None:
    agree([*script, "DISCARD", "SELECT 0"], resp=(2, 3))


@examples(40)
@given(st.lists(st.tuples(st.integers(0, 2), _commands), max_size=30))
def test_generated_transactions_of_several_clients(turns: list[tuple[int, str]]) -> None:
    with pair() as p:
        clients = [p.client(2), p.client(3), p.client(2)]
        for number, command in turns:
            clients[number].do(command)
