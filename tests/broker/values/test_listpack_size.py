"""Sizes of listpack elements, against a small encoder written from the format's description."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.listpack_size import element_size, integer_size, wrapped_integer_size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 2), (127, 2), (128, 3), (4095, 3), (4096, 4), (32767, 4), (32768, 5), (8388607, 5), (8388608, 6),
        (2147483647, 6), (2147483648, 10), (2**63 - 1, 10), (-1, 3), (-4096, 3), (-4097, 4), (-32768, 4),
        (-32769, 5), (-8388608, 5), (-8388609, 6), (-2147483648, 6), (-2147483649, 10), (-(2**63), 10),
    ],
)  # fmt: skip
def test_integers(value: int, size: int) -> None:
    assert integer_size(value) == size
    assert element_size(b"%d" % value) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (b"", 2), (b"a", 3), (b"-", 3), (b"-0", 4), (b"007", 5), (b"+5", 4), (b"1_0", 5), (b"9223372036854775808", 21),
        (b"-9223372036854775809", 22), (b"x" * 63, 65), (b"x" * 64, 67), (b"x" * 125, 128), (b"x" * 126, 130),
        (b"x" * 4095, 4099), (b"x" * 4096, 4103), (b"x" * 16379, 16387), (b"x" * 2097147, 2097156),
    ],
)  # fmt: skip
def test_texts(text: bytes, size: int) -> None:
    assert element_size(text) == size


@given(st.integers(-(2**64), 2**64))
def test_differences_wrap(value: int) -> None:
    wrapped = (value + 2**63) % 2**64 - 2**63
    assert wrapped_integer_size(value) == integer_size(wrapped)
