"""Many calls sent to a broker together, each answered before the next is checked."""

import pytest

import broker.commands
from broker.table.command import BLOCKING, DECLARED, Command
from tests.hostile.calls import POPULATE
from tests.oracle.servers import Server
from tests.oracle.wire import CLOSED, SILENT, Connection, encode

__all__ = ["assert_answered"]

del broker  # imported for its effect: the declarations

MARKER = b"$13\r\nend of a call\r\n"

AT_ONCE = 50
"""Calls sent before their replies are read: few enough that neither side waits for the other to read."""


def populate(connection: Connection) -> None:
    for line in ["FLUSHALL", *POPULATE.strip().split("\n")]:
        if line.split()[0].lower().encode() not in DECLARED:
            continue
        reply = connection.call(*line.split())
        assert not reply.startswith(b"-"), (line, reply)


def answers(connection: Connection, requests: list[bytes]) -> list[list[bytes]]:
    """The replies to each piece of input: those before the reply of the marker that is sent after it."""
    marker = encode(["ECHO", "end of a call"])
    found: list[list[bytes]] = []
    for first in range(0, len(requests), AT_ONCE):
        batch = requests[first : first + AT_ONCE]
        connection.send(b"".join(request + marker for request in batch))
        for request in batch:
            replies: list[bytes] = []
            while (reply := connection.receive()) != MARKER:
                assert reply not in (CLOSED, SILENT), f"{reply!r} to {request[:200]!r}"
                replies.append(reply)
            found.append(replies)
    return found


def shown(call: list[str]) -> str:
    return " ".join(word if len(word) < 50 else f"{word[:20]}... ({len(word)} characters)" for word in call)


def assert_answered(process: Server, connection: Connection, calls: list[list[str]]) -> None:
    """Check that each call gets one reply and none shows a defect; the calls are of one command, the first is valid."""
    populate(connection)
    requests, expected = [encode(call) for call in calls], 1
    if find(calls[0]).flags & BLOCKING:  # in a transaction nothing waits
        requests, expected = [b"MULTI\r\n" + request + b"EXEC\r\n" for request in requests], 3
    faults = [
        f"{shown(call)}: {replies}"
        for call, replies in zip(calls, answers(connection, requests), strict=True)
        if len(replies) != expected or b"internal error" in replies[-1]
    ]
    if faults:
        pytest.fail("\n".join([*faults[:20], process.log()]), pytrace=False)


def find(call: list[str]) -> Command:
    name = call[0].lower().encode()
    subcommand = "|".join(call[:2]).lower().encode()
    return DECLARED.get(subcommand) or DECLARED[name]
