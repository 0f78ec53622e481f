"""Waiting for lists against the reference: who is served with what, in which order, and what others see of it."""

import pytest

from tests.oracle.harness import Client, Each, Pair, Shape, Step, pair, requires, same

RESP = pytest.mark.parametrize("resp", [2, 3])
POPS = ["BLPOP k 0", "BRPOP k 0", "BLMPOP 0 1 k LEFT", "BLMPOP 0 1 k RIGHT COUNT 2", "BLMOVE k d LEFT RIGHT 0",
        "BRPOPLPUSH k d 0"]  # fmt: skip
MOVEMS = ["BLMOVEM k d LEFT LEFT 0", "BLMOVEM k d RIGHT LEFT 0 COUNT 2 OBO", "BLMOVEM k d LEFT RIGHT 0 EXACTLY 2 BULK"]


def block(p: Pair, client: Client, command: str) -> None:
    """Send a command that blocks, and see it blocked on both servers."""
    client.send(command)
    p.settle()
    client.nothing()


def look(client: Client) -> None:
    """Compare the lists that the tests use."""
    for key in "kdxyz":
        client.do(f"LRANGE {key} 0 -1")


# One client


@RESP
@pytest.mark.parametrize("command", [*POPS, *[pytest.param(c, marks=requires("8.10")) for c in MOVEMS]])
@pytest.mark.parametrize("push", ["RPUSH k a b c", "LPUSH k a b c", "RENAME other k", "LMOVE other k LEFT LEFT",
                                  "SORT other ALPHA STORE k", "COPY other k", "LMPOP 1 other LEFT"])  # fmt: skip
def test_served(resp: int, command: str, push: str) -> None:
    with pair() as p:
        waiting, writer = p.client(resp), p.client()
        writer.do("RPUSH other 1 2 3")
        block(p, waiting, command)
        writer.do(push)
        p.settle()
        if push.startswith("LMPOP") or (push.startswith("LMOVE") and "EXACTLY" in command):
            waiting.nothing()
            writer.do("RPUSH k z z")
        waiting.receive()
        look(writer)


@RESP
def test_time_outs(resp: int) -> None:
    same(["BLPOP k 0.01", "BRPOP k x 0.01", "BLMPOP 0.01 2 k x LEFT", "BLMOVE k d LEFT LEFT 0.01",
          "BRPOPLPUSH k d 0.001"], resp=(resp,))  # fmt: skip


@requires("8.10")
@RESP
def test_time_outs_of_moving_several(resp: int) -> None:
    same(
        ["BLMOVEM k d LEFT LEFT 0.01", "RPUSH k a", "BLMOVEM k d LEFT LEFT 0.01 EXACTLY 2 OBO", "LLEN k"], resp=(resp,)
    )


TIMEOUTS = ["-1", "-0.002", "x", "", "nan", "-inf", "inf", "1e400", "-1e400", "1e17", "9223372036854775807",
            "9223372036854775808", "9223372036854775", "9223372036854775.807", " 1", "1 ", "0x", "1,5"]  # fmt: skip


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_bad_time_outs(timeout: str) -> None:
    same([["BLPOP", "k", timeout], ["BLMOVE", "k", "d", "LEFT", "LEFT", timeout], ["BRPOPLPUSH", "k", "d", timeout],
          ["BLMPOP", timeout, "1", "k", "LEFT"], "RPUSH k a", ["BLPOP", "k", timeout], "SET s x",
          ["BRPOP", "s", timeout]], resp=(2,))  # fmt: skip


@pytest.mark.parametrize("timeout", ["0.0", "-0", "+0", "1e3", "0x10", ".5", "5.", "-0.0001", "1e-9", "1e9", "9e15"])
def test_good_time_outs(timeout: str) -> None:
    same(["RPUSH k a b", ["BLPOP", "k", timeout], ["BLMPOP", timeout, "1", "k", "LEFT"], "LLEN k"], resp=(2,))


def test_wrong_types_while_nothing_waits() -> None:
    same(["SET s x", "BLPOP s 0", "BLPOP no s 0", "RPUSH l a b c", "BLPOP l s 0", "BLPOP s l 0", "BLMPOP 0 2 s l LEFT",
          "BLMPOP 0 2 l s LEFT", "BLPOP l", "BLPOP", "BLMOVE l s LEFT LEFT 0", "BLMOVE s s LEFT LEFT 0"])  # fmt: skip


