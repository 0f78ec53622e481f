"""Subscriptions and delivery: who is told what, in which encoding, and that nothing is left behind."""

import pytest

from broker.broker import Broker
from broker.clients.pubsub import update_mode
from broker.clients.session import SUBSCRIBED_RESP2, SUBSCRIBED_RESP3
from protocol.replies import RESP2, RESP3
from tests.broker.sessions import make_broker, make_session, taken


@pytest.fixture
def broker() -> Broker:
    return make_broker()


def test_a_message_reaches_every_subscriber_of_its_channel(broker: Broker) -> None:
    one, two, other = (make_session(broker) for _ in range(3))
    two.resp = RESP3
    for session, channel in ((one, b"a"), (two, b"a"), (other, b"b")):
        broker.pubsub.subscribe(session, channel)
    assert broker.pubsub.publish(b"a", b"hello") == 2
    assert taken(one) == b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"
    assert taken(two) == b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"
    assert taken(other) == b""
    assert broker.outbox == [one, two]


def test_subscribers_share_the_bytes(broker: Broker) -> None:
    sessions = [make_session(broker) for _ in range(3)]
    for session in sessions:
        broker.pubsub.subscribe(session, b"a")
    broker.pubsub.publish(b"a", b"x" * 5000)
    assert sessions[0].out[0] is sessions[1].out[0] is sessions[2].out[0]


def test_patterns(broker: Broker) -> None:
    session = make_session(broker)
    broker.pubsub.subscribe_pattern(session, b"a*")
    broker.pubsub.subscribe_pattern(session, b"?b")
    assert broker.pubsub.publish(b"b", b"x") == 0
    assert broker.pubsub.publish(b"ab", b"x") == 2
    assert taken(session) == (
        b"*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$2\r\nab\r\n$1\r\nx\r\n*4\r\n$8\r\npmessage\r\n$2\r\n?b\r\n$2\r\nab\r\n$1\r\nx\r\n"
    )


def test_the_count_is_of_subscribers_not_of_patterns(broker: Broker) -> None:
    sessions = [make_session(broker) for _ in range(3)]
    for session in sessions:
        broker.pubsub.subscribe_pattern(session, b"a*")
    broker.pubsub.subscribe_pattern(sessions[0], b"*b")
    assert broker.pubsub.publish(b"ab", b"x") == 4
    assert broker.pubsub.publish(b"ac", b"x") == 3


def test_channels_come_before_patterns(broker: Broker) -> None:
    session = make_session(broker)
    broker.pubsub.subscribe_pattern(session, b"*")
    broker.pubsub.subscribe(session, b"a")
    assert broker.pubsub.publish(b"a", b"x") == 2
    assert taken(session).startswith(b"*3\r\n$7\r\nmessage")


def _heard(subscriptions: list[tuple[str, bytes]], messages: list[bytes], *, at_once: bool) -> list[bytes]:
    """What each client is sent on the channel `news`; those with a name in capitals speak RESP3."""
    broker = make_broker()
    sessions = {}
    for name, subject in subscriptions:
        if name not in sessions:
            sessions[name] = make_session(broker)
            sessions[name].resp = RESP3 if name.isupper() else RESP2
        if b"*" in subject:
            broker.pubsub.subscribe_pattern(sessions[name], subject)
        else:
            broker.pubsub.subscribe(sessions[name], subject)
    if at_once:
        broker.pubsub.publish_all(b"news", messages)
    else:
        for message in messages:
            broker.pubsub.publish(b"news", message)
    return [taken(session) for session in sessions.values()]


@pytest.mark.parametrize(
    "subscriptions",
    [
        [("a", b"news"), ("b", b"other")],
        [("a", b"news"), ("B", b"news"), ("c", b"news"), ("D", b"other*")],
        [("a", b"news"), ("b", b"n*"), ("C", b"*"), ("D", b"n*")],
        [("a", b"news"), ("a", b"n*"), ("b", b"news")],
        [("a", b"news*"), ("a", b"n*"), ("B", b"*")],
        [("a", b"x*")],
    ],
    ids=["channel", "versions", "patterns", "channel and pattern", "two patterns", "nobody"],
)
def test_messages_sent_at_once_are_those_sent_one_by_one(subscriptions: list[tuple[str, bytes]]) -> None:
    for messages in ([b"one"], [b"one", b"two"], [b"one", b"", b"x" * 2000, b"two", *(b"%d" % n for n in range(30))]):
        assert _heard(subscriptions, messages, at_once=True) == _heard(subscriptions, messages, at_once=False)


def test_messages_sent_at_once_are_one_piece_that_subscribers_share(broker: Broker) -> None:
    one, two, closing = (make_session(broker) for _ in range(3))
    for session in (one, two, closing):
        broker.pubsub.subscribe(session, b"a")
    closing.close()
    broker.pubsub.publish_all(b"a", [b"x", b"y"])
    assert len(one.out) == 1 and one.out[0] is two.out[0]
    assert broker.outbox == [one, two] and taken(closing) == b""


