"""A consumer group against a model that keeps everything in one sorted list."""

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.streams.group import MAX_COUNT, Group

NAMES = st.sampled_from([b"a", b"b", b"c"])
IDS = st.integers(1, 30)
STEPS = st.lists(
    st.tuples(st.just("deliver"), st.lists(IDS, min_size=1, max_size=6, unique=True).map(sorted), NAMES)
    | st.tuples(st.just("claim"), st.lists(IDS, min_size=1, max_size=1), NAMES)
    | st.tuples(st.just("redeliver"), st.lists(IDS, min_size=1, max_size=6, unique=True).map(sorted), NAMES)
    | st.tuples(st.just("acknowledge"), st.lists(IDS, min_size=1, max_size=1), NAMES)
    | st.tuples(st.just("release"), st.lists(IDS, min_size=1, max_size=1), NAMES)
    | st.tuples(st.just("delete"), st.just([0]), NAMES)
    | st.tuples(st.just("oldest"), st.just([0]), NAMES),
    max_size=40,
)


class Model:
    """Pending entries as (ID, consumer, time, count), in the order of delivery; released ones apart."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, bytes, int, int]] = []
        self.released: list[tuple[int, int]] = []

    def find(self, id: int) -> tuple[bytes | None, int, int] | None:
        for other, name, time, count in self.entries:
            if other == id:
                return name, time, count
        for other, count in self.released:
            if other == id:
                return None, 0, count
        return None

    def remove(self, id: int) -> None:
        self.entries = [entry for entry in self.entries if entry[0] != id]
        self.released = [entry for entry in self.released if entry[0] != id]

    def put(self, id: int, name: bytes, time: int, count: int) -> None:
        self.remove(id)
        self.entries.append((id, name, time, count))
        self.entries.sort(key=lambda entry: entry[2])

    def ids(self) -> list[int]:
        return sorted([entry[0] for entry in self.entries] + [entry[0] for entry in self.released])


@settings(max_examples=300)
@given(STEPS, st.booleans())
def test_against_a_list(steps: list[tuple[str, list[int], bytes]], timed: bool) -> None:
    group, model = Group(b"g", 0), Model()
    if timed:
        group.oldest(0, lambda id: True, 1)
    for now, (step, ids, name) in enumerate(steps, 100):
        consumer = group.consumers.get(name) or group.create_consumer(name, now)
        if step == "deliver":
            group.deliver(consumer, ids, now)
            for id in ids:
                model.put(id, name, now, 1)
        elif step == "claim":
            group.claim(ids[0], consumer, now - ids[0], 7)
            model.put(ids[0], name, now - ids[0], 7)
        elif step == "redeliver":
            there = [id for id in ids if id in group.pel]
            group.redeliver(there, consumer, now)
            for id in there:
                found = model.find(id)
                assert found is not None
                model.put(id, name, now, found[2] + 1)
        elif step == "acknowledge":
            assert group.acknowledge(ids[0]) == (model.find(ids[0]) is not None)
            model.remove(ids[0])
        elif step == "release":
            group.release(ids[0], 3)
            model.remove(ids[0])
            model.released.append((ids[0], 3))
        elif step == "delete":
            owned = [entry[0] for entry in model.entries if entry[1] == name]
            assert group.delete_consumer(name) == len(owned)
            for id in owned:
                model.remove(id)
        else:
            check_order(group, model, now)
        check(group, model)
    check_order(group, model, 1 << 60)
    check(group.copy(), model)
    check_order(group.copy(), model, 1 << 60)


def check(group: Group, model: Model) -> None:
    assert list(group.pending()) == model.ids()
    assert list(group.pending(15)) == [id for id in model.ids() if id >= 15]
    assert group.lowest_pending() == min(model.ids(), default=None)
    assert group.highest_pending() == max(model.ids(), default=None)
    assert list(group.released()) == [entry[0] for entry in model.released]
    assert group.released_count() == len(model.released)
    for id in model.ids():
        delivery = group.pel[id]
        name = None if delivery.consumer is None else delivery.consumer.name
        assert model.find(id) == (name, delivery.time, delivery.count)
    for name, consumer in group.consumers.items():
        owned = sorted(entry[0] for entry in model.entries if entry[1] == name)
        assert list(group.pending_of(consumer)) == owned
        assert consumer.pending == len(owned)


def check_order(group: Group, model: Model, latest: int) -> None:
    expected = [entry[0] for entry in model.released] + [entry[0] for entry in model.entries if entry[2] <= latest]
    assert group.oldest(latest, lambda id: True) == expected
    for limit in (1, 2, 5):
        assert group.oldest(latest, lambda id: True, limit) == expected[:limit]
        assert group.oldest(latest, lambda id: id % 2 == 0, limit) == [id for id in expected if id % 2 == 0][:limit]


def test_a_full_counter_stays() -> None:
    group = Group(b"g", 0)
    consumer = group.create_consumer(b"c", 1)
    group.claim(1, consumer, 5, MAX_COUNT)
    group.redeliver([1], consumer, 6)
    assert (group.pel[1].count, group.pel[1].time) == (MAX_COUNT, 6)
    group.redeliver([1], consumer, 7, counts=False)
    assert group.memory() > 0


def test_many_deliveries_leave_no_litter() -> None:
    group = Group(b"g", 0)
    consumer = group.create_consumer(b"c", 1)
    group.oldest(0, lambda id: True, 1)
    for n in range(1, 20_001):
        group.deliver(consumer, [n], n)
        group.acknowledge(n)
    assert group._index.size <= 1100
    assert consumer.index.size <= 1100
    assert group._by_time is not None and len(group._by_time) <= 1100


def test_restoring() -> None:
    group = Group(b"g", 0)
    consumer, other = group.create_consumer(b"c", 1), group.create_consumer(b"d", 1)
    group.restore([5, 6], consumer, 100, 2)
    group.restore([8], other, 50, 1)
    group.release(3, 4)
    assert group.delete_consumer(b"nobody") == -1
    assert list(group.pending()) == [3, 5, 6, 8]
    assert list(group.pending_of(consumer)) == [5, 6] and consumer.pending == 2
    assert group.oldest(100, lambda id: True) == [3, 8, 5, 6]
    facts = {id: (delivery.consumer, delivery.time, delivery.count) for id, delivery in group.pel.items()}
    assert facts == {3: (None, 0, 4), 5: (consumer, 100, 2), 6: (consumer, 100, 2), 8: (other, 50, 1)}
    assert consumer.active_time == -1
