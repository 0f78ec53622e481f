"""Keyspace events as subscribers hear them: channels, classes, order, and that nobody pays for none."""

import pytest

from broker.broker import Broker
from broker.keyspace.events import parse_flags
from tests.broker.direct import Client, bulks
from tests.broker.sessions import make_broker
from tests.twins import needs_source

LISTEN = "PSUBSCRIBE __key*@*__:*"


def _pair(classes: str) -> tuple[Client, Client]:
    """Who listens, and who works."""
    broker = make_broker()
    broker.keyspace.event_mask = parse_flags(classes.encode()) or 0
    listening, working = Client(broker), Client(broker)
    listening.do(LISTEN)
    return listening, working


def _message(channel: str, payload: str) -> bytes:
    return bulks("pmessage", "__key*@*__:*", channel, payload)


def test_both_channels_in_order() -> None:
    listening, working = _pair("KEA")
    working.do("SELECT 5")
    working.do("SET k v")
    assert listening.take() == _message("__keyspace@5__:k", "set") + _message("__keyevent@5__:set", "k")


@pytest.mark.parametrize("kind, channel, payload", [("K", "__keyspace@0__:k", "set"), ("E", "__keyevent@0__:set", "k")])
def test_one_channel(kind: str, channel: str, payload: str) -> None:
    listening, working = _pair(f"{kind}$")
    working.do("SET k v")
    assert listening.take() == _message(channel, payload)


@pytest.mark.parametrize(
    "classes, heard",
    [
        ("E$", ["set k", "set k"]),
        ("Eg", ["del k"]),
        ("El", ["lpush k"]),
        ("Em", ["keymiss none"]),
        ("En", ["new k", "new k"]),
        ("Eo", ["overwritten k"]),
        ("Ec", ["type_changed k"]),
        ("Es", []),
        ("E", []),
        ("EA", ["set k", "del k", "lpush k", "set k"]),
    ],
)
def test_classes(classes: str, heard: list[str]) -> None:
    listening, working = _pair(classes)
    for command in ("SET k v", "DEL k", "LPUSH k a", "SET k v", "GET none"):
        working.do(command)
    expected = b"".join(_message(f"__keyevent@0__:{event}", name) for event, name in (text.split() for text in heard))
    assert listening.take() == expected


def test_the_directive_needs_a_channel() -> None:
    broker = make_broker(notify_keyspace_events="A")
    assert broker.keyspace.event_mask == 0
    assert make_broker(notify_keyspace_events="KA").keyspace.event_mask != 0


def test_config_set_takes_effect_at_once() -> None:
    listening, working = _pair("")
    working.do("SET k 1")
    working.do("CONFIG SET notify-keyspace-events KE$")
    working.do("SET k 2")
    assert listening.take() == _message("__keyspace@0__:k", "set") + _message("__keyevent@0__:set", "k")
    working.do([b"CONFIG", b"SET", b"notify-keyspace-events", b""])
    working.do("SET k 3")
    assert listening.take() == b""


def test_letters_without_events_change_nothing() -> None:
    listening, working = _pair("")
    working.do("CONFIG SET notify-keyspace-events KEAaSTIV")
    working.do("SET k 1")
    assert listening.take() != b""


def test_one_hears_oneself_after_the_reply() -> None:
    _, working = _pair("E$")
    working.do("HELLO 3")
    working.do(LISTEN)
    assert working.do("SET k v") == b"+OK\r\n>" + _message("__keyevent@0__:set", "k")[1:]


def test_keys_of_any_bytes() -> None:
    listening, working = _pair("E$")
    working.do([b"SET", b"\r\n\x00\xff", b"v"])
    assert listening.take().endswith(b"$4\r\n\r\n\x00\xff\r\n")


@needs_source("broker.clients.pubsub")
def test_events_without_subscribers_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = make_broker()
    broker.keyspace.event_mask = parse_flags(b"KEA") or 0
    published: list[bytes] = []
    monkeypatch.setattr(broker.pubsub, "publish", lambda channel, message: published.append(channel))
    _set(broker)
    assert published == []


def _set(broker: Broker) -> None:
    Client(broker).do("SET k v")
