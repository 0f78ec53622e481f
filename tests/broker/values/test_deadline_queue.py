"""The queue of deadlines, beside a sorted list."""

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.deadline_queue import NEVER, DeadlineQueue

_pushes = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 5)), max_size=40)


@settings(max_examples=200)
@given(_pushes, st.integers(1, 4))
def test_everything_comes_out_once_in_order(pushes: list[tuple[bytes, int]], limit: int) -> None:
    queue = DeadlineQueue()
    for key, deadline in pushes:
        queue.push(key, deadline)
    assert len(queue) == len(pushes)
    assert queue.next_deadline() == min((deadline for _, deadline in pushes), default=NEVER)
    taken: list[tuple[bytes, int]] = []
    while len(queue):
        deadline, keys = queue.take(limit)
        assert 1 <= len(keys) <= limit
        taken += [(key, deadline) for key in keys]
        assert len(queue) == len(pushes) - len(taken)
    assert [deadline for _, deadline in taken] == sorted(deadline for _, deadline in pushes)
    assert sorted(taken) == sorted(pushes)
    assert queue.next_deadline() == NEVER


def test_refilling_forgets_the_rest() -> None:
    queue = DeadlineQueue()
    for key in (b"a", b"b", b"c"):
        queue.push(key, 1)
    queue.refill({b"a": 5, b"b": 7}, {b"a": 6})
    assert len(queue) == 3
    assert [queue.take(10) for _ in range(3)] == [(5, [b"a"]), (6, [b"a"]), (7, [b"b"])]
    assert queue.next_deadline() == NEVER
