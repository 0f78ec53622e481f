"""The audit's lines."""

import logging

import pytest

from consumers.console.access.audit import audit


def test_a_line_says_who_did_what(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "consumers.console.audit"):
        audit("alice", "192.0.2.1", "delete key", key="a b", left_out=None, count=3)
        audit(None, "::1", "x", text="1\naction=forged", long="y" * 300)
    assert caplog.messages == [
        "user=alice address=192.0.2.1 action='delete key' key='a b' count=3",
        f"user=- address=::1 action=x text='1\\naction=forged' long={'y' * 200}...",
    ]
