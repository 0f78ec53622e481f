"""Many keys that fall due together: removed in bounded batches with everybody's turn in between, and none untold."""

from collections import Counter

import pytest
import trio
import trio.testing

from broker.keyspace.expiry import EXPIRE_BATCH
from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import Broker, Client, running
from tests.oracle.wire import encode, parse
from tests.twins import is_compiled

KEYS = 20_000

WATCHED = not is_compiled("broker.keyspace.keyspace")
"""Whether the batches can be watched; if not, only what comes of them is tested."""


class AheadClock(TrioClock):
    """Trio's clock, and by how much the wall clock has jumped ahead of it."""

    ahead_ms = 0

    def read(self) -> int:
        return super().read() + self.ahead_ms


def batches(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Filled with (Trio's time, keys removed) for each time that keys are removed, where that can be watched."""
    keyspace = broker.broker.keyspace
    seen: list[tuple[float, int]] = []
    if not WATCHED:
        return seen
    original = type(keyspace).expire_due

    def counted(self: object) -> None:
        before = keyspace.expired + keyspace.expired_fields
        original(self)  # type: ignore[arg-type]
        seen.append((trio.current_time(), keyspace.expired + keyspace.expired_fields - before))

    monkeypatch.setattr(type(keyspace), "expire_due", counted)
    return seen


async def filled(client: Client, commands: list[list[str]]) -> None:
    for first in range(0, len(commands), 1000):
        part = commands[first : first + 1000]
        await client.stream.send_all(b"".join(map(encode, part)))
        for _ in part:
            assert not (await client.receive()).startswith(b"-")


async def expired_names(listener: Client, count: int) -> list[bytes]:
    return [parse(await listener.receive()).items[2].text for _ in range(count)]


@pytest.mark.parametrize("spread_ms", [0, 1, 1000], ids=["at once", "in a ms", "in a second"])
async def test_keys(spread_ms: int, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    directives = {"notify-keyspace-events": "Ex", "client-output-buffer-limit": "pubsub 0 0 0"}
    async with running(directives, clock=TrioClock()) as broker:
        client, listener = await broker.client(), await broker.client()
        await listener.call("SUBSCRIBE __keyevent@0__:expired __keyevent@1__:expired")
        await listener.receive()
        due = broker.broker.clock.now + 5000
        names = [f"{number}" for number in range(KEYS)]
        deadlines = {name: due + (number * 7919) % (spread_ms + 1) for number, name in enumerate(names)}
        commands = [["SET", name, "v", "PXAT", str(deadlines[name])] for name in names]
        await filled(client, [*commands[::2], ["SELECT", "1"], *commands[1::2], ["SELECT", "0"]])
        seen = batches(broker, monkeypatch)
        heard = await expired_names(listener, KEYS)
        assert Counter(heard) == Counter(name.encode() for name in names)
        # On time: this clock stands still while the broker works, so nothing waits for more than its own millisecond.
        start = broker.broker.clock.trio_deadline(due)
        assert trio.current_time() - start <= (spread_ms + 2) / 1000
        if WATCHED:
            assert sum(removed for _, removed in seen) == KEYS
            assert max(removed for _, removed in seen) <= EXPIRE_BATCH
        # In each database in the order of the deadlines, whatever the batches are.
        for half in (set(names[::2]), set(names[1::2])):
            order = [deadlines[name.decode()] for name in heard if name.decode() in half]
            assert order == sorted(order)
        assert broker.broker.keyspace.databases[0].data == broker.broker.keyspace.databases[1].data == {}


SUBSCRIPTIONS = [
    "SUBSCRIBE __keyevent@0__:expired", "PSUBSCRIBE __keyevent@*__:expired", "PSUBSCRIBE __key*__:*",
    "SUBSCRIBE __keyspace@0__:7 __keyspace@0__:8", "PSUBSCRIBE __keyspace@0__:*7", "PSUBSCRIBE *:expired *event*",
]  # fmt: skip


@pytest.mark.parametrize("subscription", SUBSCRIPTIONS)
@pytest.mark.parametrize("letters", ["Ex", "Kx", "KEA"])
async def test_who_is_told_of_keys_that_go_together(
    subscription: str, letters: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Each listener hears of each key what it would if the keys went one by one."""
    heard = []
    for apart_ms in (0, 10):
        async with running(clock=TrioClock()) as broker:
            client, listener = await broker.client(), await broker.client()
            due = broker.broker.clock.now + 5000
            names = [f"{number}" for number in range(50)]
            await filled(client, [["SET", name, "v", "PXAT", f"{due + apart_ms * int(name)}"] for name in names])
            await client.call("CONFIG SET notify-keyspace-events", letters)
            await listener.send(subscription)
            for _ in subscription.split()[1:]:
                await listener.receive()
            await trio.sleep(7)
            await client.call("PUBLISH", "__keyspace@0__:7", "end")
            await client.call("PUBLISH", "__keyevent@0__:expired", "end")
            messages: list[bytes] = []
            while not messages or b"\r\nend\r\n" not in messages[-1]:
                messages.append(await listener.receive())
            heard.append(messages)
    assert heard[0] == heard[1]


async def test_those_who_watch_and_the_journal_are_told_of_every_key(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client, *watching = [await broker.client() for _ in range(4)]
        due = broker.broker.clock.now + 5000
        await filled(client, [["SET", f"{number}", "v", "PXAT", f"{due}"] for number in range(20)])
        for number, other in enumerate(watching):
            await other.call(f"WATCH {'stays' if number == 2 else number}")
            await other.call("MULTI")
        seen = journal(broker.broker)
        await trio.sleep(6)
        assert sorted(lines(seen)) == sorted(f"DEL {number}" for number in range(20))
        assert [await other.call("EXEC") for other in watching] == [b"*-1\r\n", b"*-1\r\n", b"*0\r\n"]


async def test_fields(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running({"notify-keyspace-events": "Eh"}, clock=TrioClock()) as broker:
        client = await broker.client()
        due = broker.broker.clock.now + 5000
        fields = [f"{number}" for number in range(5000)]
        pairs = [word for name in fields for word in (name, "v")]
        await filled(client, [["HSETEX", "h", "PXAT", str(due), "FIELDS", "5000", *pairs], ["HSET", "h", "stays", "v"]])
        await filled(client, [["HSETEX", f"h{n}", "PXAT", str(due), "FIELDS", "2", *pairs[:4]] for n in range(1000)])
        seen = batches(broker, monkeypatch)
        await trio.sleep(6)
        if WATCHED:
            assert sum(removed for _, removed in seen) == 7000
            assert max(removed for _, removed in seen) <= EXPIRE_BATCH + 1
        assert set(broker.broker.keyspace.databases[0].data) == {b"h"}
        assert await client.call("HGETALL h") == encode(["stays", "v"])


async def test_nobody_sees_a_key_that_is_due(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While more keys are due than a batch, every command that could meet one of the rest takes it for gone."""
    clock = AheadClock()
    async with running(clock=clock) as broker:
        client = await broker.client()
        await filled(client, [["SET", f"{number}", "v", "PX", "1000"] for number in range(3 * EXPIRE_BATCH)])
        await client.call("SET stays v")
        seen = batches(broker, monkeypatch)
        await trio.sleep(0.5)
        last = f"{3 * EXPIRE_BATCH - 1}"
        # In one tick with the first batch: its requests are there when the clock passes the deadline.
        script = [["EXISTS", last], ["KEYS", "*"], ["SCAN", "0", "COUNT", "10000"], ["RANDOMKEY"], ["GET", last],
                  ["SET", last, "new", "NX", "GET"], ["TTL", last], ["RENAMENX", "stays", "0"]]  # fmt: skip
        clock.ahead_ms = 600
        await client.stream.send_all(b"".join(map(encode, script)))
        replies = [await client.receive() for _ in script]
        assert not WATCHED or seen[0][1] == EXPIRE_BATCH
        assert replies == [
            b":0\r\n", encode(["stays"]), b"*2\r\n$1\r\n0\r\n" + encode(["stays"]), b"$5\r\nstays\r\n", b"$-1\r\n",
            b"$-1\r\n", b":-1\r\n", b":1\r\n",
        ]  # fmt: skip
