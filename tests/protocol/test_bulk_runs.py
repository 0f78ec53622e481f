"""Runs of bulk strings, pure and compiled."""

from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from protocol import replies
from tests import twins


@twins.both("protocol.bulk_runs", "protocol._bulk_runs")
@given(values=st.lists(st.binary(max_size=12) | st.integers(0, 3000).map(bytes), max_size=40))
def test_a_run_of_bulks_is_each_of_them(module: ModuleType, values: list[bytes]) -> None:
    expected = b"".join(b"$%d\r\n%b\r\n" % (len(value), value) for value in values)
    assert module.bulk_run(values) == expected
    assert replies.bulks(values) == b"*%d\r\n" % len(values) + expected
    assert module.bulk_run(dict.fromkeys(values)) == b"".join(map(replies.bulk, dict.fromkeys(values)))
