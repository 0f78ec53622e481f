"""The compression within dumps, and its compiled twin."""

import random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.packed import lzf
from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.formats.packed.lzf")
BOTH = twins.both("broker.formats.packed.lzf", "broker.formats.packed._lzf")

TEXTS = st.one_of(
    st.binary(max_size=300),
    st.text("ab", max_size=600).map(str.encode),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 500)).map(lambda pair: pair[0] * pair[1]),
)


@given(TEXTS)
def test_round_trip_and_twins_agree(text: bytes) -> None:
    packed = lzf.compress(text)
    assert PURE.compress(text) == packed
    if packed is not None:
        assert len(packed) < len(text) - lzf.WORTH_IT
        assert len(text) <= len(packed) * lzf.MAX_RATIO
        assert lzf.decompress(packed, len(text)) == PURE.decompress(packed, len(text)) == text


def test_distances_and_lengths_at_their_edges() -> None:
    block = random.Random(3).randbytes(300)
    for gap in (0, 1, 7880, 7892, 7893, 8191, 8192, 9000):
        text = block + random.Random(gap).randbytes(gap) + block
        packed = lzf.compress(text)
        assert packed == PURE.compress(text)
        assert packed is None or lzf.decompress(packed, len(text)) == text


@BOTH
@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (b"", b""),
        (b"\0a", b"a"),
        (b"\x02abc", b"abc"),
        (b"\0a\x20\0", b"aaaa"),  # three bytes from one byte back
        (b"\x01ab\xe0\x00\x01", b"ab" + b"ab" * 4 + b"a"),
        (b"\0a\xe0\xff\0", b"a" * 265),
    ],
)
def test_decompress(module: ModuleType, packed: bytes, text: bytes) -> None:
    assert module.decompress(packed, len(text)) == text


@BOTH
@pytest.mark.parametrize(
    ("packed", "size"),
    [
        (b"\0a", 0),
        (b"\0a", 2),
        (b"\0a", -1),
        (b"\0a", 1 << 60),
        (b"\x05abc", 6),
        (b"\0a\x20", 4),
        (b"\0a\xe0", 4),
        (b"\0a\xe0\1", 11),
        (b"\x20\0", 3),
        (b"\0a\x20\1", 4),
        (b"", 1),
    ],
)
def test_damage(module: ModuleType, packed: bytes, size: int) -> None:
    # The pure module's own error is another class of the same name.
    with pytest.raises(ValueError) as caught:
        module.decompress(packed, size)
    assert type(caught.value).__name__ == "BadCompression"


def test_not_worth_it() -> None:
    assert lzf.compress(b"abcd") is None
    assert lzf.compress(bytes(range(256))) is None
    assert PURE.compress(b"a" * ((1 << 18) + 1)) is None
