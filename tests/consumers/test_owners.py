"""The names under which entries are pending, and what they say."""

import pytest

from consumers.options import Options
from consumers.owners import SHELVES, Phase, is_reserved, owner_of, read_owner, unique_name


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("consumer", ["c", "a b", "host:1:ff", "(a)"])
def test_a_name_says_whose_it_is_and_what_is_known(consumer: str, phase: Phase) -> None:
    assert read_owner(owner_of(consumer, phase)) == (consumer, phase)


def test_shelves_are_nobodys() -> None:
    assert [read_owner(shelf) for shelf in SHELVES] == [("", Phase.AGAIN), ("", Phase.HELD)]
    assert owner_of("", Phase.AGAIN) in SHELVES and owner_of("", Phase.HELD) in SHELVES


def test_no_consumer_can_have_a_name_that_says_something_else() -> None:
    for name in ("(delayed)", "(held)", "x (alone)", "x (again)"):
        assert is_reserved(name)
        with pytest.raises(ValueError, match="is taken"):
            Options(streams=["s"], group="g", consumer=name)
    assert not is_reserved("x") and not is_reserved("held")


def test_names_by_default_are_never_the_same() -> None:
    names = [Options(streams=["s"], group="g").consumer for _ in range(100)] + [unique_name() for _ in range(100)]
    assert len(set(names)) == 200
