"""What waits for a handler: order of arrival, priority between streams, one at a time by key."""

from dataclasses import dataclass

import pytest

from consumers.backlog import Backlog, Priority, id_order


@dataclass(frozen=True)
class Item:
    id: str
    stream: str = "a"
    key: str | None = None


def backlog(priority: Priority = Priority.STRICT, keyed: bool = False) -> Backlog[Item]:
    return Backlog(("a", "b", "c"), priority, (lambda item: item.key) if keyed else None)


def taken(waiting: Backlog[Item]) -> list[str]:
    ids = []
    while (item := waiting.take()) is not None:
        ids.append(item.id)
    return ids


def test_items_come_in_the_order_of_arrival() -> None:
    waiting = backlog()
    for id in ("2-0", "1-0", "3-0"):
        waiting.put(Item(id))
    assert len(waiting) == waiting.ready == 3
    assert taken(waiting) == ["2-0", "1-0", "3-0"] and not len(waiting)


def test_strict_takes_from_the_first_stream_that_has_any() -> None:
    waiting = backlog(Priority.STRICT)
    for id, stream in (("1-0", "c"), ("2-0", "b"), ("3-0", "a"), ("4-0", "b")):
        waiting.put(Item(id, stream))
    assert taken(waiting) == ["3-0", "2-0", "4-0", "1-0"]


def test_fair_takes_from_each_stream_in_turn() -> None:
    waiting = backlog(Priority.FAIR)
    for n in range(3):
        for stream in "abc":
            waiting.put(Item(f"{n}-0", stream))
    streams = []
    while (item := waiting.take()) is not None:
        streams.append(item.stream)
    assert sorted(streams[:3]) == sorted(streams[3:6]) == sorted(streams[6:]) == ["a", "b", "c"]


def test_one_at_a_time_by_key_lower_ids_first() -> None:
    waiting = backlog(keyed=True)
    for id in ("1-0", "12-0", "9-0", "9-10", "9-9"):
        waiting.put(Item(id, key="x"))
    waiting.put(Item("13-0", key="y"))
    waiting.put(Item("14-0"))
    assert (len(waiting), waiting.ready) == (7, 3)
    first = waiting.take()
    assert first == Item("1-0", key="x")
    assert taken(waiting) == ["13-0", "14-0"]
    order = []
    item: Item | None = first
    while item is not None:
        waiting.done(item)
        item = waiting.take()
        order.append(item.id if item else "-")
    assert order == ["9-0", "9-9", "9-10", "12-0", "-"]
    waiting.put(Item("15-0", key="x"))  # the key is free again
    assert taken(waiting) == ["15-0"]


def test_an_item_that_is_put_back_comes_first_and_keeps_its_key() -> None:
    waiting = backlog(keyed=True)
    waiting.put(Item("1-0", key="x"))
    waiting.put(Item("2-0", key="x"))
    waiting.put(Item("3-0", key="y"))
    item = waiting.take()
    assert item is not None
    waiting.put_back(item)
    assert taken(waiting) == ["1-0", "3-0"]
    waiting.done(item)
    assert taken(waiting) == ["2-0"]


def test_clear_takes_out_everything() -> None:
    waiting = backlog(keyed=True)
    for n in range(5):
        waiting.put(Item(f"{n}-0", key="x"))
    waiting.take()
    assert {item.id for item in waiting.clear()} == {"1-0", "2-0", "3-0", "4-0"}
    assert len(waiting) == 0


@pytest.mark.parametrize(("id", "place"), [("5-3", (5, 3)), ("5", (5, 0)), ("18446744073709551615-1", (2**64 - 1, 1))])
def test_ids_are_compared_as_numbers(id: str, place: tuple[int, int]) -> None:
    assert id_order(Item(id)) == place
