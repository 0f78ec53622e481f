"""What is propagated: as it came, in its place, before it, and all of a transaction at once."""

import pytest

from broker.keyspace.effects import Effects, Unit


@pytest.fixture
def collected() -> list[Unit]:
    return []


@pytest.fixture
def effects(collected: list[Unit]) -> Effects:
    """Effects whose one sink keeps each unit it is given."""
    running = Effects()
    running.sinks.append(lambda effects: collected.append(list(effects)))
    return running


def test_a_command_goes_out_as_it_came(effects: Effects, collected: list[Unit]) -> None:
    effects.flush(3, [b"SET", b"k", b"v"])
    assert collected == [[(3, [b"SET", b"k", b"v"])]]


def test_in_place_of_the_command(effects: Effects, collected: list[Unit]) -> None:
    effects.replace_with([b"SREM", b"s", b"a"])
    effects.replace_with([b"SREM", b"s", b"b"], [b"DEL", b"s"])
    effects.flush(0, [b"SPOP", b"s"])
    effects.flush(0, [b"SET", b"k", b"v"])
    assert collected == [
        [(0, [b"SREM", b"s", b"a"]), (0, [b"SREM", b"s", b"b"]), (0, [b"DEL", b"s"])],
        [(0, [b"SET", b"k", b"v"])],
    ]


def test_what_a_failed_command_named_is_void(effects: Effects, collected: list[Unit]) -> None:
    effects.replace_with([b"SREM", b"s", b"a"])
    effects.discard()
    assert not effects.special
    effects.flush(0, [b"SET", b"k", b"v"])
    effects.begin()
    effects.replace_with([b"SREM", b"s", b"b"])
    effects.discard()
    assert effects.special
    effects.flush(0, [b"SET", b"k", b"w"])
    effects.end()
    assert collected == [[(0, [b"SET", b"k", b"v"])], [(0, [b"SET", b"k", b"w"])]]


def test_each_unit_counts_once(effects: Effects, collected: list[Unit]) -> None:
    effects.flush(0, [b"SET", b"k", b"v"])
    assert effects.position == 1
    effects.begin()
    effects.flush(0, [b"SET", b"k", b"v"])
    effects.flush(0, [b"SET", b"k", b"w"])
    assert effects.position == 1
    effects.end()
    assert effects.position == len(collected) == 2


def test_nothing_in_place_of_the_command(effects: Effects, collected: list[Unit]) -> None:
    effects.replace_with()
    effects.flush(0, [b"SPOP", b"s"])
    assert collected == []


def test_before_the_command(effects: Effects, collected: list[Unit]) -> None:
    effects.add(2, [b"DEL", b"expired"])
    effects.flush(0, [b"SET", b"k", b"v"])
    assert collected == [[(2, [b"DEL", b"expired"]), (0, [b"SET", b"k", b"v"])]]


def test_without_a_command(effects: Effects, collected: list[Unit]) -> None:
    effects.flush(0, None)
    assert collected == []
    effects.add(1, [b"DEL", b"k"])
    effects.flush(0, None)
    assert collected == [[(1, [b"DEL", b"k"])]]


def test_a_transaction_is_one_unit(effects: Effects, collected: list[Unit]) -> None:
    effects.begin()
    effects.flush(0, [b"SET", b"a", b"1"])
    effects.replace_with([b"SET", b"b", b"2"])
    effects.flush(1, [b"INCR", b"b"])
    assert collected == []
    effects.end()
    assert collected == [[(0, [b"SET", b"a", b"1"]), (1, [b"SET", b"b", b"2"])]]
    effects.begin()
    effects.end()
    effects.flush(0, [b"DEL", b"a"])
    assert len(collected) == 2


def test_a_script_inside_a_transaction_belongs_to_it(effects: Effects, collected: list[Unit]) -> None:
    effects.begin()
    effects.flush(0, [b"SET", b"a", b"1"])
    effects.begin()
    effects.flush(0, [b"SET", b"b", b"2"])
    effects.end()
    effects.flush(0, [b"SET", b"c", b"3"])
    effects.end()
    assert [[words[1] for _, words in unit] for unit in collected] == [[b"a", b"b", b"c"]]


def test_what_was_added_comes_first_in_a_transaction_too(effects: Effects, collected: list[Unit]) -> None:
    effects.begin()
    effects.flush(0, [b"SET", b"a", b"1"])
    effects.add(2, [b"DEL", b"expired"])
    effects.flush(0, [b"SET", b"b", b"2"])
    effects.flush(0, None)
    effects.end()
    assert collected == [[(0, [b"SET", b"a", b"1"]), (2, [b"DEL", b"expired"]), (0, [b"SET", b"b", b"2"])]]


