"""Moves from one list to another, at once and after waiting."""

import pytest

from broker.broker import Broker
from tests.broker.direct import Client, bulk, bulks
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(broker)


def content(client: Client, key: str) -> list[str]:
    return [element.decode() for element in client.session.db.get(key.encode()) or ()]


@pytest.mark.parametrize(
    ("command", "moved", "source", "target"),
    [
        ("LMOVE k d LEFT LEFT", "a", "bc", "axy"),
        ("LMOVE k d LEFT RIGHT", "a", "bc", "xya"),
        ("LMOVE k d right left", "c", "ab", "cxy"),
        ("RPOPLPUSH k d", "c", "ab", "cxy"),
        ("BLMOVE k d RIGHT RIGHT 0", "c", "ab", "xyc"),
        ("BRPOPLPUSH k d 0", "c", "ab", "cxy"),
        ("LMOVE k k LEFT RIGHT", "a", "bca", "xy"),
    ],
)
def test_one(client: Client, command: str, moved: str, source: str, target: str) -> None:
    client.do("RPUSH k a b c")
    client.do("RPUSH d x y")
    assert client.do(command) == bulk(moved)
    assert "".join(content(client, "k")) == source
    assert "".join(content(client, "d")) == target


@pytest.mark.parametrize(
    ("command", "moved", "source", "target"),
    [
        ("LMOVEM k d LEFT LEFT", "a", "bcd", "axy"),
        ("LMOVEM k d LEFT LEFT COUNT 2 OBO", "ba", "cd", "baxy"),
        ("LMOVEM k d LEFT LEFT COUNT 2 BULK", "ab", "cd", "abxy"),
        ("LMOVEM k d LEFT RIGHT COUNT 2 OBO", "ab", "cd", "xyab"),
        ("LMOVEM k d RIGHT LEFT COUNT 2 OBO", "cd", "ab", "cdxy"),
        ("LMOVEM k d RIGHT RIGHT EXACTLY 2 OBO", "dc", "ab", "xydc"),
        ("LMOVEM k d RIGHT RIGHT EXACTLY 2 BULK", "cd", "ab", "xycd"),
        ("LMOVEM k d LEFT RIGHT COUNT 9 BULK", "abcd", "", "xyabcd"),
        ("LMOVEM k k LEFT LEFT COUNT 9 OBO", "dcba", "dcba", "xy"),
        ("LMOVEM k d LEFT RIGHT EXACTLY 5 BULK", None, "abcd", "xy"),
        ("BLMOVEM k d LEFT RIGHT 0 EXACTLY 4 BULK", "abcd", "", "xyabcd"),
    ],
)
def test_several(client: Client, command: str, moved: str | None, source: str, target: str) -> None:
    client.do("RPUSH k a b c d")
    client.do("RPUSH d x y")
    assert client.do(command) == (b"*-1\r\n" if moved is None else bulks(*moved))
    assert "".join(content(client, "k")) == source
    assert "".join(content(client, "d")) == target
    assert (b"k" in client.session.db.data) == bool(source)


@pytest.mark.parametrize(
    "command", ["LMOVE k s LEFT LEFT", "BLMOVE k s LEFT LEFT 0", "LMOVEM k s LEFT LEFT COUNT 2 OBO"]
)
def test_a_destination_of_another_type_keeps_the_source(client: Client, command: str) -> None:
    client.do("RPUSH k a b")
    client.do("SET s x")
    assert client.do(command).startswith(b"-WRONGTYPE ")
    assert content(client, "k") == ["a", "b"]


@pytest.mark.parametrize("command", ["LMOVE no s LEFT LEFT", "RPOPLPUSH no d", "LMOVEM no s LEFT LEFT"])
def test_a_missing_source(client: Client, command: str) -> None:
    client.do("SET s x")
    assert client.do(command) == (b"*-1\r\n" if "M " in command else b"$-1\r\n")
    assert client.do("LLEN d") == b":0\r\n"


@pytest.mark.parametrize("tail", ["COUNT", "COUNT 1", "COUNT 1 OBO x", "FOO 1 OBO", "COUNT 1 FOO", "OBO COUNT 1"])
def test_syntax_of_moving_several(client: Client, tail: str) -> None:
    client.do("RPUSH k a")
    assert client.do(f"LMOVEM k d LEFT LEFT {tail}") == b"-ERR syntax error\r\n"
    assert client.do(f"BLMOVEM k d LEFT LEFT 0 {tail}") == b"-ERR syntax error\r\n"
    assert client.do("LMOVEM k d LEFT LEFT COUNT 0 FOO") == b"-ERR count should be greater than 0\r\n"


def test_a_null_in_a_transaction_is_not_the_time_outs(client: Client) -> None:
    for command in ("MULTI", "BLMOVE k d LEFT LEFT 0", "BRPOPLPUSH k d 0", "BLMOVEM k d LEFT LEFT 0"):
        client.do(command)
    assert client.do("EXEC") == b"*3\r\n$-1\r\n$-1\r\n*-1\r\n"
    client.do("BLMOVE k d LEFT LEFT 0")
    Client(client.broker).do(f"CLIENT UNBLOCK {client.session.id}")
    assert client.take() == b"*-1\r\n"


def test_a_chain(broker: Broker) -> None:
    clients = [Client(broker) for _ in range(4)]
    for client, keys in zip(clients, ["c d", "a b", "b c", "d d"], strict=True):
        client.do(f"BLMOVE {keys} LEFT RIGHT 0")
    writer = Client(broker)
    writer.do("RPUSH a x")
    assert [client.take() for client in clients] == [bulk("x")] * 4
    assert content(writer, "d") == ["x"]


def test_a_destination_of_another_type_ends_one_wait_and_serves_the_next(broker: Broker) -> None:
    first, second, writer = Client(broker), Client(broker), Client(broker)
    writer.do("SET s x")
    first.do("BLMOVE k s LEFT LEFT 0")
    second.do("BLPOP k 0")
    writer.do("RPUSH k a")
    assert first.take().startswith(b"-WRONGTYPE ")
    assert second.take() == bulks("k", "a")


def test_exactly_keeps_its_place_until_there_is_enough(broker: Broker) -> None:
    first, second, writer = Client(broker), Client(broker), Client(broker)
    first.do("BLMOVEM k d LEFT RIGHT 0 EXACTLY 3 BULK")
    second.do("BLMOVEM k d LEFT RIGHT 0 EXACTLY 3 BULK")
    for element in "ab":
        writer.do(f"RPUSH k {element}")
        assert first.waits and second.waits
    writer.do("LINSERT k AFTER a c")
    assert first.take() == bulks("a", "c", "b")
    assert second.waits
    writer.do("RPUSH k 1 2 3 4")
    assert second.take() == bulks("1", "2", "3")
    assert content(writer, "k") == ["4"]
