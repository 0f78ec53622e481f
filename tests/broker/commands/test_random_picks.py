"""The counts of random picks, and what they pick."""

import pytest

from broker.commands.random_picks import COUNT_RANGE, MAX_DRAWS, pick, pick_arguments
from protocol.errors import NOT_INTEGER, OUT_OF_RANGE, SYNTAX, CommandError

MAX = (1 << 63) - 1


def arguments(text: str) -> list[bytes]:
    return [b"HRANDFIELD", b"key", *text.encode().split()]


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("3", (3, False)),
        ("-3 withValues", (-3, True)),
        (f"{-MAX}", (-MAX, False)),
        (f"{MAX // 2} WITHVALUES", (MAX // 2, True)),
    ],
)
def test_arguments(text: str, given: tuple[int, bool]) -> None:
    assert pick_arguments(arguments(text), b"WITHVALUES") == given


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x y", NOT_INTEGER),
        (f"{-MAX - 1} y", COUNT_RANGE),
        ("1 WITHSCORES", SYNTAX),
        ("1 WITHVALUES x", SYNTAX),
        (f"{MAX} x", SYNTAX),
        (f"{MAX // 2 + 1} WITHVALUES", OUT_OF_RANGE),
        (f"{-(MAX // 2) - 1} WITHVALUES", OUT_OF_RANGE),
    ],
)
def test_errors_of_arguments(text: str, error: bytes) -> None:
    with pytest.raises(CommandError) as raised:
        pick_arguments(arguments(text), b"WITHVALUES")
    assert raised.value.text == error


def test_picks() -> None:
    keys = {b"%d" % n: None for n in range(10)}
    assert len(set(pick(keys, 7))) == 7
    assert sorted(pick(keys, 20)) == sorted(keys)
    drawn = pick(keys, -1000)
    assert len(drawn) == 1000 and set(drawn) == set(keys)
    with pytest.raises(CommandError) as raised:
        pick(keys, -MAX_DRAWS - 1)
    assert raised.value.text == OUT_OF_RANGE
