"""Deadlines of fields: the earliest, after any changes, in bounded memory."""

from broker.values.field_deadlines import FieldDeadlines


def test_the_earliest_is_found() -> None:
    deadlines = FieldDeadlines()
    assert deadlines.earliest() is None
    for field, deadline in ((b"a", 5), (b"b", 3), (b"c", 9), (b"b", 7)):
        deadlines.put(field, deadline)
    assert deadlines.earliest() == (5, b"a")
    deadlines.pop(b"a")
    assert deadlines.earliest() == (7, b"b")
    assert deadlines == {b"b": 7, b"c": 9}
    deadlines.clear()
    assert deadlines.earliest() is None


def test_a_deadline_moved_often_takes_bounded_memory() -> None:
    deadlines = FieldDeadlines()
    for deadline in range(10_000):
        deadlines.put(b"f", deadline)
    assert len(deadlines._heap) < 100
    assert deadlines.earliest() == (9999, b"f")


def test_a_clone_shares_nothing() -> None:
    deadlines = FieldDeadlines()
    deadlines.put(b"a", 5)
    twin = deadlines.clone()
    twin.put(b"b", 3)
    deadlines.pop(b"a")
    assert twin.earliest() == (3, b"b") and twin == {b"a": 5, b"b": 3}
    assert deadlines.earliest() is None
