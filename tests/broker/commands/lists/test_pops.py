"""Pops from the first of several lists that has elements, at once and after waiting."""

import pytest

from broker.broker import Broker
from broker.values.list import List
from tests.broker.direct import Client, bulk, bulks
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(broker)


def pair(key: str, *elements: str) -> bytes:
    return b"*2\r\n" + bulk(key) + bulks(*elements)


def test_the_first_list_that_has_elements(client: Client) -> None:
    client.do("RPUSH k a b c d e")
    client.do("RPUSH l 1 2")
    assert client.do("BLPOP no k l 0") == bulks("k", "a")
    assert client.do("BRPOP no l k 0") == bulks("l", "2")
    assert client.do("LMPOP 2 no k LEFT") == pair("k", "b")
    assert client.do("LMPOP 2 k l right count 2") == pair("k", "e", "d")
    assert client.do("BLMPOP 0 3 no k l LEFT COUNT 9") == pair("k", "c")
    assert client.do("LMPOP 1 k LEFT") == b"*-1\r\n"
    assert client.session.db.data == {b"l": List([b"1"])}


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("BLPOP l k 0", bulks("k", "a")),
        ("BRPOP k k 0", bulks("k", "c")),
        ("BLMPOP 0 1 k LEFT", pair("k", "a")),
        ("BLMPOP 0 2 l k RIGHT COUNT 2", pair("k", "c", "b")),
    ],
)
def test_waiting(broker: Broker, client: Client, command: str, reply: bytes) -> None:
    assert client.do(command) == b""
    Client(broker).do("RPUSH k a b c")
    assert client.take() == reply
    assert not broker.blocking.sessions
    assert not client.session.db.waiters


def test_keys_in_the_order_given_whatever_became_ready_first(broker: Broker, client: Client) -> None:
    client.do("BLPOP a b c 0")
    writer = Client(broker)
    for command in ("MULTI", "RPUSH c 3", "RPUSH b 2", "EXEC"):
        writer.do(command)
    assert client.take() == bulks("b", "2")


def test_a_key_of_another_type_before_the_ready_one(broker: Broker, client: Client) -> None:
    client.do("BLPOP a b 0")
    writer = Client(broker)
    writer.do("SET a x")
    assert client.take() == b""
    writer.do("RPUSH b 1")
    assert client.take().startswith(b"-WRONGTYPE ")
    assert writer.do("LLEN b") == b":1\r\n"


def test_nothing_waits_in_a_transaction(client: Client) -> None:
    for command in ("MULTI", "BLPOP k 0", "BLMPOP 0 1 k LEFT"):
        client.do(command)
    assert client.do("EXEC") == b"*2\r\n*-1\r\n*-1\r\n"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("LMPOP 0 k LEFT", b"-ERR numkeys should be greater than 0\r\n"),
        ("LMPOP x k LEFT", b"-ERR numkeys should be greater than 0\r\n"),
        ("LMPOP 9223372036854775807 k LEFT", b"-ERR syntax error\r\n"),
        ("LMPOP 2 k LEFT", b"-ERR syntax error\r\n"),
        ("LMPOP 1 k UP", b"-ERR syntax error\r\n"),
        ("LMPOP 1 k LEFT COUNT", b"-ERR syntax error\r\n"),
        ("LMPOP 1 k LEFT COUNT 0", b"-ERR count should be greater than 0\r\n"),
        ("LMPOP 1 k LEFT COUNT 1 COUNT 1", b"-ERR syntax error\r\n"),
        ("BLMPOP x 0 k LEFT", b"-ERR numkeys should be greater than 0\r\n"),
        ("BLMPOP x 1 k LEFT", b"-ERR timeout is not a float or out of range\r\n"),
        ("BLPOP k x", b"-ERR timeout is not a float or out of range\r\n"),
        ("BLPOP s -1", b"-ERR timeout is negative\r\n"),
        ("BRPOP k 1e400", b"-ERR timeout is out of range\r\n"),
        ("BLPOP s 0", b"-WRONGTYPE "),
        ("LMPOP 2 no s LEFT", b"-WRONGTYPE "),
    ],
)
def test_errors_take_nothing(client: Client, command: str, error: bytes) -> None:
    client.do("RPUSH k a")
    client.do("SET s x")
    assert client.do(command).startswith(error)
    assert not client.waits
    assert client.do("LLEN k") == b":1\r\n"
