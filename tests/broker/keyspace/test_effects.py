"""What is propagated: as it came, in its place, before it, and all of a transaction at once."""

import pytest

from broker.keyspace.effects import Effects, Propagation


@pytest.fixture
def collected() -> list[Effects]:
    return []


@pytest.fixture
def propagation(collected: list[Effects]) -> Propagation:
    """A propagation whose one sink keeps each unit it is given."""
    running = Propagation()
    running.sinks.append(lambda effects: collected.append(list(effects)))
    return running


def test_a_command_goes_out_as_it_came(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.flush(3, [b"SET", b"k", b"v"])
    assert collected == [[(3, [b"SET", b"k", b"v"])]]


def test_in_place_of_the_command(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.instead([b"SREM", b"s", b"a"])
    propagation.instead([b"SREM", b"s", b"b"], [b"DEL", b"s"])
    propagation.flush(0, [b"SPOP", b"s"])
    propagation.flush(0, [b"SET", b"k", b"v"])
    assert collected == [
        [(0, [b"SREM", b"s", b"a"]), (0, [b"SREM", b"s", b"b"]), (0, [b"DEL", b"s"])],
        [(0, [b"SET", b"k", b"v"])],
    ]


def test_what_a_failed_command_named_is_void(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.instead([b"SREM", b"s", b"a"])
    propagation.forget()
    assert not propagation.special
    propagation.flush(0, [b"SET", b"k", b"v"])
    propagation.begin()
    propagation.instead([b"SREM", b"s", b"b"])
    propagation.forget()
    assert propagation.special
    propagation.flush(0, [b"SET", b"k", b"w"])
    propagation.end()
    assert collected == [[(0, [b"SET", b"k", b"v"])], [(0, [b"SET", b"k", b"w"])]]


def test_each_unit_counts_once(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.flush(0, [b"SET", b"k", b"v"])
    assert propagation.emitted == 1
    propagation.begin()
    propagation.flush(0, [b"SET", b"k", b"v"])
    propagation.flush(0, [b"SET", b"k", b"w"])
    assert propagation.emitted == 1
    propagation.end()
    assert propagation.emitted == len(collected) == 2


def test_nothing_in_place_of_the_command(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.instead()
    propagation.flush(0, [b"SPOP", b"s"])
    assert collected == []


def test_before_the_command(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.also(2, [b"DEL", b"expired"])
    propagation.flush(0, [b"SET", b"k", b"v"])
    assert collected == [[(2, [b"DEL", b"expired"]), (0, [b"SET", b"k", b"v"])]]


def test_without_a_command(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.flush(0, None)
    assert collected == []
    propagation.also(1, [b"DEL", b"k"])
    propagation.flush(0, None)
    assert collected == [[(1, [b"DEL", b"k"])]]


def test_a_transaction_is_one_unit(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.begin()
    propagation.flush(0, [b"SET", b"a", b"1"])
    propagation.instead([b"SET", b"b", b"2"])
    propagation.flush(1, [b"INCR", b"b"])
    assert collected == []
    propagation.end()
    assert collected == [[(0, [b"SET", b"a", b"1"]), (1, [b"SET", b"b", b"2"])]]
    propagation.begin()
    propagation.end()
    propagation.flush(0, [b"DEL", b"a"])
    assert len(collected) == 2


def test_a_script_inside_a_transaction_belongs_to_it(propagation: Propagation, collected: list[Effects]) -> None:
    propagation.begin()
    propagation.flush(0, [b"SET", b"a", b"1"])
    propagation.begin()
    propagation.flush(0, [b"SET", b"b", b"2"])
    propagation.end()
    propagation.flush(0, [b"SET", b"c", b"3"])
    propagation.end()
    assert [[words[1] for _, words in unit] for unit in collected] == [[b"a", b"b", b"c"]]


def test_every_sink_gets_everything() -> None:
    first: list[Effects] = []
    second: list[Effects] = []
    propagation = Propagation()
    propagation.sinks += [first.append, second.append]
    propagation.flush(0, [b"SET", b"k", b"v"])
    assert first == second == [[(0, [b"SET", b"k", b"v"])]]


def test_without_sinks_nothing_is_kept(collected: list[Effects]) -> None:
    propagation = Propagation()
    propagation.also(0, [b"DEL", b"k"])
    propagation.instead([b"SET", b"k", b"v"])
    propagation.flush(0, [b"INCR", b"k"])
    propagation.sinks.append(collected.append)
    propagation.flush(0, [b"SET", b"a", b"1"])
    assert collected == [[(0, [b"SET", b"a", b"1"])]]
