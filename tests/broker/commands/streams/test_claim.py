"""What claims propagate."""

import pytest

from broker.broker import Broker
from tests.broker.commands.streams.test_consume import seen_lines
from tests.broker.direct import Client
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    client = Client(broker)
    for n in range(1, 6):
        client.do(f"XADD s {n} f v")
    client.do("XGROUP CREATE s g 0")
    client.do("XREADGROUP GROUP g a COUNT 4 STREAMS s >")
    client.do("XDEL s 2")
    return client


def test_xclaim(broker: Broker, client: Client) -> None:
    commands = ["XCLAIM s g b 0 1 2 3 TIME 5", "XCLAIM s g b 99999 4", "XCLAIM s g b 0 9 LASTID 5"]
    assert seen_lines(broker, client, *commands) == [
        "XGROUP CREATECONSUMER s g b",
        "XCLAIM s g b 0 1-0 TIME 5 RETRYCOUNT 2 FORCE JUSTID",
        "XCLAIM s g b 0 3-0 TIME 5 RETRYCOUNT 2 FORCE JUSTID",
        "XACK s g 2-0",
        "XGROUP SETID s g 5-0 ENTRIESREAD 4",
    ]


def test_xautoclaim(broker: Broker, client: Client) -> None:
    client.do("XCLAIM s g a 0 4 RETRYCOUNT 7 JUSTID")
    assert seen_lines(broker, client, "XAUTOCLAIM s g b 0 0", "XAUTOCLAIM s g b 99999 0", "XAUTOCLAIM s g b 0 9") == [
        "XGROUP CREATECONSUMER s g b",
        "XCLAIM s g b 0 1-0 3-0 TIME T RETRYCOUNT 2 FORCE JUSTID",
        "XCLAIM s g b 0 4-0 TIME T RETRYCOUNT 8 FORCE JUSTID",
        "XACK s g 2-0",
    ]


def test_xclaim_changing_nothing_propagates_nothing(broker: Broker, client: Client) -> None:
    assert seen_lines(broker, client, "XCLAIM s g a 99999 1", "XAUTOCLAIM s g a 99999 3", "PING") == []
