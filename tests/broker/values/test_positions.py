"""Scans and random picks on dicts: the SCAN guarantee, uniformity, cost; pure and compiled."""

import time
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.values.positions")
both = twins.both("broker.values.positions", "broker.values._positions")


def _numbered(count: int) -> dict[bytes, None]:
    return {b"%d" % number: None for number in range(count)}


def _scan(module: ModuleType, d: dict[bytes, None], count: int = 10) -> list[bytes]:
    cursor, found = module.window(d, 0, count)
    while cursor:
        cursor, keys = module.window(d, cursor, count)
        found += keys
    return found


@both
def test_top(module: ModuleType) -> None:
    assert module.top({}) == 0
    d = _numbered(1000)
    assert module.top(d) == 1000
    for number in range(998):
        del d[b"%d" % number]
    assert module.top(d) == 1000
    del d[b"999"]
    assert module.top(d) == 999


@both
@pytest.mark.parametrize("removed", [range(0), range(0, 500, 2), range(400), range(100, 900), range(1, 999)])
def test_scan_returns_each_key_once_when_nothing_changes(module: ModuleType, removed: range) -> None:
    d = _numbered(1000)
    for number in removed:
        del d[b"%d" % number]
    assert sorted(_scan(module, d)) == sorted(d)


@both
def test_window_edges(module: ModuleType) -> None:
    assert module.window({}, 0, 10) == (0, [])
    assert module.window({}, 5, 10) == (0, [])
    d = _numbered(3)
    assert module.window(d, 0, 2) == (1, [b"2", b"1"])
    assert module.window(d, 1, 2) == (0, [b"0"])
    assert module.window(d, 1 << 100, 1 << 100) == (0, [b"2", b"1", b"0"])
    assert module.window(d, 3, (1 << 63) - 1) == (0, [b"2", b"1", b"0"])


@both
def test_window_gives_back_at_most_count_keys(module: ModuleType) -> None:
    d = _numbered(300)
    for number in range(0, 300, 3):
        del d[b"%d" % number]
    cursor, keys = module.window(d, 0, 7)
    assert len(keys) == 7
    assert keys == [b"299", b"298", b"296", b"295", b"293", b"292", b"290"]
    assert cursor == 290


@both
def test_window_is_bounded_over_holes(module: ModuleType) -> None:
    d = _numbered(400)
    for number in range(20, 399):
        del d[b"%d" % number]
    assert module.window(d, 0, 10) == (300, [b"399"])
    assert module.window(d, 300, 10) == (200, [])


@both
def test_a_long_run_of_holes_is_squeezed_out(module: ModuleType) -> None:
    d = _numbered(10_000)
    for number in range(10, 9990):
        del d[b"%d" % number]
    cursor, keys = module.window(d, 0, 5)
    while module.top(d) != 20:
        cursor, more = module.window(d, cursor, 5)
        keys += more
    assert list(d) == [b"%d" % number for number in [*range(10), *range(9990, 10_000)]]
    while cursor:
        cursor, more = module.window(d, cursor, 5)
        keys += more
    assert set(keys) == set(d)


@both
def test_compact_if_sparse(module: ModuleType) -> None:
    class Table(dict[bytes, int]):
        pass

    d = Table((b"%d" % number, number) for number in range(2000))
    for number in range(900):
        del d[b"%d" % number]
    module.compact_if_sparse(d)
    assert module.top(d) == 2000
    for number in range(900, 1100):
        del d[b"%d" % number]
    module.compact_if_sparse(d)
    assert module.top(d) == 900
    assert list(d.items()) == [(b"%d" % number, number) for number in range(1100, 2000)]


@both
def test_random_key_is_uniform(module: ModuleType) -> None:
    d = _numbered(40)
    # Holes before 20 .. 29 must not make 20 likelier.
    for number in range(20):
        del d[b"%d" % number]
    counts = Counter(module.random_key(d) for _ in range(20_000))
    assert set(counts) == set(d)
    # 20 keys, 1000 expected each, standard deviation 31: six of them
    assert all(810 < times < 1190 for times in counts.values())


@both
def test_random_key_of_nothing(module: ModuleType) -> None:
    with pytest.raises(IndexError):
        module.random_key({})


@both
def test_sample_and_draw(module: ModuleType) -> None:
    d = _numbered(100)
    for count in (0, 1, 20, 50, 100, 500):
        keys = module.sample_keys(d, count)
        assert len(set(keys)) == len(keys) == min(count, 100)
        assert set(keys) <= set(d)
        keys = module.draw_keys(d, count)
        assert len(keys) == count
        assert set(keys) <= set(d)
    with pytest.raises(IndexError):
        module.draw_keys({}, 1)


@both
def test_random_removal_reaches_the_last_key(module: ModuleType) -> None:
    d = _numbered(5000)
    left = set(d)
    while d:
        key = module.random_key(d)
        left.remove(key)
        del d[key]
    assert not left


@both
@pytest.mark.parametrize("removed", [range(0), range(700_000), range(0, 1_000_000, 2), range(300_000, 1_000_000)])
def test_cost_does_not_grow_with_the_dict(module: ModuleType, removed: range) -> None:
    d = _numbered(1_000_000)
    for number in removed:
        del d[b"%d" % number]
    module.random_key(d)
    cursor, _ = module.window(d, 0, 10)
    started = time.process_time()
    for _ in range(200):
        module.random_key(d)
        cursor, _ = module.window(d, cursor, 10)
    # Measured 0.002 s to 0.02 s; steps over every hole or every entry would take 0.4 s and more.
    assert time.process_time() - started < 0.3


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 400)),
        st.tuples(st.just("remove"), st.integers(0, 400)),
        st.tuples(st.just("pop"), st.integers(1, 30)),
        st.tuples(st.just("grow"), st.integers(1, 300)),
        st.tuples(st.just("random"), st.just(0)),
        st.tuples(st.just("compact"), st.just(0)),
        st.tuples(st.just("scan"), st.integers(1, 50)),
    ),
    max_size=60,
)


@both
@settings(max_examples=200, deadline=None)
@given(start=st.integers(0, 400), steps=_steps)
def test_whatever_stays_is_returned(module: ModuleType, start: int, steps: list[tuple[str, int]]) -> None:
    """The guarantee of SCAN under interleaved additions and removals, for scans that overlap."""
    d: dict[int, Any] = dict.fromkeys(range(start))
    fresh = 1000
    # Each scan under way: its cursor, what must still come, given as keys that were there all the time.
    scans: list[list[Any]] = [[0, set(d)]]

    def go_on(scan: list[Any], count: int) -> None:
        scan[0], keys = module.window(d, scan[0], count)
        assert len(keys) <= count
        assert set(keys) <= set(d)
        scan[1] -= set(keys)
        if scan[0] == 0:
            assert not scan[1]
            scan[1] = set(d)

    for step, number in steps:
        if step == "add":
            d[number] = None
        elif step == "remove":
            d.pop(number, None)
        elif step == "pop":
            for _ in range(min(number, len(d))):
                d.popitem()
        elif step == "grow":
            for _ in range(number):
                d[fresh] = None
                fresh += 1
        elif step == "random" and d:
            del d[module.random_key(d)]
        elif step == "compact":
            module.compact_if_sparse(d)
        elif step == "scan":
            for scan in scans:
                go_on(scan, number)
            if len(scans) < 4:
                scans.append([0, set(d)])
        for scan in scans:
            scan[1] &= set(d)
    for scan in scans:
        for _ in range(10_000):
            go_on(scan, 7)
            if scan[0] == 0:
                break
        else:
            pytest.fail("the scan does not end")
