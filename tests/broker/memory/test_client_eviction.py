"""maxmemory-clients: the largest clients go, and no more of them than needed."""

import pytest

from broker.broker import Broker
from broker.clients.memory_use import CLIENT_SIZE, LISTED_SIZE, client_memory
from broker.clients.session import Session
from broker.config import Config
from broker.memory.client_eviction import LIMIT_MIN, ClientEviction
from broker.process.log import Log
from broker.process.stats import Stats
from tests.broker.direct import Client
from tests.broker.inprocess import running
from tests.broker.sessions import Wire, make_broker


class Buffered(Wire):
    """A transport with so many unsent bytes."""

    def __init__(self, unsent: int) -> None:
        super().__init__()
        self.unsent = unsent

    def sizes(self) -> tuple[int, int, int, int]:
        return 0, 0, 0, self.unsent


def client(broker: Broker, unsent: int) -> tuple[Session, Buffered]:
    wire = Buffered(unsent)
    return broker.open_session(wire), wire


@pytest.mark.parametrize(
    ("directive", "maxmemory", "limit"),
    [(0, 0, 0), (1, 0, LIMIT_MIN), (1 << 20, 0, 1 << 20), (-5, 0, 0), (-5, 100 << 20, 5 << 20), (-1, 100, LIMIT_MIN)],
)
def test_the_limit(directive: int, maxmemory: int, limit: int) -> None:
    config, log = Config(), Log("nothing")
    config.maxmemory_clients, config.maxmemory = directive, maxmemory
    assert ClientEviction(config, {}, Stats(log.warning), log).limit() == limit


def test_the_largest_go_first_and_no_more_than_needed() -> None:
    broker = make_broker(maxmemory_clients=1 << 20)
    wires = [client(broker, unsent)[1] for unsent in (300_000, 600_000, 10, 500_000, 100_000)]
    broker.eviction.clients.check()
    assert [wire.aborted for wire in wires] == [False, True, False, False, False]
    assert broker.stats.evicted_clients == 1


def test_protected_clients_stay() -> None:
    broker = make_broker(maxmemory_clients=1 << 20)
    protected, wire = client(broker, 5_000_000)
    protected.no_evict = True
    others = [client(broker, unsent)[1] for unsent in (10, 200_000)]
    broker.eviction.clients.check()
    assert not wire.aborted and [other.aborted for other in others] == [True, True]


def test_within_the_limit_nobody_goes() -> None:
    broker = make_broker(maxmemory_clients=1 << 20)
    wire = client(broker, (1 << 20) - CLIENT_SIZE - 1)[1]
    broker.eviction.clients.check()
    assert not wire.aborted


def test_a_client_counts_with_its_transaction_and_subscriptions() -> None:
    broker = make_broker()
    session, _ = client(broker, 100)
    session.queued_size = 50
    session.channels[b"12345"] = None
    assert client_memory(session) == CLIENT_SIZE + 155 + LISTED_SIZE


@pytest.mark.parametrize(
    "command",
    [
        "WATCH {}", "BLPOP {} 0", "SUBSCRIBE {}", "PSUBSCRIBE {}", "SSUBSCRIBE {}", "CLIENT SETNAME {}",
        "CLIENT SETINFO LIB-NAME {}", "CLIENT SETINFO LIB-VER {}",
    ],
)  # fmt: skip
def test_a_client_counts_with_every_name_it_keeps(command: str) -> None:
    client = Client(make_broker())
    before = client_memory(client.session)
    client.do(command.format("x" * 100_000))
    assert 100_000 <= client_memory(client.session) - before <= 100_000 + 4 * LISTED_SIZE


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    directives = {"maxmemory-clients": "1mb", "client-output-buffer-limit": "normal 0 0 0"}
    async with running(directives) as broker:
        greedy, modest = await broker.client(), await broker.client()
        broker.broker.keyspace.databases[0].set(b"k", b"v" * 3_000_000)
        await greedy.send("GET k")
        while len(broker.broker.sessions) == 2:
            broker.broker.eviction.clients._next = 0
            assert await modest.call("PING") == b"+PONG\r\n"
        assert b"evicted_clients:1\r\n" in await modest.call("INFO stats")


async def test_a_share_of_maxmemory_set_at_run_time() -> None:
    async with running() as broker:
        one, two = await broker.client(), await broker.client()
        await one.call("SUBSCRIBE", "c" * 300_000)
        broker.broker.eviction.clients._next = 0
        assert await two.call("CONFIG SET maxmemory 10gb maxmemory-clients 1%") == b"+OK\r\n"
        assert len(broker.broker.sessions) == 2
        broker.broker.eviction.clients._next = 0
        assert await two.call("CONFIG SET maxmemory-clients 1") == b"+OK\r\n"
        assert await one.receive() == b"" and len(broker.broker.sessions) == 1
