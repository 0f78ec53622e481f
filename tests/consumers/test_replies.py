"""The names of the streams at which callers wait. What happens there is tested in streams/test_calling.py."""

import pytest
from coredis.typing import Key

from consumers.replies import announcement, reply_command, reply_key


@pytest.mark.parametrize("stream", ["sums", "{sums}.new", "old.{sums}", "a{b", "{x", "\udcff"])
def test_a_caller_waits_in_the_slot_of_the_stream(stream: str) -> None:
    name = stream.encode("utf-8", "surrogateescape")
    assert Key(reply_key(stream, b"t")).slot == Key(name).slot
    assert reply_key(stream, b"t") != reply_key(stream, b"u")


def test_the_names_say_whose_they_are() -> None:
    assert reply_key("sums", b"t") == b"{sums}:reply:t"
    assert reply_key("{a}:b", b"t") == b"{a}:b:reply:t"


def test_workers_write_only_where_somebody_waits() -> None:
    opened, expiry = announcement("sums", b"t", 1500)
    assert opened[:2] == (b"XADD", b"{sums}:reply:t") and expiry == (b"PEXPIRE", b"{sums}:reply:t", 1500)
    assert reply_command("sums", b"t", b"value", b"7")[1:] == (
        b"{sums}:reply:t", b"NOMKSTREAM", b"*", b"value", b"7",
    )  # fmt: skip
