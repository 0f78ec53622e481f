"""Digests and conditions on strings."""

import pytest

from broker.commands.strings.conditions import CONDITIONS, condition_met, digest
from protocol.errors import CommandError


def test_digest() -> None:
    assert digest(b"") == b"2d06800538d394c2"
    assert digest(bytearray(b"abc")) == digest(b"abc") == b"78af5f94892f3950"


@pytest.mark.parametrize(
    ("operand", "met"),
    [
        (b"abc", [True, False, None, None]),
        (b"78AF5f94892f3950", [False, True, True, False]),
        (b"zzzzzzzzzzzzzzzz", [False, True, False, True]),
    ],
)
def test_conditions(operand: bytes, met: list[bool | None]) -> None:
    for condition, expected in zip(CONDITIONS, met, strict=True):
        if expected is None:
            with pytest.raises(CommandError, match="must be exactly 16 hexadecimal characters"):
                condition_met(condition, operand, b"abc")
        else:
            assert condition_met(condition, operand, bytearray(b"abc")) is expected
