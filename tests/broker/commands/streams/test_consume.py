"""What consuming in a group propagates, and how clients wait."""

import pytest

from broker.broker import Broker
from tests.broker.direct import Client
from tests.broker.effects import journal, lines
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
    return client


def seen_lines(broker: Broker, client: Client, *commands: str) -> list[str]:
    """What the commands propagate, with T for the time."""
    seen = journal(broker)
    for command in commands:
        client.do(command)
    now = str(broker.clock.now)
    return [line.replace(now, "T").replace(str(broker.clock.now - 1), "T") for line in lines(seen)]


def test_deliveries_propagate_as_claims(broker: Broker, client: Client) -> None:
    assert seen_lines(
        broker,
        client,
        "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
        "XREADGROUP GROUP g c STREAMS s 0",
        "XREADGROUP GROUP g c NOACK COUNT 1 STREAMS s >",
        "XREADGROUP GROUP g d NOACK COUNT 1 STREAMS s >",
        "XACK s g 1 7",
        "XACK s g 1",
    ) == [
        "XCLAIM s g c 0 1-0 2-0 TIME T RETRYCOUNT 1 FORCE JUSTID",
        "XGROUP SETID s g 2-0 ENTRIESREAD 2",
        "XGROUP SETID s g 3-0 ENTRIESREAD 3",
        "XGROUP SETID s g 4-0 ENTRIESREAD 4",
        "XGROUP CREATECONSUMER s g d",
        "XACK s g 1 7",
    ]


def test_reading_nothing_propagates_the_consumer_alone(broker: Broker, client: Client) -> None:
    client.do("XGROUP SETID s g $")
    assert seen_lines(
        broker,
        client,
        "XREADGROUP GROUP g c STREAMS s >",
        "XREADGROUP GROUP g c STREAMS s >",
        "XREADGROUP GROUP g d STREAMS s 0",
        "PING",
    ) == ["XGROUP CREATECONSUMER s g c", "XGROUP CREATECONSUMER s g d"]


def test_claims_while_reading(broker: Broker, client: Client) -> None:
    client.do("XREADGROUP GROUP g c COUNT 2 STREAMS s >")
    client.do("XCLAIM s g c 0 1 RETRYCOUNT 8 JUSTID")
    assert seen_lines(broker, client, "XREADGROUP GROUP g d CLAIM 0 COUNT 3 STREAMS s >") == [
        "XCLAIM s g d 0 2-0 TIME T RETRYCOUNT 2 FORCE JUSTID",
        "XCLAIM s g d 0 1-0 TIME T RETRYCOUNT 9 FORCE JUSTID",
        "XCLAIM s g d 0 3-0 TIME T RETRYCOUNT 1 FORCE JUSTID",
        "XGROUP SETID s g 3-0 ENTRIESREAD 3",
    ]


def test_a_waiting_consumer_is_served_by_the_add(broker: Broker, client: Client) -> None:
    client.do("XGROUP SETID s g $")
    worker = Client(broker)
    reply = broker.dispatcher.execute(
        worker.session, [[b"XREADGROUP", b"GROUP", b"g", b"c", b"BLOCK", b"0", b"STREAMS", b"s", b">"]]
    )
    assert reply == 1 and worker.waits and worker.take() == b""
    client.do("XACK s g 1")
    client.do("XDEL s 1")
    assert worker.waits
    client.do("XADD s 9 f v")
    assert not worker.waits
    assert worker.take() == b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n9-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"


def test_effects_keep_their_place_behind_the_add_that_caused_them(broker: Broker, client: Client) -> None:
    client.do("XGROUP SETID s g $")
    worker = Client(broker)
    broker.dispatcher.execute(
        worker.session, [[b"XREADGROUP", b"GROUP", b"g", b"c", b"BLOCK", b"0", b"STREAMS", b"s", b">"]]
    )
    first = [line.split()[0] for line in seen_lines(broker, client, "XADD s 9 f v")]
    assert first == ["XADD", "XCLAIM", "XGROUP"]


def test_a_client_that_hung_up_is_handed_nothing(broker: Broker, client: Client) -> None:
    client.do("XGROUP SETID s g $")
    worker = Client(broker)
    broker.dispatcher.execute(
        worker.session, [[b"XREADGROUP", b"GROUP", b"g", b"c", b"BLOCK", b"0", b"STREAMS", b"s", b">"]]
    )
    worker.session.close()
    client.do("XADD s 9 f v")
    assert client.do("XPENDING s g").startswith(b"*4\r\n:0\r\n")


def test_a_read_is_recognised_by_all_of_its_words(broker: Broker, client: Client) -> None:
    """A session remembers its last XREADGROUP."""
    assert client.do("XREADGROUP GROUP g c COUNT 1 STREAMS s >").count(b"$1\r\nf") == 1
    assert client.do("XREADGROUP GROUP g c COUNT 1 STREAMS s >").count(b"$1\r\nf") == 1
    assert client.do("XREADGROUP GROUP g c COUNT 2 STREAMS s >").count(b"$1\r\nf") == 2
    assert client.do("XREADGROUP GROUP g c COUNT 1 STREAMS s 0").count(b"$1\r\nf") == 1
    assert client.do("XREADGROUP GROUP g d COUNT 9 STREAMS s >").count(b"$1\r\nf") == 1
    assert client.do("XREADGROUP GROUP h d COUNT 9 STREAMS s >").startswith(b"-NOGROUP")
    assert client.do("XREADGROUP GROUP h d COUNT x STREAMS s >").startswith(b"-ERR value is not an integer")


def test_long_reads_are_not_remembered(broker: Broker, client: Client) -> None:
    client.do(f"XREADGROUP GROUP g {'c' * 10} COUNT 1 STREAMS s >")
    known = client.session.last_read
    client.do(f"XREADGROUP GROUP g {'c' * 1000} COUNT 1 STREAMS s >")
    assert known is not None
    assert client.session.last_read is known


def test_released_entries_propagate_to_older_servers_as_claimed(broker: Broker, client: Client) -> None:
    client.do("XREADGROUP GROUP g c COUNT 3 STREAMS s >")
    client.do("XCLAIM s g c 0 2 RETRYCOUNT 7 JUSTID")
    assert seen_lines(broker, client, "XNACK s g FAIL IDS 1 1") == ["XNACK s g FAIL IDS 1 1"]
    broker.config.set([(b"replication-compat", b"7.0")])
    assert seen_lines(broker, client, "XNACK s g FAIL IDS 3 3 2 1", "XNACK s g FAIL IDS 1 9") == [
        "XCLAIM s g trimaran-released 0 3-0 1-0 TIME 0 RETRYCOUNT 1 FORCE JUSTID",
        "XCLAIM s g trimaran-released 0 2-0 TIME 0 RETRYCOUNT 7 FORCE JUSTID",
    ]
    broker.config.set([(b"replication-compat", b"latest")])
    assert seen_lines(broker, client, "XNACK s g FATAL IDS 1 4 FORCE") == ["XNACK s g FATAL IDS 1 4 FORCE"]
