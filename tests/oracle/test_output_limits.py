"""client-output-buffer-limit beside the reference: a reply over the hard limit closes the client, and is counted."""

import pytest

from tests.oracle.harness import CLOSED, pair, requires
from tests.oracle.wire import Connection, parse

pytestmark = requires("8.10")

NO_LIMITS = "CONFIG SET client-output-buffer-limit 'normal 0 0 0'"


def closes(connection: Connection) -> bytes:
    lines = parse(connection.call("INFO", "stats")).text.split(b"\r\n")
    return next(line for line in lines if line.startswith(b"client_output_buffer_limit_disconnections:"))


@pytest.mark.parametrize("limit", [100_000, 300_000, 1_000_000])
@pytest.mark.parametrize(
    "data",
    [b"LRANGE l 0 -1\r\n", b"LRANGE l 0 199\r\n" * 10, b"EVAL \"return redis.call('LRANGE', 'l', 0, -1)\" 0\r\n"],
)
def test_replies_over_the_hard_limit(limit: int, data: bytes) -> None:
    with pair(cleanup=[NO_LIMITS]) as both:
        control, client = both.client(), both.client()
        control.do(["RPUSH", "l", *(b"x" * 100 for _ in range(4000))])
        control.do(f"CONFIG SET client-output-buffer-limit 'normal {limit} 0 0'")
        control.do("CONFIG RESETSTAT")
        told = []
        for connection in (client.theirs, client.ours):
            connection.send(data)
            told.append([connection.receive() for _ in range(data.count(b"\r\n"))])
        assert told[0] == told[1] or (CLOSED in told[0] and CLOSED in told[1])
        assert closes(control.theirs) == closes(control.ours)