@RESP
def test_several_keys_are_tried_in_the_order_given(resp: int) -> None:
    with pair() as p:
        waiting, writer = p.client(resp), p.client()
        for command in ("BLPOP x y z x 0", "BLMPOP 0 3 x y z LEFT COUNT 5", "BRPOP y y 0"):
            block(p, waiting, command)
            writer.do("MULTI")
            for push in ("RPUSH z 1", "RPUSH y 2", "RPUSH x 3"):
                writer.do(push)
            writer.do("EXEC")
            waiting.receive()
            look(writer)
            writer.do("DEL x y z")


def test_a_key_before_the_ready_one_has_another_type() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        block(p, waiting, "BLPOP x y 0")
        writer.do("SET x string")
        waiting.nothing()
        writer.do("RPUSH y 1")
        waiting.receive()
        look(writer)


# First come first served


def test_order_of_arrival() -> None:
    with pair() as p:
        clients, writer = [p.client() for _ in range(12)], p.client()
        for n, client in enumerate(clients):
            block(p, client, ["BLPOP k 0", "BRPOP x k 0", "BLMPOP 0 1 k LEFT COUNT 2"][n % 3])
        writer.do("RPUSH k a b c d e")
        for n in range(4):
            clients[n].receive()
        clients[4].nothing()
        writer.do("RPUSH x 1")
        clients[4].receive()
        writer.do("RPUSH k " + " ".join("abcdefghijklmnop"))
        for client in clients[5:]:
            client.receive()
        look(writer)


def test_one_push_for_several_keys() -> None:
    with pair() as p:
        first, second, third, writer = p.client(), p.client(), p.client(), p.client()
        block(p, first, "BLPOP x y 0")
        block(p, second, "BLPOP y x 0")
        block(p, third, "BLPOP y 0")
        for command in ("MULTI", "RPUSH y 1", "RPUSH x 2", "EXEC"):
            writer.do(command)
        first.receive()
        second.receive()
        third.nothing()
        writer.do("RPUSH y 3")
        third.receive()
        look(writer)


def test_a_client_that_goes_takes_nothing() -> None:
    with pair() as p:
        gone, stays, writer = p.client(), p.client(), p.client()
        gone.send("BLPOP k 0")
        p.settle()
        block(p, stays, "BLPOP k 0")
        gone.theirs.close()
        gone.ours.close()
        writer.do("RPUSH k a b")
        stays.receive()
        look(writer)


def test_requests_behind_a_blocked_one_wait() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        waiting.send("BLPOP k 0")
        for command in ("INCR n", "BLPOP k 0", "INCR n"):
            waiting.send(command)
        writer.do("GET n")
        writer.do("RPUSH k a")
        waiting.receive()
        waiting.receive()
        writer.do("GET n")
        writer.do("RPUSH k b c")
        waiting.receive()
        waiting.receive()
        look(writer)


# In transactions


@RESP
@pytest.mark.parametrize("command", [*POPS, *[pytest.param(c, marks=requires("8.10")) for c in MOVEMS]])
def test_never_blocks_in_a_transaction(resp: int, command: str) -> None:
    same(["MULTI", command, "EXEC", "RPUSH k a b c", "MULTI", command, command, "EXEC", "LRANGE d 0 -1"], resp=(resp,),
         state=True)  # fmt: skip


def test_served_after_the_transaction() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        block(p, waiting, "BLPOP k 0")
        for command in ("MULTI", "LPUSH k a", "LPUSH k b", "LPUSH k c", "EXEC"):
            writer.do(command)
        waiting.receive()
        look(writer)


@pytest.mark.parametrize(
    "undo", ["DEL k", "LPOP k", "RENAME k x", "LMOVE k x LEFT LEFT", "SET k string", "LTRIM k 1 0"]
)
def test_what_is_gone_at_the_end_of_the_transaction_serves_nobody(undo: str) -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        block(p, waiting, "BLPOP k 0")
        for command in ("MULTI", "RPUSH k a", undo, "EXEC"):
            writer.do(command)
        p.settle()
        waiting.nothing()
        for command in ("DEL k", "RPUSH k z"):
            writer.do(command)
        waiting.receive()
        look(writer)


def test_watch_is_broken_by_a_served_client() -> None:
    with pair() as p:
        waiting, writer, watcher = p.client(), p.client(), p.client()
        block(p, waiting, "BLMOVE k d LEFT LEFT 0")
        watcher.do("WATCH d")
        writer.do("RPUSH k a")
        waiting.receive()
        for command in ("MULTI", "LLEN d", "EXEC"):
            watcher.do(command)


# Other ways in which a key changes


