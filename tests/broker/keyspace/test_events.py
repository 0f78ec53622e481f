"""The letters of notify-keyspace-events and the classes they choose."""

import pytest

from broker.keyspace.events import (
    ALL,
    KEY_MISS,
    KEYEVENT,
    KEYSPACE,
    LIST,
    NEW,
    OVERWRITTEN,
    STRING,
    format_flags,
    parse_flags,
)


@pytest.mark.parametrize(
    "letters, mask",
    [
        (b"", 0),
        (b"K", KEYSPACE),
        (b"KE", KEYSPACE | KEYEVENT),
        (b"l$", LIST | STRING),
        (b"A", ALL),
        (b"AA", ALL),
        (b"KEAm", KEYSPACE | KEYEVENT | ALL | KEY_MISS),
    ],
)
def test_letters(letters: bytes, mask: int) -> None:
    assert parse_flags(letters) == mask


@pytest.mark.parametrize("letters", [b"q", b"KEq", b" ", b"k", b"\xff"])
def test_unknown_letters(letters: bytes) -> None:
    assert parse_flags(letters) is None


def test_all_leaves_out_what_would_be_noise() -> None:
    assert not ALL & (KEY_MISS | NEW | OVERWRITTEN)


@pytest.mark.parametrize("letters", [b"", b"A", b"g$K", b"xe", b"lshzt", b"AKE", b"AKEm"])
def test_printed_and_parsed_again(letters: bytes) -> None:
    mask = parse_flags(letters)
    assert mask is not None
    assert parse_flags(format_flags(mask)) == mask
