"""Waiting in XREAD."""

import pytest

from broker.broker import Broker
from tests.broker.direct import Client
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


ONE = b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n%b-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"


def waiting(broker: Broker, command: bytes) -> Client:
    client = Client(broker)
    broker.dispatcher.execute(client.session, [command.split()])
    assert client.waits
    return client


def test_what_dollar_means_is_settled_when_the_wait_begins(broker: Broker) -> None:
    writer = Client(broker)
    writer.do("XADD s 1 f v")
    reader = waiting(broker, b"XREAD BLOCK 0 STREAMS t s 0 $")
    assert reader.session.waiting is not None
    assert reader.session.waiting.args[-2:] == [b"0", b"1-0"]
    writer.do("XDEL s 1")
    assert reader.waits
    writer.do("XADD s 2 f v")
    assert reader.take() == ONE % b"2"


def test_a_key_of_another_type_is_not_looked_at(broker: Broker) -> None:
    writer = Client(broker)
    reader = waiting(broker, b"XREAD BLOCK 0 STREAMS s $")
    writer.do("SET s x")
    assert reader.waits
    writer.do("DEL s")
    writer.do("XADD s 1 f v")
    assert reader.take() == ONE % b"1"


def test_lower_case_words(broker: Broker) -> None:
    client = Client(broker)
    client.do("XADD s 1 f v")
    assert client.do("xread count 1 streams s 0") == ONE % b"1"
    assert client.do("xRead Count 1 Streams s 0") == ONE % b"1"


async def test_a_wait_up_to_the_end_of_time_is_not_measured_again(broker: Broker) -> None:
    writer = Client(broker)
    reader = waiting(broker, b"XREAD BLOCK %d STREAMS s $" % (2**63 - 1 - broker.clock.now))
    broker.clock.now += 5
    writer.do("XADD s 1 f v")
    assert reader.take() == ONE % b"1"
