"""The link to a master that follows a script: each step of joining, cut off, delayed or nonsense, and what follows."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from broker.process.clock import TrioClock
from broker.replication import applying
from broker.replication.link import HOPELESS_PAUSES, PAUSES
from tests.broker.inprocess import Broker, running
from tests.broker.replication.fake_master import EMPTY, ID, OTHER_ID, Master, Peer, field, payload, replica, settled

FILE = payload("SET a 1", "RPUSH l x y")


async def value(broker: Broker, key: str) -> bytes:
    client = await broker.client()
    return await client.call("GET", key)


async def arrived(broker: Broker, key: str, wanted: bytes) -> None:
    """Wait until a key has a value."""
    with trio.fail_after(60):
        while await value(broker, key) != b"$%d\r\n%b\r\n" % (len(wanted), wanted):
            await trio.sleep(0.01)


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
    await peer.send(b"$EOF:" + b"x" * 40 + b"\r\n" + FILE + b"x" * 39)


@step
async def within_the_stream(peer: Peer) -> None:
    await peer.full_sync()
    await peer.send(b"*3\r\n$3\r\nSET\r\n$1\r\n")


@step
async def within_a_transaction(peer: Peer) -> None:
    await peer.full_sync()
    await peer.command("MULTI", "SET a 5")


async def recovers(broker: Broker, master: Master) -> None:
    """The next attempts succeed, and nothing is left of those before."""
    with trio.fail_after(600):
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (OTHER_ID.encode(), len(FILE), FILE))
        await peer.acknowledged(500)
        await peer.command("INCR a")
        await arrived(broker, "a", b"2")
        assert await field(broker, "master_replid") == OTHER_ID


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
    mark = b"0123456789" * 4
    everything = b"$EOF:" + mark + b"\r\n" + FILE + mark + b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"
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


@pytest.mark.parametrize(
    "commands",
    [
        ["NOSUCH a"],
        ["SET a"],
        ["RPUSH a x"],
        ["MULTI", "INCR b", "RPUSH a x", "EXEC"],
        ["MULTI", "NOSUCH", "EXEC"],
        ["SELECT 99"],
        ["EXEC"],
        ["MULTI", "MULTI"],
    ],
)
async def test_a_command_that_fails_ends_the_link(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        began = trio.current_time()
        await peer.command("SET before 1", *commands, "SET after 1")
        while await peer.request():
            pass
        assert await value(broker, "before") == b"$1\r\n1\r\n"
        assert await value(broker, "after") == b"$-1\r\n"
        assert await field(broker, "master_link_status") == "down"
        assert await field(broker, "slave_priority") == "0"
        peer = await master.accept()
        assert trio.current_time() - began >= HOPELESS_PAUSES[0]
        await peer.greet()
        await peer.expect("PSYNC ? -1")
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (ID.encode(), len(FILE), FILE))
        await peer.acknowledged(500)
        assert await field(broker, "slave_priority") == "100"


async def test_a_defect_here_does_not_end_the_broker(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)

        def broken(*_: object) -> None:
            raise RuntimeError("a defect")

        with monkeypatch.context() as patched:
            patched.setattr(applying.Applying, "feed", broken)
            await peer.command("INCR a")
            while await peer.request():
                pass
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await recovers(broker, master)


async def test_positions(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("PING", "REPLCONF GETACK *")
        await peer.acknowledged(114)  # the question itself doesn't count
        await peer.acknowledged(151)  # a second later
        await peer.command("MULTI", "INCR a")
        await settled()
        assert await field(broker, "slave_repl_offset") == "151"
        assert await field(broker, "slave_read_repl_offset") == str(151 + 15 + 21)
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await peer.command("INCR a", "EXEC", "MULTI")
        await peer.acknowledged(151 + 15 + 42 + 14)
        assert await value(broker, "a") == b"$1\r\n3\r\n"


async def test_what_the_disk_has_is_reported(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, tmp_path: object
) -> None:
    async with replica(
        monkeypatch, {"dir": str(tmp_path), "appendonly": "yes", "save": "", "repl-timeout": "1000000"}
    ) as (_, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("INCR a")
        with trio.fail_after(100_000):
            while (await peer.acknowledged(121))[3:] != [b"FACK", b"121"]:
                pass


async def test_messages_reach_subscribers_here(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE c")
        peer = await master.accept()
        await peer.full_sync(FILE)
        await peer.command("PUBLISH c hello")
        assert await subscriber.receive() == b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n"


async def test_waiting_readers_are_served(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        reader = await broker.client()
        await reader.send("XREAD BLOCK 0 STREAMS s $")
        await settled()
        await peer.command("XADD s 5-1 f v")
        assert b"5-1" in await reader.receive()


async def test_promoted_while_connected(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        await peer.send(b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n")
        assert await client.call("REPLICAOF NO ONE") == b"+OK\r\n"
        before = await value(broker, "a")
        with pytest.raises(trio.BrokenResourceError):
            for _ in range(100):
                await peer.command("INCR a")
        assert await value(broker, "a") == before
        assert await field(broker, "role") == "master"
        assert await field(broker, "master_replid2") == ID
        assert await client.call("SET a 9") == b"+OK\r\n"
        await trio.sleep(100)
        assert master.connections == 1


async def test_killed_by_a_client_it_comes_back(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        assert b"flags=M" in await client.call("CLIENT LIST TYPE master")
        assert await client.call("CLIENT KILL TYPE master") == b":1\r\n"
        while await peer.request():
            pass
        peer = await master.accept()
        await peer.greet()
        await peer.expect(f"PSYNC {ID} 101")


async def test_a_pause_holds_for_the_master(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with replica(monkeypatch) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(FILE)
        client = await broker.client()
        await client.call("CLIENT PAUSE 10000 WRITE")
        await peer.command("INCR a")
        await trio.sleep(1)
        assert await value(broker, "a") == b"$1\r\n1\r\n"
        await client.call("CLIENT UNPAUSE")
        await arrived(broker, "a", b"2")


async def test_the_append_only_file_begins_anew(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, tmp_path: object
) -> None:
    directives = {"dir": str(tmp_path), "appendonly": "yes", "save": "", "repl-timeout": "1000000"}
    async with replica(monkeypatch, directives) as (broker, master):
        peer = await master.accept()
        await peer.full_sync(payload("SET old 1"))
        await peer.command("SET between 1")
        await arrived(broker, "between", b"1")
        await peer.drop()
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (OTHER_ID.encode(), len(FILE), FILE))
        await peer.acknowledged(500)
        await peer.command("INCR a")
        with trio.fail_after(1000):
            while (await peer.acknowledged(521))[4:] != [b"521"]:
                pass
    async with running({**directives, "replicaof": "no one"}) as broker:
        assert await value(broker, "a") == b"$1\r\n2\r\n"
        assert await value(broker, "old") == await value(broker, "between") == b"$-1\r\n"


async def test_due_keys_are_hidden_and_stay(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    clock = TrioClock()
    async with replica(monkeypatch, clock=clock) as (broker, master):
        peer = await master.accept()
        await peer.full_sync()
        when = clock.read() + 1000
        await peer.command(f"SET k 1 PXAT {when}", f"SET past 1 PXAT {when - 50_000}", "HSET h a 1 b 2")
        await peer.command(f"HPEXPIREAT h {when} FIELDS 1 a")
        client = await broker.client()
        await trio.sleep(3)
        assert await client.call("MGET k past") == b"*2\r\n$-1\r\n$-1\r\n"
        assert await client.call("HGETALL h") == b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        assert await client.call("DBSIZE") == b":3\r\n"
        assert await client.call("KEYS *") == b"*1\r\n$1\r\nh\r\n"
        await peer.command("INCR k", "INCR past", "HINCRBY h a 1", "PERSIST k", "PERSIST past")
        await arrived(broker, "k", b"2")
        assert await client.call("GET past") == b"$1\r\n2\r\n"
        assert await client.call("HGETALL h") == b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        assert await client.call("REPLICAOF NO ONE") == b"+OK\r\n"
        await trio.sleep(1)
        assert await client.call("HGETALL h") == b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        assert await field(broker, "expired_subkeys", "stats") == "1"