@pytest.mark.parametrize(
    ("channel", "pattern", "may"),
    [
        (b"other", None, False), (b"ab", None, False), (b"a:", None, False), (b"a:z", None, False),
        (b"a:b", None, True), (b"a:c", b"b*", True), (None, b"*", True), (None, b"a*", True), (None, b"a:b*", True),
        (None, b"a:[bc]", True), (None, b"?", True), (None, b"a:", True), (None, b"\\a:b", True),
        (None, b"b*", False), (None, b"ab*", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("others", [0, 5])
def test_whom_a_message_may_reach(
    broker: Broker, others: int, channel: bytes | None, pattern: bytes | None, may: bool
) -> None:
    session = make_session(broker)
    for number in range(others):
        broker.pubsub.subscribe(session, b"of something else %d" % number)
    if channel is not None:
        broker.pubsub.subscribe(session, channel)
    if pattern is not None:
        broker.pubsub.subscribe_pattern(session, pattern)
    assert broker.pubsub.may_reach(b"a:", [b"b", b"c"]) is may


def test_shard_channels_are_apart(broker: Broker) -> None:
    session = make_session(broker)
    broker.pubsub.subscribe_shard(session, b"a")
    broker.pubsub.subscribe_pattern(make_session(broker), b"*")
    assert broker.pubsub.publish_shard(b"a", b"x") == 1
    assert broker.pubsub.publish_shard(b"b", b"x") == 0
    assert taken(session) == b"*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\nx\r\n"
    assert broker.pubsub.publish(b"a", b"x") == 1
    assert taken(session) == b""


def test_subscribing_twice_is_one_subscription(broker: Broker) -> None:
    session = make_session(broker)
    for _ in range(2):
        broker.pubsub.subscribe(session, b"a")
        broker.pubsub.subscribe_pattern(session, b"b*")
        broker.pubsub.subscribe_shard(session, b"c")
    assert (
        broker.pubsub.publish(b"a", b"")
        == broker.pubsub.publish(b"b", b"")
        == broker.pubsub.publish_shard(b"c", b"")
        == 1
    )
    assert session.subscriptions() == 2


def test_nothing_is_left_of_a_subscription(broker: Broker) -> None:
    one, two = make_session(broker), make_session(broker)
    pubsub = broker.pubsub
    for session in (one, two):
        pubsub.subscribe(session, b"a")
        pubsub.subscribe_pattern(session, b"a*")
        pubsub.subscribe_shard(session, b"a")
    pubsub.unsubscribe(one, b"a")
    pubsub.unsubscribe_pattern(one, b"a*")
    pubsub.unsubscribe_shard(one, b"a")
    for _ in range(2):
        pubsub.unsubscribe(one, b"nothing")
        pubsub.unsubscribe_pattern(one, b"nothing")
        pubsub.unsubscribe_shard(one, b"nothing")
    assert pubsub.publish(b"a", b"x") == 2 and pubsub.publish_shard(b"a", b"x") == 1
    pubsub.unsubscribe_all(two)
    assert not (pubsub.channels or pubsub.patterns or pubsub.shard_channels)
    assert not (two.channels or two.patterns or two.shard_channels)


def test_a_closed_client_forgets_its_subscriptions(broker: Broker) -> None:
    session = make_session(broker)
    broker.pubsub.subscribe(session, b"a")
    broker.pubsub.subscribe_pattern(session, b"a*")
    broker.close_session(session)
    assert broker.pubsub.publish(b"a", b"x") == 0


def test_a_closing_client_is_sent_nothing(broker: Broker) -> None:
    session = make_session(broker)
    broker.pubsub.subscribe(session, b"a")
    session.close()
    broker.pubsub.publish(b"a", b"x")
    assert taken(session) == b""


def test_the_mode_follows_subscriptions_and_version(broker: Broker) -> None:
    session = make_session(broker)
    both = SUBSCRIBED_RESP2 | SUBSCRIBED_RESP3
    broker.pubsub.subscribe(session, b"a")
    broker.pubsub.subscribe_shard(session, b"s")
    assert session.flags & both == SUBSCRIBED_RESP2
    session.resp = RESP3
    update_mode(session)
    assert session.flags & both == SUBSCRIBED_RESP3
    session.resp = RESP2
    update_mode(session)
    broker.pubsub.unsubscribe(session, b"a")
    assert session.flags & both == SUBSCRIBED_RESP2
    broker.pubsub.unsubscribe_shard(session, b"s")
    assert not session.flags & both


def test_a_thousand_subscribers(broker: Broker) -> None:
    sessions = [make_session(broker) for _ in range(1000)]
    for session in sessions:
        broker.pubsub.subscribe(session, b"a")
    for number in range(3):
        assert broker.pubsub.publish(b"a", b"%d" % number) == 1000
    assert len(broker.outbox) == 1000
    assert all(session.out == sessions[0].out and len(session.out) == 3 for session in sessions)
