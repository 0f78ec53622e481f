"""IDs and intervals in arguments."""

import pytest

from broker.commands.streams.arguments import any_id, interval_end, interval_start, shown
from broker.values.streams.ids import MAX_ID, MAX_PART
from protocol.errors import CommandError


def test_intervals() -> None:
    assert interval_start(b"-") == 0
    assert interval_start(b"5") == 5 << 64
    assert interval_start(b"(5-3") == (5 << 64) + 4
    assert interval_end(b"+") == MAX_ID
    assert interval_end(b"5") == 5 << 64 | MAX_PART
    assert interval_end(b"(5-0") == (5 << 64) - 1
    assert any_id(b"7-7") == 7 << 64 | 7
    for bad in (b"(", b"(+", b"(x", b"", b"(18446744073709551615-18446744073709551615"):
        with pytest.raises(CommandError):
            interval_start(bad)
    with pytest.raises(CommandError):
        interval_end(b"(0-0")


def test_names_in_errors_end_at_a_zero_byte() -> None:
    assert shown(b"a\0b") == b"a"
