"""The commands of publish and subscribe: their answers, RESP2's subscribed mode, transactions, silence."""

import pytest

from broker.broker import Broker
from broker.clients.session import SUBSCRIBED_RESP2
from tests.broker.direct import Client, bulk, bulks
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(broker)


@pytest.fixture
def client3(broker: Broker) -> Client:
    """One that speaks RESP3."""
    client = Client(broker)
    client.do("HELLO 3")
    return client


def answer(kind: str, name: str | None, count: int, header: str = "*3") -> bytes:
    """One answer to a (un)subscription; the null is RESP2's."""
    encoded = b"$-1\r\n" if name is None else bulk(name)
    return header.encode() + b"\r\n" + bulk(kind) + encoded + b":%d\r\n" % count


def test_channels_and_patterns_are_counted_together(client: Client) -> None:
    assert client.do("SUBSCRIBE a b a") == b"".join(
        answer("subscribe", *pair) for pair in (("a", 1), ("b", 2), ("a", 2))
    )
    assert client.do("PSUBSCRIBE c*") == answer("psubscribe", "c*", 3)
    assert client.do("SSUBSCRIBE s") == answer("ssubscribe", "s", 1)
    assert client.do("UNSUBSCRIBE a nothing") == answer("unsubscribe", "a", 2) + answer("unsubscribe", "nothing", 2)
    assert client.do("PUNSUBSCRIBE") == answer("punsubscribe", "c*", 1)
    assert client.do("SUNSUBSCRIBE") == answer("sunsubscribe", "s", 0)
    assert client.do("UNSUBSCRIBE") == answer("unsubscribe", "b", 0)


def test_unsubscribing_from_nothing(client: Client) -> None:
    for name in ("unsubscribe", "punsubscribe", "sunsubscribe"):
        assert client.do(name) == answer(name, None, 0)


def test_resp3_answers_with_pushes(client3: Client) -> None:
    assert client3.do("SUBSCRIBE a") == answer("subscribe", "a", 1, ">3")
    assert client3.do("UNSUBSCRIBE") == answer("unsubscribe", "a", 0, ">3")
    assert client3.do("UNSUBSCRIBE") == b">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"


def test_subscribed_mode(client: Client) -> None:
    for subscribe, unsubscribe in (
        ("SUBSCRIBE a", "UNSUBSCRIBE a"),
        ("PSUBSCRIBE a", "PUNSUBSCRIBE"),
        ("SSUBSCRIBE a", "SUNSUBSCRIBE a"),
    ):
        client.do(subscribe)
        assert client.do("GET k") == (
            b"-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in"
            b" this context\r\n"
        )
        assert client.do("PUBSUB NUMPAT").startswith(b"-ERR Can't execute 'pubsub|numpat'")
        client.do(unsubscribe)
        assert client.do("GET k") == b"$-1\r\n"


def test_resp3_has_no_subscribed_mode(client3: Client) -> None:
    client3.do("SUBSCRIBE a")
    assert client3.do("SET k v") == b"+OK\r\n"
    assert client3.do("HELLO 2").startswith(b"*")
    assert client3.do("GET k").startswith(b"-ERR Can't execute")


def test_publishing(broker: Broker, client: Client) -> None:
    one, two = Client(broker), Client(broker)
    one.do("SUBSCRIBE a")
    two.do("PSUBSCRIBE a*")
    two.do("SSUBSCRIBE a")
    assert client.do("PUBLISH a x") == b":2\r\n" and client.do("SPUBLISH a y") == b":1\r\n"
    assert client.do("PUBLISH b x") == client.do("SPUBLISH b x") == b":0\r\n"
    assert one.take() == bulks("message", "a", "x")
    assert two.take() == bulks("pmessage", "a*", "a", "x") + bulks("smessage", "a", "y")