@pytest.mark.parametrize("change", ["SET k x", "SADD k x", "ZADD k 1 x", "HSET k f v"])
def test_another_type_serves_nobody(change: str) -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        block(p, waiting, "BLPOP k 0")
        writer.do(change)
        p.settle()
        waiting.nothing()
        writer.do("RPUSH k a")
        writer.do("RPUSH other a b")
        writer.do("RENAME other k")
        waiting.receive()
        look(writer)


def test_a_list_over_another_type_serves() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        block(p, waiting, "BLPOP k 0")
        writer.do("SET k x")
        writer.do("RPUSH other 2 1")
        writer.do("SORT other STORE k")
        waiting.receive()
        look(writer)


def test_another_database() -> None:
    with pair() as p:
        waiting, writer, other = p.client(), p.client(), p.client()
        other.do("SELECT 1")
        block(p, waiting, "BLPOP k 0")
        other.do("RPUSH k a b")
        p.settle()
        waiting.nothing()
        other.do("MOVE k 0")
        waiting.receive()
        look(writer)
        block(p, waiting, "BLPOP x 0")
        other.do("RPUSH x 1 2")
        writer.do("SWAPDB 0 1")
        waiting.receive()
        look(writer)
        look(other)


def test_restore() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        writer.do("RPUSH other a b")
        dump = writer.do(Shape("DUMP other"))  # of another version: ours is one that Redis 7.0 reads
        payload = dump[dump.index(b"\r\n") + 2 : -2]
        block(p, waiting, "BLPOP k 0")
        writer.do(["RESTORE", "k", "0", payload])
        waiting.receive()
        look(writer)


def test_a_key_with_a_deadline() -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        for command in ("RPUSH k a", "PEXPIRE k 5000"):
            writer.do(command)
        writer.do("LPOP k")
        block(p, waiting, "BLPOP k 0")
        writer.do("RPUSH k b c")
        waiting.receive()
        writer.do("TTL k")
        look(writer)


# Moves that feed other waiting clients


@pytest.mark.parametrize(
    "second", ["BLPOP d 0", "BLMOVE d x LEFT LEFT 0", "BLMPOP 0 2 x d LEFT", "BLMOVE d k LEFT LEFT 0"]
)
def test_a_chain_of_two(second: str) -> None:
    for first_comes_first in (True, False):
        with pair() as p:
            first, then, writer = p.client(), p.client(), p.client()
            blocked = [(first, "BLMOVE k d LEFT RIGHT 0"), (then, second)]
            for client, command in blocked if first_comes_first else reversed(blocked):
                block(p, client, command)
            writer.do("RPUSH k a")
            first.receive()
            then.receive()
            look(writer)


def test_a_chain_of_five() -> None:
    with pair() as p:
        clients, writer = [p.client() for _ in range(5)], p.client()
        for client, keys in zip(clients, ["y z", "z k", "x y", "d x", "k d"], strict=True):
            block(p, client, f"BLMOVE {keys} LEFT RIGHT 0")
        writer.do("RPUSH k a b")
        for client in clients:
            client.receive()
        look(writer)


def test_a_circle() -> None:
    with pair() as p:
        first, second, third, writer = p.client(), p.client(), p.client(), p.client()
        block(p, first, "BLMOVE k d LEFT RIGHT 0")
        block(p, second, "BLMOVE d k LEFT RIGHT 0")
        block(p, third, "BLMOVE k k LEFT RIGHT 0")
        writer.do("RPUSH k a")
        for client in (first, second, third):
            client.receive()
        look(writer)


@pytest.mark.parametrize("ends", ["LEFT LEFT", "LEFT RIGHT", "RIGHT LEFT"])
def test_source_is_destination(ends: str) -> None:
    with pair() as p:
        first, second, writer = p.client(), p.client(), p.client()
        block(p, first, f"BLMOVE k k {ends} 0")
        block(p, second, f"BLMOVE k k {ends} 0")
        writer.do("RPUSH k a b c")
        first.receive()
        second.receive()
        look(writer)


def test_a_destination_of_another_type() -> None:
    with pair() as p:
        first, second, writer = p.client(), p.client(), p.client()
        block(p, first, "BLMOVE k d LEFT LEFT 0")
        block(p, second, "BLPOP k 0")
        writer.do("SET d string")
        first.nothing()
        writer.do("RPUSH k a b")
        first.receive()
        second.receive()
        look(writer)


