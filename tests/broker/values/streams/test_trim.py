"""Trimming, against what redis-server 8.10 does with the same entries (nodes of 10)."""

from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.group import Group
from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.measuring import measure
from broker.values.streams.stream import Stream
from broker.values.streams.trim import References, trim_by_bytes, trim_by_id, trim_by_length, trim_effect


def filled(count: int) -> Stream:
    stream = Stream(DefaultStreamLimits(stream_node_max_entries=10))
    for n in range(1, count + 1):
        stream.append(n << 64, [b"f", b"v"])
    return stream


def ids(stream: Stream) -> list[int]:
    return [id >> 64 for id, _ in stream.entries()]


@given(st.integers(0, 60), st.integers(0, 70), st.sets(st.integers(1, 60)))
def test_exact(count: int, bound: int, deleted: set[int]) -> None:
    for by_id in (False, True):
        stream = filled(count)
        for n in deleted:
            stream.delete(n << 64)
        live = ids(stream)
        left = [n for n in live if n >= bound] if by_id else live[max(len(live) - bound, 0) :]
        removed = trim_by_id(stream, bound << 64) if by_id else trim_by_length(stream, bound)
        assert removed == len(live) - len(left)
        assert ids(stream) == left
        assert len(stream) == len(left)
        assert stream.first_id >> 64 == (left[0] if left else 0)


def test_approximate_removes_whole_nodes() -> None:
    stream = filled(35)
    assert trim_by_length(stream, 12, approximate=True) == 20
    assert trim_by_length(stream, 6, approximate=True) == 0
    assert trim_by_id(stream, 35 << 64, approximate=True) == 10
    assert ids(stream) == [31, 32, 33, 34, 35]


def test_limit() -> None:
    stream = filled(50)
    assert trim_by_length(stream, 0, approximate=True, limit=25) == 20
    assert trim_by_id(stream, 50 << 64, approximate=True, limit=9) == 0


def test_a_node_may_stay_empty() -> None:
    stream = filled(3)
    stream.delete(3 << 64)
    assert trim_by_id(stream, 3 << 64) == 2
    assert (len(stream), stream.node_count(), stream.first_id) == (0, 1, 0)
    stream.append(4 << 64, [b"f", b"v"])
    assert (stream.node_count(), ids(stream), stream.first_id >> 64) == (1, [4], 4)
    assert stream.top_id() == 4 << 64


def test_references_go_with_the_entries() -> None:
    stream = filled(25)
    stream.groups[b"g"] = group = Group(b"g", 25 << 64)
    group.deliver(group.create_consumer(b"c", 0), [n << 64 for n in range(1, 26)], 1)
    assert trim_by_length(stream, 22) == 3
    assert len(group.pel) == 25
    assert trim_by_length(stream, 5, references=References.DELETE) == 17
    assert [id >> 64 for id in group.pending()] == [1, 2, 3, 21, 22, 23, 24, 25]


def test_entries_that_are_not_acknowledged_stay() -> None:
    stream = filled(25)
    stream.groups[b"g"] = group = Group(b"g", 23 << 64)
    group.deliver(group.create_consumer(b"c", 0), [n << 64 for n in (2, 15)], 1)
    assert trim_by_length(stream, 4, references=References.ACKED) == 21
    assert ids(stream) == [2, 15, 24, 25]
    assert trim_by_length(stream, 0, approximate=True, references=References.ACKED) == 0
    group.acknowledge(2 << 64)
    assert trim_by_length(stream, 0, approximate=True, references=References.ACKED) == 1
    assert stream.first_id == 15 << 64


def test_nodes_behind_a_kept_one_are_removed() -> None:
    stream = filled(30)
    stream.groups[b"g"] = group = Group(b"g", 30 << 64)
    group.deliver(group.create_consumer(b"c", 0), [5 << 64], 1)
    assert trim_by_length(stream, 0, references=References.ACKED) == 29
    assert (ids(stream), stream.node_count()) == ([5], 1)
    stream.append(31 << 64, [b"f", b"v"])
    assert ids(stream) == [5, 31]


@given(st.integers(1, 60), st.integers(-10, 3000), st.sets(st.integers(1, 60)))
def test_by_bytes(count: int, bound: int, deleted: set[int]) -> None:
    stream = filled(count)
    measure(stream, 1000)
    for n in deleted:
        stream.delete(n << 64)
    sizes = [len(text) for _, text in stream.entries()]
    assert stream.measured == sum(sizes)
    live = ids(stream)
    while sum(sizes) > bound and len(sizes) > 1:
        del sizes[0]
    assert trim_by_bytes(stream, bound) == len(live) - len(sizes)
    assert ids(stream) == live[len(live) - len(sizes) :]
    assert stream.measured == sum(sizes)
    stream.append(100 << 64, [b"f", b"v"])
    assert stream.measured == sum(sizes) + len(stream.entry(100 << 64) or b"")
    assert stream.copy().measured == -1
    for references in References:
        trim_by_id(stream, 60 << 64, references=references)
    assert stream.measured == sum(len(text) for _, text in stream.entries())


def test_the_effect_of_a_trim() -> None:
    assert trim_effect(b"s", filled(7)) == [b"XTRIM", b"s", b"MAXLEN", b"=", b"7"]
