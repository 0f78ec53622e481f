"""Which entries may be delivered, against a plain search through all pending entries."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.streams.admission import Admission
from broker.values.streams.delivery import PARKED
from broker.values.streams.entry import encode_entry
from broker.values.streams.group import Group

VALUES = ("a", "b", None)
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "park", "acknowledge", "release", "delete", "take", "take", "take two"]),
        st.integers(1, 12),
    ),
    max_size=60,
)


def entry(id: int) -> bytes:
    """An entry whose value depends on its ID."""
    value = VALUES[id % 3]
    fields = [b"n", b"%d" % id] + ([] if value is None else [b"user", value.encode()])
    return encode_entry(id, 0, fields)[1]


class Model:
    """A group, and what it must say."""

    def __init__(self, field: bytes = b"user") -> None:
        self.group = Group(b"g", 0)
        self.consumer = self.group.create_consumer(b"c", 0)
        self.parked = self.group.create_consumer(PARKED, 0)
        self.woken = 0
        self.field = field
        self.admission = self.follow()

    def follow(self) -> Admission:
        self.group.admission = admission = Admission(self.field, self.group.pel, entry, self.wake)
        return admission

    def wake(self) -> None:
        self.woken += 1

    def value(self, id: int) -> str | None:
        return VALUES[id % 3] if self.field else None

    def in_flight(self, value: str | None) -> list[int]:
        pel = self.group.pel
        return sorted(id for id in pel if self.value(id) == value and not self.group.is_parked(id))

    def ready(self) -> list[int]:
        """The first parked entry of each value of which nothing is in flight, and all those without a value."""
        found: dict[str, int] = {}
        free = []
        for id in sorted(self.group.pel):
            value = self.value(id)
            if self.group.is_parked(id):
                if value is None:
                    free.append(id)
                elif not self.in_flight(value):
                    found.setdefault(value, id)
        return sorted([*found.values(), *free])

    def act(self, action: str, id: int) -> None:
        group = self.group
        before, woken = self.ready(), self.woken
        if action == "claim":
            group.claim(id, self.consumer, 5, 1)
        elif action == "park":
            group.claim(id, self.parked, 5, 0)
        elif action == "acknowledge":
            group.acknowledge(id)
        elif action == "release":
            group.release(id, 1)
        elif action == "delete":
            group.delete_consumer(b"c")
            self.consumer = group.create_consumer(b"c", 0)
        else:
            expected = self.ready()
            limit = 2 if action == "take two" else 0
            taken = self.admission.take_ready(limit)
            assert taken == (expected[:limit] if limit else expected)
            group.redeliver(taken, self.consumer, 6)
            return
        if set(self.ready()) - set(before):
            assert self.woken > woken

    def check(self) -> None:
        for value in ("a", "b"):
            waiting = [id for id in self.group.pel if self.value(id) == value]
            assert self.admission.is_busy(value.encode()) == bool(waiting)
            in_flight = self.in_flight(value)
            assert [id for id in in_flight if self.admission.is_first(id)] == in_flight[:1]
        assert all(self.admission.is_first(id) for id in self.in_flight(None))
        assert self.group.parked_count() == sum(map(self.group.is_parked, self.group.pel))
        assert self.group.inflight() == sum(delivery.consumer is self.consumer for delivery in self.group.pel.values())
        if self.ready():
            assert self.admission.has_ready()


@settings(max_examples=300, deadline=None)
@given(ACTIONS)
def test_whatever_happens(actions: list[tuple[str, int]]) -> None:
    model = Model()
    model.admission.walk(model.group.pending, 1)
    assert model.admission.is_complete()
    for action, id in actions:
        model.act(action, id)
        model.check()


@settings(max_examples=200, deadline=None)
@given(ACTIONS, ACTIONS, st.integers(1, 5))
def test_while_the_pending_entries_are_walked(
    before: list[tuple[str, int]], meanwhile: list[tuple[str, int]], step: int
) -> None:
    model = Model()
    model.admission.walk(model.group.pending, 1)
    for action, id in before:
        model.act(action, id)
    admission = model.admission = model.follow()
    steps: Iterator[tuple[str, int]] = iter(meanwhile)
    while not admission.is_complete():
        admission.walk(model.group.pending, step)
        action, id = next(steps, ("", 0))
        if action and not action.startswith("take") and not admission.is_complete():
            if action == "delete":
                continue
            {
                "claim": lambda id: model.group.claim(id, model.consumer, 5, 1),
                "park": lambda id: model.group.claim(id, model.parked, 5, 0),
                "acknowledge": model.group.acknowledge,
                "release": lambda id: model.group.release(id, 1),
            }[action](id)
    model.check()
    assert admission.take_ready(0) == model.ready()


def test_without_a_field_all_that_is_parked_is_ready() -> None:
    model = Model(b"")
    model.group.park([3, 4, 5], 0)
    model.admission.walk(model.group.pending, 10)
    assert model.admission.take_ready(2) == [3, 4]
    model.group.redeliver([3, 4], model.consumer, 0)
    assert model.admission.take_ready(0) == [5]


def test_a_reader_that_was_held_back_is_woken_once() -> None:
    model = Model()
    model.admission.walk(model.group.pending, 10)
    model.group.deliver(model.consumer, [3, 4, 5], 0)
    model.woken = 0
    model.group.acknowledge(3)
    assert model.woken == 0
    model.admission.held_back = True
    model.group.release(4, 1)
    assert model.woken == 1
    model.group.acknowledge(5)
    assert model.woken == 1


def test_long_values_are_told_apart() -> None:
    admission = Model().admission
    texts = [b"x" * 63, b"x" * 64, b"x" * 64 + b"y", b"x" * 64 + b"z", b""]
    values = [admission.value_in(encode_entry(1, 1, [b"user", text])[1]) for text in texts]
    assert len(set(values)) == len(texts) and max(len(value or b"") for value in values) == 64
