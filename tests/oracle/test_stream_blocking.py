"""XREAD and XREADGROUP that wait, beside redis-server, with several clients."""

import pytest

from tests.oracle.harness import Each, Masked, pair, requires, stream_ids
from tests.oracle.test_stream_info import times

pytestmark = requires("8.10")


@pytest.mark.parametrize("resp", [2, 3])
def test_xread_waits(resp: int) -> None:
    with pair() as p:
        a, b, writer = p.client(resp), p.client(resp), p.client(resp)
        writer.do("XADD s 1 f v")
        a.send("XREAD BLOCK 0 STREAMS t s 0 $")
        p.settle()
        b.send("XREAD BLOCK 0 COUNT 1 STREAMS s $")
        p.settle()
        a.nothing()
        writer.do("XADD other 5 f v")
        writer.do("XADD s 2 f v")
        a.receive()
        b.receive()
        a.send("XREAD BLOCK 0 STREAMS s t $ $")
        p.settle()
        writer.do("DEL s")
        writer.do("SET s x")
        a.nothing()
        writer.do("DEL s")
        writer.do("XADD s 1 f v")
        writer.do("XADD s 3 f v")
        a.receive()


def test_several_adds_in_one_transaction() -> None:
    with pair() as p:
        a, writer = p.client(), p.client()
        a.send("XREAD BLOCK 0 STREAMS s $")
        p.settle()
        for command in ("MULTI", "XADD s 1 f v", "XADD s 2 f v", "XDEL s 1", "EXEC"):
            writer.do(command)
        a.receive()
        a.send("XREAD BLOCK 0 STREAMS s $")
        p.settle()
        for command in ("MULTI", "XADD s 3 f v", "XDEL s 3", "EXEC"):
            writer.do(command)
        a.nothing()
        writer.do("XADD s 4 f v")
        a.receive()


def test_plus_waits_for_the_last() -> None:
    with pair() as p:
        a, writer = p.client(), p.client()
        a.send("XREAD BLOCK 0 STREAMS s +")
        p.settle()
        writer.do("XADD s 1 f v")
        a.receive()


def test_xreadgroup_is_served_first_come_first() -> None:
    with pair() as p:
        a, b, c, writer = p.client(), p.client(3), p.client(), p.client()
        writer.do("XGROUP CREATE s g $ MKSTREAM")
        for client, name in ((a, "a"), (b, "b"), (c, "c")):
            client.send(f"XREADGROUP GROUP g {name} COUNT 1 BLOCK 0 STREAMS s >")
            p.settle()
        writer.do("XADD s 1 f v")
        a.receive()
        b.nothing()
        writer.do("MULTI")
        writer.do("XADD s 2 f v")
        writer.do("XADD s 3 f v")
        writer.do("EXEC")
        b.receive()
        c.receive()
        writer.do(Masked("XINFO STREAM s FULL", times))


@pytest.mark.parametrize(
    "commands",
    [
        ["DEL s"],
        ["XGROUP DESTROY s g"],
        ["XGROUP DESTROY s h"],
        ["SET s x"],
        ["RENAME s t"],
        ["DEL s", "XADD s 1 f v"],
        ["MULTI", "DEL s", "XGROUP CREATE s g $ MKSTREAM", "EXEC", "XADD s 5 f v"],
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["UNLINK s"],
        ["PEXPIRE s -1"],
        ["COPY other s REPLACE"],
        ["XGROUP SETID s g 0"],
        ["XGROUP CREATECONSUMER s g z"],
        ["XDEL s 1"],
        ["XTRIM s MAXLEN 0"],
        ["SWAPDB 0 1"],
        ["XADD s 9 f v"],
    ],
)
@pytest.mark.parametrize("resp", [2, 3])
def test_the_stream_or_the_group_goes(commands: list[str], resp: int) -> None:
    with pair() as p:
        a, b, writer = p.client(resp), p.client(resp), p.client(resp)
        writer.do("XADD s 1 f v")
        writer.do("XADD other 1 f v")
        writer.do("XGROUP CREATE s g $")
        writer.do("XGROUP CREATE s h $")
        a.send("XREADGROUP GROUP g a BLOCK 0 STREAMS s >")
        p.settle()
        b.send("XREAD BLOCK 0 STREAMS s $")
        p.settle()
        for command in commands:
            writer.do(command)
        a.drain()
        b.drain()
        writer.do("EXISTS s")


