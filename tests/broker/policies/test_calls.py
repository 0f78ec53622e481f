"""Calls: who gets the answer to an entry, and what becomes of the entry if nobody waits for it any more."""

import pytest
import trio
from trio.testing import MockClock

from broker.replication.role import Address
from tests.broker.effects import journal, lines
from tests.broker.inprocess import Broker, Client
from tests.broker.policies.governing import dead_letters, governing
from tests.oracle.wire import parse

GROUP = "XGROUP CREATE s g 0 MKSTREAM"
READ = "XREADGROUP GROUP g w STREAMS s >"


async def calling(broker: Broker, line: str = "XCALL 0 s * n 1") -> Client:
    """A client that waits for an answer."""
    client = await broker.client()
    await client.send(line)
    while client is not None and not broker.broker.calls.waiting:
        await trio.sleep(0)
    return client


async def read_id(client: Client, line: str = READ) -> str:
    """The ID of the first entry that a worker reads."""
    return parse(await client.call(line)).items[0].items[1].items[0].items[0].text.decode()


async def silent(client: Client) -> bool:
    """Whether the client has got no reply after a while."""
    with trio.move_on_after(1):
        return not await client.receive()
    return True


async def test_an_answer(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, worker):
        caller = await calling(broker)
        assert "calling_clients:1\r\n" in await worker.text("INFO clients")
        id = await read_id(worker)
        assert await worker.call(f"XREPLY s g {id} done") == b":1\r\n"
        reply = parse(await caller.receive())
        assert [item.text for item in reply.items] == [id.encode(), b"done"]
        assert b"*4\r\n:0\r\n" in await worker.call("XPENDING s g")
        assert "calling_clients:0\r\n" in await worker.text("INFO clients")
        assert await worker.call(f"XREPLY s g {id} done") == b":0\r\n"
        assert await caller.call("PING") == b"+PONG\r\n"


async def test_a_waiting_worker_gets_the_entry_at_once(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, worker):
        await worker.send("XREADGROUP GROUP g w BLOCK 0 STREAMS s >")
        caller = await calling(broker, "XCALL 1000 s * n 1")
        id = parse(await worker.receive()).items[0].items[1].items[0].items[0].text
        assert await worker.call("XREPLY", "s", "g", id, b"\0\r\n") == b":1\r\n"
        assert parse(await caller.receive()).items[1].text == b"\0\r\n"


@pytest.mark.parametrize("protocol", [2, 3])
async def test_acknowledged_without_an_answer(protocol: int, autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, worker):
        for words in ("XACK s g {}", "XACK s g 1-1 {} 2-2", "XACKDEL s g IDS 1 {}", "XACKDEL s g DELREF IDS 2 1-1 {}"):
            caller = await broker.client()
            await caller.call(f"HELLO {protocol}")
            await caller.send("XCALL 0 s * n 1")
            while not broker.broker.calls.waiting:
                await trio.sleep(0)
            id = await read_id(worker)
            await worker.call(words.format(id))
            nil = b"$-1\r\n" if protocol == 2 else b"_\r\n"
            assert await caller.receive() == b"*2\r\n$%d\r\n%b\r\n" % (len(id), id.encode()) + nil


async def test_an_acknowledgement_of_other_entries(autojump_clock: MockClock) -> None:
    async with governing(GROUP, "XADD s 1-1 a 1") as (broker, worker):
        caller = await calling(broker)
        await worker.call(READ)
        assert await worker.call("XACK s g 1-1") == b":1\r\n"
        assert await worker.call("XACK s none 1-1") == b":0\r\n"
        assert await silent(caller)


async def test_nobody_else_needs_to_answer(autojump_clock: MockClock) -> None:
    """A group that only watches can't end a call: nil is the answer once no group has the entry any more."""
    async with governing(GROUP, "XGROUP CREATE s audit 0") as (broker, worker):
        caller = await calling(broker)
        id = await read_id(worker, "XREADGROUP GROUP audit a STREAMS s >")
        await worker.call(f"XACK s audit {id}")
        assert await silent(caller)
        await worker.call(READ)
        assert await silent(caller)
        await worker.call(f"XREPLY s g {id} yes")
        assert parse(await caller.receive()).items[1].text == b"yes"


async def test_a_dead_entry(autojump_clock: MockClock) -> None:
    policy = "XGROUP CFGSET s g ACKWAIT 100 MAXDELIVER 1 DEADLETTER dlq"
    async with governing(GROUP, policy) as (broker, worker):
        caller = await calling(broker)
        await read_id(worker)
        assert await caller.receive() == b"-DEADLETTER not acknowledged after 1 deliveries\r\n"
        other = await calling(broker)
        id = await read_id(worker)
        await worker.call(f"XNACK s g FATAL IDS 1 {id}")
        assert await other.receive() == b"-DEADLETTER rejected with XNACK FATAL\r\n"
        assert len(await dead_letters(worker)) == 2


