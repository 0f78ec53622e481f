"""A stream against a plain list of entries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.streams.entry import decode_fields
from broker.values.streams.group import Group
from broker.values.streams.ids import MAX_ID, format_id
from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.stream import EntryTooLarge, Stream

SMALL = st.integers(0, 40)
STEPS = st.lists(
    st.tuples(st.just("add"), st.integers(1, 3), st.integers(0, 2))
    | st.tuples(st.just("delete"), SMALL, st.just(0))
    | st.tuples(st.just("range"), SMALL, SMALL),
    max_size=60,
)


def ms(id: int) -> int:
    return id << 64


def filled(count: int, limits: DefaultStreamLimits | None = None) -> Stream:
    """A stream with entries 1-0 to `count`-0."""
    stream = Stream(limits)
    for n in range(1, count + 1):
        stream.append(ms(n), [b"f", b"%d" % n])
    return stream


def check_same(stream: Stream, entries: dict[int, list[bytes]]) -> None:
    ids = sorted(entries)
    assert len(stream) == len(ids)
    assert stream.first_id == (ids[0] if ids else 0)
    assert stream.top_id() == (ids[-1] if ids else 0)
    assert [(id, decode_fields(entry)) for id, entry in stream.entries()] == [(id, entries[id]) for id in ids]


def check_range(stream: Stream, entries: dict[int, list[bytes]], start: int, end: int, count: int) -> None:
    within = [id for id in sorted(entries) if start <= id <= end]
    chosen = within[:count] if count else within
    texts = dict(stream.entries())
    assert stream.range(start, end, count) == (len(chosen), b"".join(texts[id] for id in chosen))
    chosen = within[::-1][:count] if count else within[::-1]
    assert stream.reverse_range(start, end, count) == (len(chosen), b"".join(texts[id] for id in chosen))
    after = [id for id in sorted(entries) if id > start]
    chosen = after[:count] if count else after
    assert stream.read_after(start, count) == (chosen, b"".join(texts[id] for id in chosen))
    assert [id for id, _ in stream.entries(start, end)] == within
    some = stream.next_entries(start, count + 1)
    assert some == [(id, texts[id]) for id in after[: len(some)]]
    assert bool(some) == bool(after) and len(some) <= count + 1


@settings(max_examples=200)
@given(STEPS, st.sampled_from([1, 2, 3, 100]), st.integers(0, 5))
def test_against_a_dictionary(steps: list[tuple[str, int, int]], node_entries: int, count: int) -> None:
    stream = Stream(DefaultStreamLimits(stream_node_max_entries=node_entries))
    entries: dict[int, list[bytes]] = {}
    last = 0
    for step, a, b in steps:
        if step == "add":
            id = last + ms(a) if b else last + a
            fields = [b"f", b"v" * a] if b else [b"f", b"1", b"g", b"2"]
            assert stream.append(id, fields) == b"$%d\r\n%b\r\n" % (len(format_id(id)), format_id(id))
            entries[id] = fields
            last = id
        elif step == "delete":
            there = list(entries)[a] if a < len(entries) else a
            assert (there in stream) == (there in entries)
            assert (stream.entry(there) is not None) == (there in entries)
            assert stream.delete(there) == (entries.pop(there, None) is not None)
        else:
            check_range(stream, entries, ms(a), ms(b), count)
            check_range(stream, entries, a, ms(b) + 1, count)
            check_range(stream, entries, last, MAX_ID, count)
    check_same(stream, entries)
    check_same(stream.copy(), entries)
    assert stream.last_id == last
    assert stream.radix_node_count() >= 1
    assert stream.memory() > 0


RUNS = st.lists(
    st.tuples(
        # What the last ID grows by, in either part, and then the entries: the length of a value, and other names.
        st.sampled_from([1, 90, 1 << 32, 1 << 63, 1 << 64, 200 << 64, 1 << 97]),
        st.lists(st.tuples(st.sampled_from([0, 3, 70, 300]), st.booleans()), min_size=1, max_size=9),
    ),
    max_size=8,
)


@given(RUNS, st.sampled_from([(4096, 100), (100, 100), (300, 3), (0, 0)]), st.booleans())
def test_a_run_is_added_as_its_entries_are(
    runs: list[tuple[int, list[tuple[int, bool]]]], node: tuple[int, int], measured: bool
) -> None:
    limits = DefaultStreamLimits(stream_node_max_bytes=node[0], stream_node_max_entries=node[1])
    one_by_one, at_once = Stream(limits), Stream(limits)
    if measured:
        one_by_one.measured = at_once.measured = 0
    for growth, sizes in runs:
        id = one_by_one.last_id + growth
        entries = [[b"f", b"v" * size, *([b"g", b"1"] if other else [])] for size, other in sizes]
        for at, fields in enumerate(entries):
            one_by_one.append(id + at, fields)
        added = 0
        while added < len(entries):
            added += at_once.append_run(id + added, entries, added)
    assert _state(at_once) == _state(one_by_one)


def _state(stream: Stream) -> list[object]:
    nodes = [
        (node.first, node.names, node.space, node.room, node.shift, list(node.keys), node.texts, node.packed())
        for node in stream.nodes()
    ]
    counters = (stream.length, stream.first_id, stream.last_id, stream.entries_added, stream.measured)
    return [counters, nodes, list(stream.entries())]


def test_a_run_whose_ids_end_a_millisecond() -> None:
    stream = Stream()
    entries = [[b"f", b"%d" % number] for number in range(5)]
    added = 0
    while added < 5:
        added += stream.append_run(ms(8) - 3 + added, entries, added)
    assert [id for id, _ in stream.entries()] == list(range(ms(8) - 3, ms(8) + 2))


def test_nodes_end_where_redis_ends_them() -> None:
    assert filled(250).node_count() == 3
    assert filled(250, DefaultStreamLimits(stream_node_max_entries=10)).node_count() == 25
    assert filled(250, DefaultStreamLimits(stream_node_max_bytes=0, stream_node_max_entries=0)).node_count() == 1
    stream = Stream()
    for n in range(1, 101):
        stream.append(ms(n), [b"field", b"x" * 100])
    assert stream.node_count() == 3


def test_a_copy_is_its_own() -> None:
    stream = filled(150)
    stream.groups[b"g"] = group = Group(b"g", 0)
    group.deliver(group.create_consumer(b"c", 1), [ms(1), ms(2)], 5)
    other = stream.copy()
    stream.delete(ms(3))
    stream.append(ms(151), [b"f", b"v"])
    group.acknowledge(ms(1))
    assert len(other) == 150
    assert list(other.groups[b"g"].pending()) == [ms(1), ms(2)]


def test_lag() -> None:
    stream = filled(10)
    group = Group(b"g", 0)
    assert stream.lag(group) == 10
    ids, _ = stream.read_after(0, 4)
    stream.advance(group, ids)
    assert (group.last_id, group.entries_read, stream.lag(group)) == (ms(4), 4, 6)
    stream.delete(ms(7))
    assert stream.lag(group) is None
    ids, _ = stream.read_after(ms(4))
    stream.advance(group, ids)
    assert (group.entries_read, stream.lag(group)) == (10, 0)
    assert stream.lag(Group(b"middle", ms(5))) is None
    for n in (1, 2, 3, 4, 5, 6, 8, 9, 10):
        stream.delete(ms(n))
    assert stream.lag(Group(b"new", 0)) == 0


def test_references() -> None:
    stream = filled(3)
    assert not stream.is_referenced(ms(1))
    stream.groups[b"g"] = group = Group(b"g", ms(2))
    assert stream.is_referenced(ms(3))
    assert not stream.is_referenced(ms(1))
    group.deliver(group.create_consumer(b"c", 1), [ms(1)], 5)
    assert stream.is_referenced(ms(1))
    stream.remove_references(ms(1))
    assert not stream.is_referenced(ms(1))


def test_trimming_the_head_for_ever_keeps_the_lists_short() -> None:
    stream = Stream(DefaultStreamLimits(stream_node_max_entries=2))
    for n in range(1, 2001):
        stream.append(ms(n), [b"f", b"v"])
        if n > 10:
            assert stream.delete(ms(n - 10))
    assert stream.node_count() <= 6
    assert len(stream._nodes) <= 140
    assert [id for id, _ in stream.entries()] == [ms(n) for n in range(1991, 2001)]


def test_nodes_given_to_an_empty_stream() -> None:
    limits = DefaultStreamLimits(stream_node_max_entries=3)
    original = filled(10, limits)
    original.delete(ms(1))
    original.delete(ms(10))
    nodes = [node.copy() for node in original.nodes()]
    for node in nodes:
        node.seal()
    stream = Stream(limits)
    stream.restore_nodes(nodes)
    assert list(stream.entries()) == list(original.entries())
    assert (stream.length, stream.first_id, stream.last_id) == (8, ms(2), ms(9))
    assert stream.radix_node_count() == original.radix_node_count()
    # The last node takes entries again.
    for other in (stream, original):
        other.append(ms(11), [b"f", b"11"])
    assert [list(node.entries()) for node in stream.nodes()] == [list(node.entries()) for node in original.nodes()]
    assert ms(9) in stream and ms(10) not in stream


def test_how_large_an_entry_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.values.streams.stream.MAX_ENTRY", 5000)
    stream = filled(1)
    stream.append(ms(2), [b"field", b"v" * 4995])
    with pytest.raises(EntryTooLarge):
        stream.append(ms(3), [b"field", b"v" * 4996])
    assert (len(stream), stream.top_id()) == (2, ms(2))
