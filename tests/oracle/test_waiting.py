"""WAIT and WAITAOF without replicas and without a journal."""

import pytest

from tests.oracle.harness import same


@pytest.mark.parametrize(
    "command",
    [
        "WAIT 0 0", "WAIT -1 0", "WAIT 1 20", "WAIT x 0", "WAIT 1 x", "WAIT 1 -1",
        "WAIT 1 9223372036854775807", "WAIT 1", "WAIT", "WAIT x -1", "WAIT 0 -1", "WAIT 1 1",
        "WAITAOF 0 0 0", "WAITAOF 0 0 10", "WAITAOF 0 1 20", "WAITAOF 1 0 0", "WAITAOF 2 0 0", "WAITAOF -1 0 0",
        "WAITAOF x 0 0", "WAITAOF 0 x 0", "WAITAOF 0 -1 0", "WAITAOF 0 0 x", "WAITAOF 0 0 -1", "WAITAOF 1 -1 0",
        "WAITAOF 0 9223372036854775808 0", "WAITAOF 9223372036854775808 0 0", "WAITAOF 0 0",
    ],
)  # fmt: skip
def test_replies(command: str) -> None:
    same(["SET k v", command])


def test_inside_a_transaction_nothing_waits() -> None:
    same(["MULTI", "SET k v", "WAIT 3 0", "WAITAOF 0 3 0", "EXEC"])