async def test_a_worker_that_gives_an_entry_up(autojump_clock: MockClock) -> None:
    async with governing(GROUP, "XGROUP CREATE s audit 0") as (broker, worker):
        caller = await calling(broker)
        id = await read_id(worker)
        assert await worker.call("XREPLY", "s", "g", id, b"no\r\nnumber", "DEADLETTER") == b":0\r\n"
        assert await silent(caller)
        await read_id(worker, "XREADGROUP GROUP audit a STREAMS s >")
        assert await worker.call("XREPLY", "s", "audit", id, b"no\r\nnumber", "DEADLETTER") == b":1\r\n"
        assert await caller.receive() == b"-DEADLETTER no  number\r\n"
        assert (await worker.call("XPENDING s g")).startswith(b"*4\r\n:0\r\n")
        assert await worker.call("XREPLY", "s", "g", id, b"x", "DEADLETTER") == b":0\r\n"


async def test_the_time_out_removes_an_entry_that_nobody_has_read(autojump_clock: MockClock) -> None:
    async with governing(GROUP, "XADD s 1-1 a 1") as (broker, client):
        effects = journal(broker.broker)
        began = trio.current_time()
        assert await client.call("XCALL 500 s * n 1") == b"*-1\r\n"
        assert trio.current_time() - began == pytest.approx(0.5, abs=0.01)
        added, removed = lines(effects)
        id = added.split()[2]
        assert added == f"XADD s {id} n 1" and removed == f"XDEL s {id}"
        assert await client.call("XLEN s") == b":1\r\n"


async def test_the_time_out_leaves_what_is_being_handled(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, worker):
        caller = await calling(broker, "XCALL 500 s * n 1")
        id = await read_id(worker)
        assert await caller.receive() == b"*-1\r\n"
        assert await worker.call("XLEN s") == b":1\r\n"
        assert await worker.call(f"XREPLY s g {id} late") == b":0\r\n"
        assert b"*4\r\n:0\r\n" in await worker.call("XPENDING s g")


@pytest.mark.parametrize("end", ["close", "kill", "unblock", "error"])
async def test_callers_that_stop_waiting(end: str, autojump_clock: MockClock) -> None:
    async with governing(GROUP, "SELECT 2", GROUP) as (broker, client):
        caller = await broker.client()
        id = int((await caller.call("CLIENT ID"))[1:])
        await caller.send("XCALL 0 s * n 1")
        while not broker.broker.calls.waiting:
            await trio.sleep(0)
        effects: list[tuple[int, list[bytes]]] = journal(broker.broker)
        if end == "close":
            await caller.stream.aclose()
        elif end == "kill":
            await client.call(f"CLIENT KILL ID {id}")
        elif end == "unblock":
            await client.call(f"CLIENT UNBLOCK {id}")
            assert await caller.receive() == b"*-1\r\n"
        else:
            await client.call(f"CLIENT UNBLOCK {id} ERROR")
            assert (await caller.receive()).startswith(b"-UNBLOCKED")
        await trio.sleep(0.01)
        assert [(database, words[0]) for database, words in effects] == [(0, b"XDEL")]
        assert not broker.broker.calls.waiting
        await client.call("SELECT 0")
        assert await client.call("XLEN s") == b":0\r\n"


async def test_a_pause_postpones_the_removal(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, client):
        caller = await calling(broker, "XCALL 500 s * n 1")
        other = await calling(broker, "XCALL 600 s * n 2")
        await client.call("CLIENT PAUSE 3000 WRITE")
        for each in (caller, other):
            assert await each.receive() == b"*-1\r\n"
        assert await client.call("XLEN s") == b":2\r\n"
        await trio.sleep(3)
        assert await client.call("XLEN s") == b":0\r\n"


async def test_a_replica_removes_nothing(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, client):
        caller = await calling(broker)
        broker.broker.role.follow(Address("127.0.0.1", 1))
        assert (await caller.receive()).startswith(b"-UNBLOCKED")
        await trio.sleep(1)
        assert await client.call("XLEN s") == b":1\r\n"
        assert not broker.broker.calls.waiting


async def test_what_happens_to_the_stream_meanwhile(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, client):
        for line in ("DEL s", "SET s text", "FLUSHALL", "RENAME s t", "XTRIM s MAXLEN 0", "XGROUP DESTROY s g"):
            await client.call("DEL s")
            await client.call(GROUP)
            caller = await calling(broker, "XCALL 500 s * n 1")
            await client.call(line)
            assert await caller.receive() == b"*-1\r\n", line
            assert not broker.broker.calls.waiting


async def test_many_callers(autojump_clock: MockClock) -> None:
    async with governing(GROUP) as (broker, worker):
        callers = []
        for number in range(50):
            callers.append(await broker.client())
            await callers[-1].send(f"XCALL 10000 s * n {number}")
        while len(broker.broker.calls.waiting) < 50:
            await trio.sleep(0)
        entries = parse(await worker.call(READ)).items[0].items[1].items
        for entry in reversed(entries):
            number = entry.items[1].items[1].text
            assert await worker.call("XREPLY", "s", "g", entry.items[0].text, b"for " + number) == b":1\r\n"
        for number, caller in enumerate(callers):
            assert parse(await caller.receive()).items[1].text == b"for %d" % number