def test_xreadgroup_over_several_streams() -> None:
    with pair() as p:
        a, writer = p.client(), p.client()
        for key in ("s", "t", "u"):
            writer.do(f"XGROUP CREATE {key} g $ MKSTREAM")
        a.send("XREADGROUP GROUP g a BLOCK 0 STREAMS s t u > > >")
        p.settle()
        writer.do("XADD t 1 f v")
        a.receive()
        a.send("XREADGROUP GROUP g a BLOCK 0 NOACK STREAMS s t u > > >")
        p.settle()
        writer.do("XGROUP DESTROY t g")
        a.drain()


def test_timing_out() -> None:
    with pair() as p:
        a, writer = p.client(), p.client(3)
        writer.do("XGROUP CREATE s g $ MKSTREAM")
        a.do("XREADGROUP GROUP g a BLOCK 20 STREAMS s >")
        a.do("XREAD BLOCK 20 STREAMS s t $ 0")
        writer.do("XREAD BLOCK 20 STREAMS s t $ 0")
        writer.do(Masked("XINFO STREAM s FULL", times))


def test_claiming_what_has_become_old() -> None:
    with pair() as p:
        a, b, writer = p.client(), p.client(3), p.client()
        writer.do("XADD s 1 f v")
        writer.do("XADD s 2 f v")
        writer.do("XGROUP CREATE s g 0")
        writer.do("XREADGROUP GROUP g w STREAMS s >")
        a.do(Masked("XREADGROUP GROUP g a BLOCK 2000 CLAIM 60 COUNT 1 STREAMS s >", _first_idle))
        # only one: on a busy machine, both may be old enough for one of the servers
        b.do(Masked("XREADGROUP GROUP g b BLOCK 2000 CLAIM 70 COUNT 1 STREAMS s >", _first_idle))
        writer.do("XACK s g 1 2")
        writer.do("XREADGROUP GROUP g b BLOCK 60 CLAIM 20 STREAMS s >")


def _first_idle(reply: bytes) -> bytes:
    """Idle times differ by the servers' timers."""
    return b"\r\n".join(b":n" if line[:1] == b":" and len(line) > 2 else line for line in reply.split(b"\r\n"))


def test_releasing_wakes_those_who_claim() -> None:
    with pair() as p:
        a, b, writer = p.client(), p.client(), p.client()
        writer.do("XADD s 1 f v")
        writer.do("XGROUP CREATE s g 0")
        writer.do("XREADGROUP GROUP g w STREAMS s >")
        b.send("XREADGROUP GROUP g b BLOCK 0 STREAMS s >")
        p.settle()
        a.send(Masked("XREADGROUP GROUP g a BLOCK 0 CLAIM 99999 STREAMS s >", times))
        p.settle()
        writer.do("XNACK s g FAIL IDS 1 1")
        a.receive()
        b.nothing()


def test_unblocking() -> None:
    with pair() as p:
        a, writer = p.client(), p.client()
        ids = a.ids
        writer.do("XGROUP CREATE s g $ MKSTREAM")
        for how in ("TIMEOUT", "ERROR"):
            for command in ("XREAD BLOCK 0 STREAMS s $", "XREADGROUP GROUP g a BLOCK 0 STREAMS s >"):
                a.send(command)
                p.settle()
                writer.do(Each(f"CLIENT UNBLOCK {ids[0]} {how}", f"CLIENT UNBLOCK {ids[1]} {how}"))
                a.receive()


def test_the_one_behind_who_was_unblocked_is_told_of_the_end() -> None:
    with pair() as p:
        first, second, writer = p.client(), p.client(), p.client()
        theirs, ours = first.ids
        writer.do("XGROUP CREATE s g $ MKSTREAM")
        for client in (first, second):
            client.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
            p.settle()
        writer.do(Each(f"CLIENT UNBLOCK {theirs}", f"CLIENT UNBLOCK {ours}"))
        first.receive()
        writer.do("DEL s")
        second.receive()


@pytest.mark.parametrize(
    "command",
    ["XADD s * f v", "XADD s MAXLEN 1 * f v", "XADD s MAXLEN ~ 1 * f v", "XADD s MAXLEN = 1 * f v", "XADD s 99-* f v"],
)
def test_every_form_of_xadd_wakes_and_breaks_a_watch(command: str) -> None:
    with pair(mask=stream_ids) as p:
        reader, watcher, writer = p.client(), p.client(), p.client()
        writer.do("XADD s 1 f v")
        reader.send("XREAD BLOCK 0 STREAMS s $")
        p.settle()
        watcher.do("WATCH s")
        writer.do(command)
        reader.receive()
        for line in ("MULTI", "PING", "EXEC"):
            watcher.do(line)
