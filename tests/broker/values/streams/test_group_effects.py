"""The commands that stand for what happened in a group: executed elsewhere, they do the same."""

from broker.values.streams.group import Group
from broker.values.streams.group_effects import (
    acknowledge_effect,
    claim_effect,
    claims_by_count,
    creation_effect,
    hand_out_effects,
    move_effect,
)
from tests.broker.direct import Client
from tests.broker.sessions import make_broker

ID = 1 << 64


def text(effects: list[list[bytes]]) -> list[str]:
    return [b" ".join(words).decode() for words in effects]


def test_effects() -> None:
    group = Group(b"g", 0)
    consumer = group.create_consumer(b"c", 0)
    group.last_id, group.entries_read = 3 * ID, 3
    group.deliver(consumer, [ID, 2 * ID, 3 * ID], 5)
    group.redeliver([2 * ID], consumer, 5)
    assert text(claims_by_count(b"s", group, consumer, [ID, 2 * ID, 3 * ID], 5)) == [
        "XCLAIM s g c 0 1-0 3-0 TIME 5 RETRYCOUNT 1 FORCE JUSTID",
        "XCLAIM s g c 0 2-0 TIME 5 RETRYCOUNT 2 FORCE JUSTID",
    ]
    moved = "XGROUP SETID s g 3-0 ENTRIESREAD 3"
    assert text(hand_out_effects(b"s", group, consumer, [ID], False, 5)) == [
        "XCLAIM s g c 0 1-0 TIME 5 RETRYCOUNT 1 FORCE JUSTID",
        moved,
    ]
    assert text(hand_out_effects(b"s", group, consumer, [ID], True, 5)) == [moved]
    assert text([move_effect(b"s", group)]) == [moved]
    assert text([acknowledge_effect(b"s", group, [ID])]) == ["XACK s g 1-0"]
    assert text([creation_effect(b"s", group, consumer)]) == ["XGROUP CREATECONSUMER s g c"]


def test_they_can_be_executed() -> None:
    client = Client(make_broker())
    group = Group(b"g", 0)
    consumer = group.create_consumer(b"~parked", 0)
    for line in ("XADD s 1-0 a 1", "XGROUP CREATE s g 0"):
        client.do(line)
    client.do([b"XGROUP", b"CREATECONSUMER", b"s", b"g", b"eve"])
    assert client.do(claim_effect(b"s", group, consumer, [ID], 5, 0)) == b"*1\r\n$3\r\n1-0\r\n"
    assert b"~parked" in client.do("XPENDING s g - + 1") and b":0\r\n" in client.do("XPENDING s g - + 1")
    assert client.do(acknowledge_effect(b"s", group, [ID])) == b":1\r\n"
