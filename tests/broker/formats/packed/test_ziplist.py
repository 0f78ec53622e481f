"""Ziplists, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.packed import ziplist
from broker.formats.packed.ziplist import BadZiplist
from tests.broker.persistence import payloads

ELEMENTS = st.one_of(st.binary(max_size=300), st.integers(-(2**63), 2**63 - 1), st.integers(-20, 20))


def _texts(elements: "list[bytes | int]") -> list[bytes]:
    return [element if isinstance(element, bytes) else b"%d" % element for element in elements]


@given(st.lists(ELEMENTS, max_size=20))
def test_elements(elements: "list[bytes | int]") -> None:
    assert ziplist.decode(payloads.ziplist(*elements)) == _texts(elements)


def test_all_widths() -> None:
    elements: list[bytes | int] = [*payloads.INTEGERS, *payloads.TEXTS, *payloads.INTEGERS]
    assert ziplist.decode(payloads.ziplist(*elements)) == _texts(elements)
    assert ziplist.decode(payloads.ziplist(*elements, count=65535)) == _texts(elements)


def test_at_most() -> None:
    assert len(ziplist.decode(payloads.ziplist(1, 2, 3), 3)) == 3
    with pytest.raises(BadZiplist):
        ziplist.decode(payloads.ziplist(1, 2, 3), 2)


def test_cut_anywhere() -> None:
    blob = payloads.ziplist(*payloads.INTEGERS, b"text")
    for size in range(len(blob)):
        with pytest.raises(BadZiplist):
            ziplist.decode(blob[:size])


@pytest.mark.parametrize("at", [0, 4, 8, 10, 11])
def test_damage(at: int) -> None:
    """Its length, where its last element begins, the number of elements, the length of none, an encoding."""
    blob = bytearray(payloads.ziplist(b"a", 7))
    blob[at] ^= 0x80
    with pytest.raises(BadZiplist):
        ziplist.decode(bytes(blob))
