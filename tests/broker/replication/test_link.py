"""The link to a master that follows a script: each step of joining, cut off, delayed or nonsense, and what follows."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from broker.replication.link import HOPELESS_PAUSES, PAUSES
from tests.broker.replication.fake_master import (
    EMPTY,
    FILE,
    ID,
    OTHER_ID,
    Peer,
    arrived,
    field,
    payload,
    recovers,
    replica,
    settled,
    value,
)


async def test_joining_and_following(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    directives = {"replica-announce-ip": "10.0.0.1", "replica-announce-port": "7000", "masterauth": "secret"}
    async with replica(monkeypatch, directives) as (broker, master):
        peer = await master.accept()
        await peer.expect("PING")
        assert await field(broker, "role") == "slave"
        assert await field(broker, "master_link_status") == "down"
        await peer.send(b"-NOAUTH Authentication required.\r\n")
        await peer.expect("AUTH secret")
        await peer.expect("REPLCONF listening-port 7000")
        await peer.expect("REPLCONF ip-address 10.0.0.1")
        await peer.expect("REPLCONF capa eof capa psync2")
        await peer.expect("REPLCONF version 9.1.0")
        await peer.send(b"+OK\r\n" * 4 + b"-ERR Unrecognized REPLCONF option: version\r\n")
        await peer.expect("PSYNC ? -1")
        await peer.send(b"\n\n+FULLRESYNC %b 100\r\n\n$%d\r\n%b" % (ID.encode(), len(FILE), FILE))
        await peer.acknowledged(100)
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await peer.command("SELECT 3", "SET b 2", "SELECT 0", "INCR a")
        await arrived(broker, "a", b"2")
        assert await field(broker, "master_link_status") == "up"
        offset = int(await field(broker, "slave_repl_offset"))
        assert offset == 100 + 23 + 27 + 23 + 21
        assert await field(broker, "db3", "keyspace") == "keys=1,expires=0,avg_ttl=0,subexpiry=0"
        await peer.acknowledged(offset)


async def test_a_user_for_the_master(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch, {"masteruser": "me", "masterauth": "secret"}) as (_, master):
        peer = await master.accept()
        await peer.expect("PING")
        await peer.send(b"+PONG\r\n")
        await peer.expect("AUTH me secret")
        await peer.send(b"-WRONGPASS no\r\n")
        while await peer.request():
            pass
        await master.accept()


MARK = b"0123456789" * 4
"""Ends a payload; the file before it, whose checksum depends on the clock, can't end like the mark's beginning."""

STEPS: dict[str, Callable[[Peer], object]] = {}


def step(play: Callable[[Peer], object]) -> Callable[[Peer], object]:
    STEPS[play.__name__] = play
    return play


@step
async def at_once(peer: Peer) -> None:
    pass


@step
async def after_ping(peer: Peer) -> None:
    await peer.expect("PING")
    await peer.send(b"+PO")


@step
async def after_replconf(peer: Peer) -> None:
    await peer.expect("PING")
    await peer.send(b"+PONG\r\n+OK\r\n")


@step
async def before_psync_is_answered(peer: Peer) -> None:
    await peer.greet()


@step
async def within_the_answer(peer: Peer) -> None:
    await peer.greet()
    await peer.send(b"+FULLRESYNC " + ID.encode())


@step
async def before_the_payload(peer: Peer) -> None:
    await peer.greet()
    await peer.send(b"+FULLRESYNC %b 100\r\n" % ID.encode())


@step
async def within_the_header(peer: Peer) -> None:
    await before_the_payload(peer)
    await peer.send(b"$EOF:" + b"x" * 20)


@step
async def within_the_payload(peer: Peer) -> None:
    await before_the_payload(peer)
    await peer.send(b"$%d\r\n" % len(FILE) + FILE[:20])


@step
async def before_the_mark(peer: Peer) -> None:
    await before_the_payload(peer)
    await peer.send(b"$EOF:" + MARK + b"\r\n" + FILE + MARK[:-1])


@step
async def within_the_stream(peer: Peer) -> None:
    await peer.full_sync()
    await peer.send(b"*3\r\n$3\r\nSET\r\n$1\r\n")


@step
async def within_a_transaction(peer: Peer) -> None:
    await peer.full_sync()
    await peer.command("MULTI", "SET a 5")


@pytest.mark.parametrize("play", STEPS.values(), ids=STEPS.keys())
async def test_cut_off(
    play: Callable[[Peer], object], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await play(peer)
        await settled()
        await peer.drop()
        await recovers(broker, master)


@pytest.mark.parametrize("play", STEPS.values(), ids=STEPS.keys())
async def test_silence(
    play: Callable[[Peer], object], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch, {"repl-timeout": "30"}) as (broker, master):
        peer = await master.accept()
        await play(peer)
        await recovers(broker, master)


GARBAGE = {
    "zeros": bytes(100),
    "lines": b"\r\n\r\n" * 50,
    "an endless line": b"x" * 200_000,
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "an error": b"-ERR unknown command\r\n",
    "sizes": b"$-1\r\n*-5\r\n$99999999999999999999\r\n",
    "a wrong FULLRESYNC": b"+FULLRESYNC xyz -5\r\n",
    "an unasked CONTINUE": b"+CONTINUE\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("play", STEPS.values(), ids=STEPS.keys())
async def test_garbage(
    play: Callable[[Peer], object], garbage: bytes, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await play(peer)
        await settled()
        with trio.move_on_after(5):
            await peer.send(garbage)
        await settled()
        await peer.drop()
        with trio.fail_after(10_000):
            while True:  # several attempts may fail before
                try:
                    await recovers(broker, master)
                    break
                except (AssertionError, trio.BrokenResourceError, IndexError):
                    continue


async def test_pauses_between_attempts(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        master.refuses = True
        await trio.sleep(60)
        assert master.connections == 1 + len(PAUSES) - 2 + int((60 - sum(PAUSES[:-1])) // PAUSES[-1])
        master.refuses = False
        await recovers(broker, master)


@pytest.mark.parametrize("pieces", [1, 7, 1000])
async def test_a_payload_with_a_mark(pieces: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    everything = b"$EOF:" + MARK + b"\r\n" + FILE + MARK + b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        await peer.send(b"+FULLRESYNC %b 100\r\n" % ID.encode())
        for at in range(0, len(everything), pieces):
            await peer.send(everything[at : at + pieces])
            await settled()
        await arrived(broker, "a", b"2")
        await peer.acknowledged(121)


async def test_old_data_stay_until_the_new_are_complete(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(payload("SET old 1"))
        await peer.drop()
        peer = await master.accept()
        await peer.greet()
        await peer.expect(f"PSYNC {ID} 101")
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (OTHER_ID.encode(), len(FILE), FILE[:-1]))
        await settled()
        assert await value(broker, "old") == b"$1\r\n1\r\n"
        assert await field(broker, "master_sync_in_progress") == "1"
        await peer.send(FILE[-1:])
        await peer.acknowledged(500)
        assert await value(broker, "old") == b"$-1\r\n"


@pytest.mark.parametrize("mode", ["disabled", "swapdb"])
async def test_a_broken_payload(mode: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch, {"repl-diskless-load": mode}) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(payload("SET old 1"))
        await peer.drop()
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        broken = FILE[:-9] + b"\xfe" + FILE[-8:]
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (OTHER_ID.encode(), len(broken), broken))
        began = trio.current_time()
        peer = await master.accept()
        assert trio.current_time() - began >= HOPELESS_PAUSES[0]
        assert await value(broker, "old") == (b"$1\r\n1\r\n" if mode == "swapdb" else b"$-1\r\n")
        assert await field(broker, "loading", "persistence") == "0"
        await peer.greet()
        await peer.expect("PSYNC ? -1")


async def test_functions_are_replaced(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    code = b"#!lua name=l\nredis.register_function('f', function() return 7 end)"

    file = EMPTY[:9] + b"\xf5\x40" + bytes([len(code)]) + code + EMPTY[9:]
    async with replica(monkeypatch, {"replica-read-only": "no"}) as (broker, master):
        client = await broker.client()
        await client.call("FUNCTION", "LOAD", "#!lua name=old\nredis.register_function('g', function() return 1 end)")
        await (await master.accept()).full_sync(file)
        assert await client.call("FCALL f 0") == b":7\r\n"
        assert (await client.call("FCALL g 0")).startswith(b"-ERR Function not found")


async def test_partial_resynchronization(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("SELECT 2", "SET b 1")
        await peer.acknowledged(100 + 23 + 27)
        await peer.send(b"*2\r\n$4\r\nINCR\r\n$1\r\n")  # lost
        await settled()
        await peer.drop()
        peer = await master.accept()
        await peer.greet()
        await peer.expect(f"PSYNC {ID} 151")
        await peer.send(f"+CONTINUE {OTHER_ID}\r\n".encode())
        await peer.command("INCR b")
        await peer.acknowledged(171)
        assert await field(broker, "master_replid") == OTHER_ID
        assert await field(broker, "master_replid2") == ID
        assert await field(broker, "second_repl_offset") == "151"
        client = await broker.client()
        await client.call("SELECT 2")
        assert await client.call("GET b") == b"$1\r\n2\r\n"


async def test_try_later(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.drop()
        for reply in (b"-LOADING Redis is loading the dataset in memory", b"-NOMASTERLINK Can't SYNC"):
            peer = await master.accept()
            await peer.greet()
            await peer.expect(f"PSYNC {ID} 101")
            await peer.send(reply + b"\r\n")
            assert await peer.request() == []
        await recovers(broker, master)


async def test_a_master_without_psync(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        await peer.send(b"-ERR unknown command 'PSYNC'\r\n")
        await peer.expect("SYNC")
        await peer.send(b"$%d\r\n" % len(FILE) + FILE)
        await peer.command("INCR a")
        await arrived(broker, "a", b"2")
        await trio.sleep(5)
        await peer.drop()
        peer = await master.accept()
        await peer.greet()
        await peer.expect("PSYNC ? -1")
