"""Clients that wait for keys: who is run again, when and in which order, and what is left when they are done."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from broker.broker import Broker
from broker.clients.blocking import FOREVER
from broker.clients.session import Session
from broker.keyspace.events import GENERIC, Event
from broker.values.list import List
from protocol.replies import NO_REPLY, OK
from tests.broker.direct import Client, bulk, bulks
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker

TOUCHED = Event(GENERIC, b"touched")


@pytest.fixture
def broker() -> Broker:
    return make_broker()


class Runs:
    """A command function that counts how often it is run, and answers when it is told to."""

    def __init__(self, *keys: bytes, kind: type[object] | None = List, timeout_ms: int = FOREVER) -> None:
        self.keys = keys
        self.kind = kind
        self.timeout_ms = timeout_ms
        self.retry_ms = 0
        self.count = 0
        self.answers = False

    def __call__(self, session: Session, args: list[bytes]) -> bytes:
        self.count += 1
        if self.answers:
            return OK
        return session.broker.blocking.wait(
            session, self, args, keys=self.keys, value_type=self.kind, timeout_ms=self.timeout_ms,
            timeout_reply=b"$-1\r\n", retry_ms=self.retry_ms,
        )  # fmt: skip

    def wait(self, client: Client) -> None:
        assert self(client.session, [b"WAIT"]) == NO_REPLY


def put(broker: Broker, key: bytes, value: object) -> None:
    """Store a value and serve who waits, as a command does."""
    database = broker.keyspace.databases[0]
    database.set(key, value)
    database.changed(key, TOUCHED)
    broker.blocking.serve()


# Who is run again


def test_only_a_value_of_the_right_kind_is_worth_a_run(broker: Broker) -> None:
    client, runs = Client(broker), Runs(b"k")
    runs.wait(client)
    put(broker, b"k", b"string")
    put(broker, b"other", List([b"a"]))
    assert runs.count == 1
    put(broker, b"k", List([b"a"]))
    assert runs.count == 2
    assert client.waits


def test_any_change_is_worth_a_run_without_a_kind(broker: Broker) -> None:
    client, runs = Client(broker), Runs(b"k", kind=None)
    runs.wait(client)
    put(broker, b"k", b"string")
    broker.keyspace.databases[0].delete(b"k")
    broker.keyspace.databases[0].changed(b"k", TOUCHED)
    broker.blocking.serve()
    assert runs.count == 3


def test_the_removal_of_a_key_serves_those_without_a_kind_behind_others(broker: Broker) -> None:
    first, second = Runs(b"k"), Runs(b"k", kind=None)
    first.wait(Client(broker))
    second.wait(Client(broker))
    broker.keyspace.databases[0].changed(b"k", TOUCHED)
    broker.blocking.serve()
    assert (first.count, second.count) == (1, 2)


def test_other_arguments_are_kept_for_the_next_run(broker: Broker) -> None:
    client = Client(broker)
    seen = []

    def count_up(session: Session, args: list[bytes]) -> bytes:
        seen.append(args)
        return session.broker.blocking.wait(
            session, count_up, [*args, b"again"], keys=[b"k"], value_type=List, timeout_ms=FOREVER, timeout_reply=b""
        )

    count_up(client.session, [b"x"])
    put(broker, b"k", List([b"a"]))
    put(broker, b"k", List([b"a"]))
    assert seen == [[b"x"], [b"x", b"again"], [b"x", b"again", b"again"]]


def test_other_databases_do_not_matter(broker: Broker) -> None:
    client, writer = Client(broker), Client(broker)
    client.do("BLPOP k 0")
    writer.session.db = broker.keyspace.databases[1]
    writer.do("RPUSH k a")
    assert client.waits


def test_a_session_that_never_waits_gets_the_nil(broker: Broker) -> None:
    client, runs = Client(broker), Runs(b"k")
    client.session.deny_blocking = True
    assert runs(client.session, [b"WAIT"]) == b"$-1\r\n"
    assert not broker.keyspace.databases[0].waiters


# In which order


def test_first_come_first_served(broker: Broker) -> None:
    clients, writer = [Client(broker) for _ in range(30)], Client(broker)
    for client in clients:
        client.do("BLPOP k 0")
    writer.do("RPUSH k " + " ".join(str(n) for n in range(12)))
    assert [client.take() for client in clients[:12]] == [bulks("k", str(n)) for n in range(12)]
    assert all(client.waits for client in clients[12:])
    writer.do("RPUSH k x")
    assert clients[12].take() == bulks("k", "x")


def test_who_is_not_served_keeps_its_place(broker: Broker) -> None:
    patient, quick, writer = Client(broker), Client(broker), Client(broker)
    patient.do("BLMOVEM k d LEFT RIGHT 0 EXACTLY 2 BULK")
    for element in "ab":
        quick.do("BLPOP k 0")
        writer.do(f"RPUSH k {element}")
        assert quick.take() == bulks("k", element)
    quick.do("BLPOP k 0")
    writer.do("RPUSH k c d")
    assert patient.take() == bulks("c", "d")
    assert quick.waits


def test_what_serving_makes_ready_is_served_at_once(broker: Broker) -> None:
    first, second, writer = Client(broker), Client(broker), Client(broker)
    second.do("BLPOP d 0")
    first.do("BLMOVE k d LEFT RIGHT 0")
    writer.do("RPUSH k a")
    assert (first.take(), second.take()) == (bulk("a"), bulks("d", "a"))
    assert not broker.keyspace.ready


def test_a_circle_ends(broker: Broker) -> None:
    clients, writer = [Client(broker) for _ in range(3)], Client(broker)
    for client, keys in zip(clients, ["k d", "d k", "k k"], strict=True):
        client.do(f"BLMOVE {keys} LEFT RIGHT 0")
    writer.do("RPUSH k a")
    assert [client.take() for client in clients] == [bulk("a")] * 3
    assert writer.do("LRANGE k 0 -1") == bulks("a")


def test_served_after_a_transaction_not_within(broker: Broker) -> None:
    client, writer = Client(broker), Client(broker)
    client.do("BLPOP k 0")
    for command in ("MULTI", "RPUSH k a", "DEL k", "RPUSH k b", "LPUSH k c", "EXEC"):
        writer.do(command)
    assert client.take() == bulks("k", "c")


# When it is over


def test_nothing_is_left_behind(broker: Broker) -> None:
    client, writer = Client(broker), Client(broker)
    client.do("BLPOP k d k k 0")
    assert set(broker.keyspace.databases[0].waiters) == {b"k", b"d"}
    writer.do("RPUSH d a")
    assert client.take() == bulks("d", "a")
    assert not broker.keyspace.databases[0].waiters
    assert not broker.keyspace.ready
    assert not broker.blocking.sessions
    assert client.session in broker.resumed


def test_nothing_is_left_behind_of_those_without_a_kind(broker: Broker) -> None:
    clients, runs = [Client(broker) for _ in range(3)], Runs(b"k", b"d", kind=None)
    for client in clients:
        runs.wait(client)
    for client in clients:
        broker.close_session(client.session)
    assert not broker.blocking._any_change


async def test_a_client_that_hung_up_takes_nothing() -> None:
    async with running() as broker:
        gone, other, writer = [await broker.client() for _ in range(3)]
        for client in (gone, other):
            await client.send("BLPOP k 0")
            await wait_all_tasks_blocked()
        # The close and the push reach the broker in the same tick.
        assert isinstance(gone.stream, trio.SocketStream)
        gone.stream.socket.close()
        await writer.send("RPUSH k a b")
        assert await other.receive() == bulks("k", "a")
        assert await writer.receive() == b":2\r\n"
        assert await writer.call("LRANGE k 0 -1") == bulks("b")


def test_a_client_that_is_being_closed_takes_nothing(broker: Broker) -> None:
    closing, other, writer = Client(broker), Client(broker), Client(broker)
    closing.do("BLPOP k 0")
    other.do("BLPOP k 0")
    closing.session.kill()
    writer.do("RPUSH k a b")
    assert closing.take() == b""
    assert other.take() == bulks("k", "a")


def test_a_closed_session_waits_no_more(broker: Broker) -> None:
    gone, writer = Client(broker), Client(broker)
    gone.do("BLPOP k d 0")
    broker.close_session(gone.session)
    assert not broker.keyspace.databases[0].waiters
    writer.do("RPUSH k a")
    assert writer.do("LLEN k") == b":1\r\n"


def test_cancel_of_one_who_does_not_wait(broker: Broker) -> None:
    broker.blocking.cancel(Client(broker).session)


def test_a_defect_costs_the_waiting_client_an_error(broker: Broker) -> None:
    client, next_one, writer = Client(broker), Client(broker), Client(broker)
    runs = Runs(b"k")
    runs.wait(client)
    next_one.do("BLPOP k 0")
    del runs.keys
    writer.do("RPUSH k a")
    assert client.take() == b"-ERR internal error\r\n"
    assert next_one.take() == bulks("k", "a")


def test_retrying_without_a_change(broker: Broker) -> None:
    client, runs = Client(broker), Runs(b"k")
    runs.wait(client)
    broker.blocking.retry(client.session)
    assert runs.count == 2 and client.waits
    runs.answers = True
    broker.blocking.retry(client.session)
    assert client.take() == OK
    broker.blocking.retry(client.session)
    assert runs.count == 3, "it waits no more"


def test_wake_all(broker: Broker) -> None:
    client = Client(broker)
    client.do("BLPOP k 0")
    database, other = broker.keyspace.databases[0], broker.keyspace.databases[1]
    other.add(b"k", List([b"a"]))
    database.swap(other)
    broker.blocking.wake_all(database)
    broker.blocking.serve()
    assert client.take() == bulks("k", "a")


# Time


async def test_time_outs(autojump_clock: MockClock) -> None:
    async with running() as broker:
        quick, slow = await broker.client(), await broker.client()
        start = trio.current_time()
        await slow.send("BLPOP k 2.5")
        assert await quick.call("BLMOVE k d LEFT LEFT 0.25") == b"*-1\r\n"
        assert trio.current_time() - start == pytest.approx(0.25)
        assert await slow.receive() == b"*-1\r\n"
        assert trio.current_time() - start == pytest.approx(2.5)
        assert not broker.broker.blocking.sessions


async def test_a_served_client_does_not_time_out_later(autojump_clock: MockClock) -> None:
    async with running() as broker:
        client, writer = await broker.client(), await broker.client()
        await client.send("BLPOP k 1")
        await trio.sleep(0.5)
        await writer.call("RPUSH k a")
        assert await client.receive() == bulks("k", "a")
        await trio.sleep(2)
        assert await client.call("PING") == b"+PONG\r\n"


async def test_a_wait_that_goes_on_keeps_its_deadline(autojump_clock: MockClock) -> None:
    async with running() as broker:
        client, writer = await broker.client(), await broker.client()
        start = trio.current_time()
        await client.send("BLMOVEM k d LEFT LEFT 2 EXACTLY 9 OBO")
        await trio.sleep(1)
        await writer.call("RPUSH k a")
        assert await client.receive() == b"*-1\r\n"
        assert trio.current_time() - start == pytest.approx(2)


async def test_retry(autojump_clock: MockClock) -> None:
    async with running() as broker:
        client = await broker.client()
        (session,) = broker.broker.sessions.values()
        runs = Runs(b"k")
        runs.retry_ms = 50
        assert runs(session, [b"WAIT"]) == NO_REPLY
        await trio.sleep(0.06)
        assert runs.count == 2
        runs.answers = True
        await trio.sleep(0.06)
        assert runs.count == 3
        assert await client.receive() == OK
        await trio.sleep(1)
        assert runs.count == 3


async def test_a_run_for_a_change_puts_the_retry_off(autojump_clock: MockClock) -> None:
    async with running() as broker:
        await broker.client()
        (session,) = broker.broker.sessions.values()
        runs = Runs(b"k")
        runs.retry_ms = 50
        assert runs(session, [b"WAIT"]) == NO_REPLY
        await trio.sleep(0.03)
        put(broker.broker, b"k", List([b"a"]))
        assert runs.count == 2
        await trio.sleep(0.04)
        assert runs.count == 2
        await trio.sleep(0.02)
        assert runs.count == 3