@requires("8.10")
def test_exactly_waits_for_enough() -> None:
    with pair() as p:
        first, second, third, writer = p.client(), p.client(), p.client(), p.client()
        writer.do("RPUSH k a")
        block(p, first, "BLMOVEM k d LEFT RIGHT 0 EXACTLY 3 BULK")
        block(p, second, "BLMOVEM k x LEFT RIGHT 0 EXACTLY 2 OBO")
        writer.do("RPUSH k b")
        first.nothing()
        second.receive()
        for command in ("RPUSH k c", "LINSERT k AFTER c d", "LSET k 0 e"):
            writer.do(command)
            first.nothing()
        block(p, third, "BLMOVEM k y LEFT RIGHT 0 EXACTLY 9 BULK")
        writer.do("RPUSH k f g h i")
        first.receive()
        third.nothing()
        for command in ("RPUSH other 1 2 3 4 5 6 7 8 9 10", "RENAME other k"):
            writer.do(command)
        third.receive()
        look(writer)


@requires("8.10")
def test_exactly_leaves_elements_to_those_behind() -> None:
    with pair() as p:
        first, second, writer = p.client(), p.client(), p.client()
        block(p, first, "BLMOVEM k d LEFT RIGHT 0 EXACTLY 3 BULK")
        block(p, second, "BLPOP k 0")
        writer.do("RPUSH k a b")
        second.receive()
        first.nothing()
        block(p, second, "BLMOVE x k LEFT LEFT 0")
        writer.do("RPUSH k c")
        first.nothing()
        writer.do("RPUSH x z")
        first.receive()
        second.receive()
        look(writer)


# CLIENT UNBLOCK


@RESP
@pytest.mark.parametrize("how", ["", "TIMEOUT", "ERROR"])
@pytest.mark.parametrize("command", ["BLPOP k 0", "BLMOVE k d LEFT LEFT 0", "BLMPOP 0 1 k LEFT", "BRPOPLPUSH k d 0"])
def test_unblock(resp: int, how: str, command: str) -> None:
    with pair() as p:
        waiting, next_one, writer = p.client(resp), p.client(), p.client()
        theirs, ours = waiting.ids
        block(p, waiting, command)
        block(p, next_one, "BLPOP k 0")
        writer.do(Each(f"CLIENT UNBLOCK {theirs} {how}", f"CLIENT UNBLOCK {ours} {how}"))
        waiting.receive()
        writer.do(Each(f"CLIENT UNBLOCK {theirs}", f"CLIENT UNBLOCK {ours}"))
        writer.do("RPUSH k a")
        next_one.receive()
        waiting.nothing()
        waiting.do("LLEN k")


# Silent and paused clients


@pytest.mark.parametrize(("how", "timeout"), [("SKIP", "0"), ("SKIP", "0.05"), ("OFF", "0")])
def test_skipped_replies(how: str, timeout: str) -> None:
    with pair() as p:
        waiting, writer = p.client(), p.client()
        waiting.send(Step(f"CLIENT REPLY {how}", replies=0))
        waiting.send(f"BLPOP k {timeout}")
        if timeout == "0":
            p.settle(blocked=1)
            writer.do("RPUSH k a b")
        p.settle(blocked=0)
        if how == "OFF":
            waiting.send("CLIENT REPLY ON")
            waiting.receive("CLIENT REPLY ON")
        waiting.send("ECHO heard")
        waiting.receive("ECHO heard")
        waiting.nothing()
        look(writer)


def test_nobody_is_served_during_a_pause() -> None:
    with pair(cleanup=["CLIENT UNPAUSE"]) as p:
        waiting, writer = p.client(), p.client()
        block(p, waiting, "BLPOP k 0")
        for command in ("MULTI", "RPUSH k a b", "CLIENT PAUSE 100000 WRITE", "EXEC"):
            writer.do(command)
        waiting.nothing()
        writer.do("LLEN k")
        writer.do("CLIENT UNPAUSE")
        waiting.receive()
        look(writer)


# What others see


def test_keyspace_events() -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        waiting, chained, writer, listener = p.client(), p.client(), p.client(), p.client(3)
        writer.do("CONFIG SET notify-keyspace-events KEAmnoc")
        listener.do("PSUBSCRIBE __key*@*__:*")
        for first, second in [("BLPOP k 0", "BRPOP d k 0"), ("BLMOVE k d LEFT LEFT 0", "BLMPOP 0 1 d LEFT"),
                              ("BLMPOP 0 2 x k LEFT COUNT 2", "BLPOP k 0"),
                              ("BRPOPLPUSH k k 0", "BLPOP k 0")]:  # fmt: skip
            block(p, waiting, first)
            block(p, chained, second)
            listener.drain()
            for command in ("MULTI", "RPUSH k a b", "RPUSH k c d", "EXEC"):
                writer.do(command)
            waiting.receive()
            chained.receive()
            listener.drain()
            writer.do("DEL k d x")
            listener.drain()
