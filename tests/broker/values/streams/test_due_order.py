"""The order in which entries become overdue, against a plain search through all pending entries."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.deadline_queue import NEVER
from broker.values.streams.delivery import Consumer
from broker.values.streams.due_order import DueOrder
from broker.values.streams.group import Group

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(1, 5), st.just(0)),
        st.tuples(st.just("claim"), st.integers(0, 30), st.integers(0, 6)),
        st.tuples(st.sampled_from(["acknowledge", "release", "redeliver"]), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("pass"), st.integers(0, 40), st.just(0)),
        st.tuples(st.sampled_from(["due", "dead"]), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("walk"), st.integers(1, 5), st.just(0)),
    ),
    max_size=60,
)


class Model:
    """A group with an order, and what the order must say."""

    def __init__(self, waits: tuple[int, ...], last_count: int) -> None:
        self.group = Group(b"g", 0)
        self.consumer: Consumer = self.group.create_consumer(b"c", 0)
        self.waits = waits
        self.last_count = last_count
        self.armed: list[int] = []
        self.now = 100
        self.next_id = 0
        self.released: list[Any] = []
        self.order_again()
        self.walk(1)

    def order_again(self) -> None:
        """The group gets another order, which knows nothing yet."""
        self.group.due = DueOrder(self.waits, self.last_count, self.group.pel, self.armed.append, self.released.append)

    def walk(self, count: int) -> None:
        """Looks at so many entries at a time until all are known."""
        order = self.group.due
        assert order is not None
        while not order.is_complete():
            order.walk(self.group.pending, count)

    def due(self, id: int) -> int:
        delivery = self.group.pel[id]
        return delivery.time + self.waits[min(max(delivery.count, 1), len(self.waits)) - 1]

    def overdue(self, final: bool) -> list[int]:
        """In order of delivery; those of one delivery in order of ID."""
        found = [
            (delivery.time, delivery.serial, id)
            for id, delivery in self.group.pel.items()
            if delivery.consumer and (delivery.count >= self.last_count) == final and self.due(id) <= self.now
        ]
        return [id for _, _, id in sorted(found)]

    def act(self, action: str, number: int, count: int) -> None:
        group, order = self.group, self.group.due
        assert order is not None
        if action == "deliver":
            ids = list(range(self.next_id, self.next_id + number))
            self.next_id += number
            group.deliver(self.consumer, ids, self.now)
        elif action == "claim":
            group.claim(number, self.consumer, self.now - 10, count)
        elif action == "acknowledge":
            group.acknowledge(number)
        elif action == "release" and number in group.pel:
            group.release(number, group.pel[number].count)
        elif action == "redeliver" and number in group.pel:
            group.redeliver([number], self.consumer, self.now)
        elif action == "pass":
            self.now += number
        elif action in ("due", "dead"):
            expected = self.overdue(action == "dead")
            assert order.has_due(self.now) == bool(self.overdue(False))
            taken = (order.take_due if action == "due" else order.take_dead)(self.now, number)
            ownerless = [id for id in taken if group.pel[id].consumer is None]
            assert all(action == "dead" and group.pel[id].count >= self.last_count for id in ownerless)
            assert taken == (ownerless + expected)[: number or None]
            for id in taken:
                group.acknowledge(id)

        elif action == "walk":
            order.walk(group.pending, number)

    def check(self) -> None:
        order = self.group.due
        assert order is not None
        for id in order.take_dead(0, 0):
            assert self.group.pel[id].consumer is None
        owned = [id for id, delivery in self.group.pel.items() if delivery.consumer]
        assert order.oldest() == min((self.group.pel[id].time for id in owned), default=None)
        later = [self.due(id) for id in owned if self.due(id) > self.now or self.group.pel[id].count >= self.last_count]
        # An item that is due hides those behind it, until it is taken.
        if not self.overdue(False):
            assert order.next_due(self.now) == min(later, default=NEVER)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([(20,), (5, 10, 30), (30, 5)]), st.sampled_from([1, 3, 1 << 62]), ACTIONS)
def test_against_a_search(waits: tuple[int, ...], last_count: int, actions: list[tuple[str, int, int]]) -> None:
    model = Model(waits, last_count)
    for action in actions:
        model.act(*action)
    model.check()
    # An order that is made later says the same.
    model.order_again()
    model.walk(4)
    model.check()
    model.now += 100
    expected = model.overdue(False)
    assert model.group.due is not None and model.group.due.take_due(model.now, 0) == expected


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([(20,), (30, 5)]), ACTIONS, ACTIONS, st.booleans())
def test_whatever_happens_during_a_walk(
    waits: tuple[int, ...], before: list[tuple[str, int, int]], meanwhile: list[tuple[str, int, int]], again: bool
) -> None:
    model = Model(waits, 3)
    for action in before:
        model.act(*action)
    if not again:
        model.order_again()
    order = model.group.due
    assert order is not None
    for name, number, count in meanwhile:
        order.walk(model.group.pending, 1)
        if name not in ("due", "dead", "walk"):
            model.act(name, number, count)
    model.walk(1)
    model.check()
    model.now += 100
    for final in (False, True):
        expected = model.overdue(final)
        taken = (order.take_dead if final else order.take_due)(model.now, 0)
        assert [id for id in taken if model.group.pel[id].consumer] == expected


def test_what_happens_during_a_walk_is_known_at_once() -> None:
    model = Model((20,), 3)
    model.act("deliver", 5, 0)
    model.order_again()
    order = model.group.due
    assert order is not None
    order.walk(model.group.pending, 2)
    assert not order.is_complete()
    model.act("deliver", 2, 0)
    assert order.take_due(120, 0) == [5, 6]
    model.walk(2)
    assert order.take_due(120, 0)[:5] == [0, 1, 2, 3, 4]


def test_dead_entries_without_an_owner() -> None:
    model = Model((20,), 3)
    model.act("deliver", 5, 0)
    for id in (0, 2, 3):
        model.group.release(id, 3 if id else 2)
    model.order_again()
    model.walk(2)
    order = model.group.due
    assert order is not None
    assert order.next_due(100) <= 100
    assert order.take_dead(100, 1) == [2]
    assert order.take_dead(100, 0) == [3]
    order.look_again(3, 150)
    assert model.armed[-1] == 150 or order.armed <= 150
    assert order.take_dead(149, 0) == []
    assert order.take_dead(150, 0) == [3]
    order.look_again(3, 150)
    model.act("claim", 3, 1)
    assert order.take_dead(150, 0) == []


def test_an_earlier_entry_is_reported() -> None:
    model = Model((20,), 3)
    model.act("deliver", 2, 0)
    assert model.armed == [120]
    model.act("pass", 5, 0)
    model.act("deliver", 2, 0)
    assert model.armed == [120]
    model.act("claim", 1, 1)
    assert model.armed == [120, 115]


def test_what_is_acknowledged_takes_no_memory_for_long() -> None:
    model = Model((1_000_000,), 3)
    model.act("claim", 10_000_000, 1)
    order = model.group.due
    assert order is not None
    for _ in range(3000):
        model.act("deliver", 5, 0)
        for id in range(model.next_id - 5, model.next_id):
            model.group.acknowledge(id)
        if order.is_untidy():
            order.walk(model.group.pending, 100)
    assert order.size < 3000
    # What was given up is handed over, not freed at once.
    assert sum(len(heap) for heap in model.released) > 2000


def test_a_walk_that_is_given_up_is_handed_over_too() -> None:
    model = Model((1_000_000,), 3)
    model.act("claim", 10_000_000, 1)
    order = model.group.due
    assert order is not None
    for _ in range(300):
        model.act("deliver", 5, 0)
    order.walk(model.group.pending, 1000)
    while not order.is_complete():
        order.walk(model.group.pending, 1000)
    model.released.clear()
    order.walk(model.group.pending, 1000)
    assert not order.is_complete()
    order.discard()
    assert sum(len(item[2]) for heap in model.released for item in heap) == 1501 + 1000


def test_postponing() -> None:
    model = Model((20,), 1)
    model.act("deliver", 2, 0)
    order = model.group.due
    assert order is not None
    assert order.take_dead(120, 0) == [0, 1]
    order.postpone(1, 120)
    assert order.take_dead(139, 0) == []
    assert order.next_due(139) == 140
    assert order.take_dead(140, 0) == [1]