def test_a_message_to_oneself_follows_the_reply(client3: Client) -> None:
    client3.do("SUBSCRIBE a")
    assert client3.do("PUBLISH a x") == b":1\r\n>" + bulks("message", "a", "x")[1:]
    client3.do("MULTI")
    client3.do("PUBLISH a 1")
    client3.do("PUBLISH a 2")
    assert client3.do("EXEC") == b"*2\r\n:1\r\n:1\r\n" + b"".join(b">" + bulks("message", "a", n)[1:] for n in "12")


def test_subscribing_in_a_transaction(client: Client) -> None:
    for command in ("MULTI", "SUBSCRIBE a b", "SSUBSCRIBE s", "GET k"):
        client.do(command)
    assert client.do("EXEC") == (
        b"*3\r\n" + answer("subscribe", "a", 1) + answer("subscribe", "b", 2)
        + b"-ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client\r\n$-1\r\n"
    )  # fmt: skip
    assert client.session.flags & SUBSCRIBED_RESP2


@pytest.mark.parametrize("name", ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"])
def test_where_a_reply_must_follow_each_command(client: Client, name: str) -> None:
    client.session.deny_blocking = True
    assert client.do(f"{name} a") == f"-ERR {name} isn't allowed for a DENY BLOCKING client\r\n".encode()


def test_silence_does_not_hold_the_answers_back(client: Client) -> None:
    client.do("CLIENT REPLY OFF")
    assert client.do("SUBSCRIBE a") == answer("subscribe", "a", 1)
    assert client.do("PING") == b""
    client.broker.pubsub.publish(b"a", b"x")
    assert client.take() == bulks("message", "a", "x")


def test_a_skipped_reply_is_still_a_push(client3: Client) -> None:
    client3.do("CLIENT REPLY SKIP")
    assert client3.do("SUBSCRIBE a") == answer("subscribe", "a", 1, ">3")
    assert client3.do("PING") == b"+PONG\r\n"


def test_looking(broker: Broker, client: Client) -> None:
    listening = Client(broker)
    listening.do("SUBSCRIBE a ab")
    listening.do("PSUBSCRIBE a* b*")
    listening.do("SSUBSCRIBE s")
    assert client.do("PUBSUB CHANNELS") == bulks("a", "ab") and client.do("PUBSUB CHANNELS ?b") == bulks("ab")
    assert client.do("PUBSUB SHARDCHANNELS") == bulks("s") and client.do("PUBSUB SHARDCHANNELS x*") == b"*0\r\n"
    assert client.do("PUBSUB NUMPAT") == b":2\r\n"
    assert client.do("PUBSUB NUMSUB a none") == b"*4\r\n" + bulk("a") + b":1\r\n" + bulk("none") + b":0\r\n"
    assert client.do("PUBSUB SHARDNUMSUB s") == b"*2\r\n" + bulk("s") + b":1\r\n"
    assert client.do("PUBSUB NUMSUB") == b"*0\r\n"


def test_wrong_forms(client: Client) -> None:
    assert client.do("PUBSUB Channels a b") == (
        b"-ERR unknown subcommand or wrong number of arguments for 'Channels'. Try PUBSUB HELP.\r\n"
    )
    assert client.do("PUBSUB") == b"-ERR wrong number of arguments for 'pubsub' command\r\n"
    assert client.do("PUBSUB NUMPAT x") == b"-ERR wrong number of arguments for 'pubsub|numpat' command\r\n"
    assert client.do("PUBSUB nope") == b"-ERR unknown subcommand 'nope'. Try PUBSUB HELP.\r\n"


def test_help(client: Client) -> None:
    lines = client.do("PUBSUB HELP").split(b"\r\n")
    assert lines[1] == b"+PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    for subcommand in client.broker.commands.by_name[b"pubsub"].subcommands:
        assert any(line.startswith(b"+" + subcommand.upper()) for line in lines)


def test_a_closed_client_is_no_subscriber(broker: Broker, client: Client) -> None:
    gone = Client(broker)
    gone.do("SUBSCRIBE a")
    broker.close_session(gone.session)
    assert client.do("PUBLISH a x") == b":0\r\n" and client.do("PUBSUB CHANNELS") == b"*0\r\n"