@pytest.mark.parametrize("depth", [0, 1])
def test_while_suppressed_only_what_was_added_goes_out(effects: Effects, collected: list[Unit], depth: int) -> None:
    for _ in range(depth):
        effects.begin()
    effects.restrict(to_journal=False, to_replicas=False)
    effects.flush(0, [b"SET", b"a", b"1"])
    effects.replace_with([b"SREM", b"s", b"a"])
    effects.flush(0, [b"SPOP", b"s"])
    effects.add(2, [b"DEL", b"expired"])
    effects.flush(0, [b"SET", b"b", b"2"])
    effects.restrict(to_journal=True, to_replicas=True)
    for _ in range(depth):
        effects.end()
    effects.flush(0, [b"SET", b"c", b"3"])
    assert collected == [[(2, [b"DEL", b"expired"])], [(0, [b"SET", b"c", b"3"])]]


def test_what_is_more_than_the_command_as_it_came_is_special(effects: Effects) -> None:
    assert not effects.special
    for step in (lambda: effects.replace_with([b"SREM", b"s", b"a"]), lambda: effects.add(0, [b"DEL", b"k"])):
        step()
        assert effects.special
        effects.begin()
        effects.end()
        assert effects.special, "it is not propagated yet"
        effects.flush(0, [b"SPOP", b"s"])
        assert not effects.special
    effects.begin()
    effects.begin()
    assert effects.special
    effects.flush(0, [b"SET", b"a", b"1"])
    effects.end()
    assert effects.special, "the outer one goes on"
    effects.add(0, [b"DEL", b"k"])
    effects.flush(0, [b"SET", b"b", b"2"])
    assert effects.special
    effects.end()
    assert not effects.special


def test_every_sink_gets_everything() -> None:
    first: list[Unit] = []
    second: list[Unit] = []
    effects = Effects()
    effects.sinks += [first.append, second.append]
    effects.flush(0, [b"SET", b"k", b"v"])
    assert first == second == [[(0, [b"SET", b"k", b"v"])]]


def test_without_sinks_nothing_is_kept(collected: list[Unit]) -> None:
    effects = Effects()
    effects.add(0, [b"DEL", b"k"])
    effects.replace_with([b"SET", b"k", b"v"])
    effects.flush(0, [b"INCR", b"k"])
    effects.sinks.append(collected.append)
    effects.flush(0, [b"SET", b"a", b"1"])
    assert collected == [[(0, [b"SET", b"a", b"1"])]]


def test_what_closes_a_unit(effects: Effects, collected: list[Unit]) -> None:
    def close() -> int:
        effects.replace_with([b"XADD", b"s"], [b"XTRIM", b"s"])
        return 5

    effects.close_with(close)
    assert effects.special
    effects.flush(0, None)  # no command
    effects.add(0, [b"DEL", b"e"])
    effects.flush(3, [b"SET", b"k", b"v"])
    added = [(5, [b"XADD", b"s"]), (5, [b"XTRIM", b"s"])]
    assert collected == [[(0, [b"DEL", b"e"]), (3, [b"SET", b"k", b"v"]), *added]]
    assert not effects.special
    effects.begin()
    effects.close_with(close)
    effects.replace_with([b"SREM", b"s", b"a"])
    effects.flush(0, [b"SPOP", b"s"])
    effects.flush(0, [b"INCR", b"n"])
    effects.end()
    assert collected[1:] == [[(0, [b"SREM", b"s", b"a"]), *added, (0, [b"INCR", b"n"])]]
    assert not effects.special


def test_what_closes_a_unit_is_kept_once_while_nothing_is_written(effects: Effects, collected: list[Unit]) -> None:
    class Closing:
        calls = 0

        def close(self) -> int:
            self.calls += 1
            return 0

    first, second = Closing(), Closing()
    for _ in range(3):
        effects.close_with(first.close)
        effects.close_with(second.close)
    effects.flush(0, [b"SET", b"k", b"v"])
    assert (first.calls, second.calls) == (1, 1)
    effects.close_with(first.close)
    effects.flush(0, [b"SET", b"k", b"v"])
    assert first.calls == 2


def test_nothing_closes_what_goes_nowhere() -> None:
    effects = Effects()
    effects.close_with(lambda: 1 // 0)
    effects.sinks.append(lambda unit: None)
    effects.flush(0, [b"SET", b"k", b"v"])
