"""Counting bytes in steps, against counting them all at the end, whatever happens meanwhile."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.measuring import forget, is_measured, measure
from broker.values.streams.stream import Stream
from broker.values.streams.trim import References, trim_by_bytes, trim_by_id, trim_by_length


def add(stream: Stream, length: int) -> None:
    stream.append(stream.last_id + (1 << 64), [b"f", b"x" * length])


def filled(count: int) -> Stream:
    stream = Stream(DefaultStreamLimits(stream_node_max_entries=3))
    for number in range(count):
        add(stream, number % 5)
    return stream


def size(stream: Stream) -> int:
    return sum(len(text) for _, text in stream.entries())


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 9)),
        st.tuples(st.just("delete"), st.integers(0, 40)),
        st.tuples(st.just("last"), st.just(0)),
        st.tuples(st.just("trim"), st.integers(0, 30)),
        st.tuples(st.just("below"), st.integers(0, 40)),
        st.tuples(st.just("referenced"), st.integers(0, 40)),
    ),
    max_size=20,
)


def act(stream: Stream, action: str, number: int) -> None:
    if action == "add":
        add(stream, number)
    elif action == "delete":
        stream.delete(number << 64)
    elif action == "last":
        stream.delete(stream.top_id())
    elif action == "trim":
        trim_by_length(stream, number)
    elif action == "below":
        trim_by_id(stream, number << 64)
    else:
        trim_by_id(stream, number << 64, references=References.ACKED)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 30), ACTIONS, st.integers(1, 3))
@example(9, [("last", 0), ("last", 0), ("last", 0), ("add", 1), ("delete", 10)], 1)
def test_whatever_happens_meanwhile(count: int, actions: list[tuple[str, int]], nodes: int) -> None:
    stream = filled(count)
    measure(stream, nodes)
    for action, number in actions:
        act(stream, action, number)
        counted = sum(len(text) for _, text in stream.entries(stream.measured_from))
        assert stream.measured == counted
        measure(stream, nodes)
    while not measure(stream, nodes):
        pass
    assert stream.measured == size(stream)


def test_a_step_counts_so_many_nodes() -> None:
    stream = filled(12)
    assert not measure(stream, 3)
    assert stream.measured_from == 4 << 64
    assert measure(stream, 1) and is_measured(stream)
    forget(stream)
    assert not is_measured(stream)
    assert measure(stream, 4)
    assert measure(Stream(), 1)


@given(st.integers(2, 40), st.integers(0, 500), st.integers(1, 5))
def test_what_is_not_counted_goes_first(count: int, bound: int, nodes: int) -> None:
    stream, other = filled(count), filled(count)
    while not measure(other, 1):
        pass
    trim_by_bytes(other, bound)
    done = False
    while not done:
        done = measure(stream, nodes)
        trim_by_bytes(stream, bound)
    assert list(stream.entries()) == list(other.entries())
    assert stream.measured == size(stream)
