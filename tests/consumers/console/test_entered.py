"""Bytes that are typed, and what is offered for a change."""

import pytest

from consumers.console.entered import OFFER_LIMIT, Offer, Unreadable, entered, offer, raw


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        "höhe €\n\tx".encode(),
        b"\xff\x00",
        b"a\x00b",
        b"a\r\nb",
        b"\x1b[0m",
        b"\xed\xa0\x80",
        "a\u202eb\u2028".encode(),
    ],
)
def test_what_is_offered_comes_back_as_it_was(data: bytes) -> None:
    found = offer(data)
    assert found is not None
    # as a browser sends it
    sent = found.text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").replace("\0", "\ufffd")
    assert entered(sent, found.notation) == data


def test_large_values_are_not_offered() -> None:
    assert offer(b"x" * OFFER_LIMIT) == Offer("x" * OFFER_LIMIT, "text")
    assert offer(b"x" * (OFFER_LIMIT + 1)) is None


@pytest.mark.parametrize(
    ("text", "notation", "message"),
    [("0g", "hex", "hexadecimal digits"), ("a\0", "text", "control characters"), ("\udcff", "text", "control"),
     ("a\u202eb", "text", "control"), ("a", "nosuch", "no such notation")],
)  # fmt: skip
def test_mistakes(text: str, notation: str, message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        entered(text, notation)


def test_names_in_addresses_are_any_bytes() -> None:
    every = bytes(range(256))
    assert raw(every.decode("utf-8", "surrogateescape")) == every
