"""Calls to a broker whose scripts misbehave."""

import time
from pathlib import Path

from tests.oracle.servers import Server
from tests.oracle.wire import CLOSED, SILENT, Connection, encode

LUA_MEMORY = 32 << 20

BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
BUSY_FUNCTION = b"-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n"

PATIENCE = 1.0
"""Seconds that a script may run before it is killed as an operator would kill it."""


def settled(caged: Server, client: Connection, source: str) -> bytes:
    """The reply to a script, which is killed if it goes on for long."""
    client.send(encode(["EVAL", source, "0"]))
    deadline = time.monotonic() + PATIENCE
    while not client.waiting() and time.monotonic() < deadline:
        time.sleep(0.005)
    if not client.waiting():
        other = caged.connect()
        assert other.call("SCRIPT", "KILL") in (b"+OK\r\n", b"-NOTBUSY No scripts in execution right now.\r\n")
        other.close()
    reply = client.receive()
    assert reply not in (CLOSED, SILENT), source
    assert b"internal error" not in reply
    return reply


def answered(client: Connection, *words: str | bytes) -> bytes:
    reply = client.call(*words)
    assert reply not in (CLOSED, SILENT), words
    assert b"internal error" not in reply
    return reply


def evaluated(client: Connection, source: str, *arguments: str) -> bytes:
    return answered(client, "EVAL", source, "0", *arguments)


def resident(server: Server) -> int:
    """The broker's memory in bytes."""
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096


def busy(caged: Server, source: str, *, function: bool = False) -> tuple[Connection, Connection]:
    """A client whose script runs without end, and another, once it has been told BUSY."""
    looping, other = caged.connect(), caged.connect()
    if function:
        code = f"#!lua name=endless\nredis.register_function('endless', function(keys) {source} end)"
        assert other.call("FUNCTION", "LOAD", "REPLACE", code) == b"$7\r\nendless\r\n"
        looping.send(encode(["FCALL", "endless", "1", "key"]))
    else:
        looping.send(encode(["EVAL", source, "0"]))
    deadline = time.monotonic() + 60
    while other.call("GET", "x") != (BUSY_FUNCTION if function else BUSY):
        assert time.monotonic() < deadline, "never busy"
    return looping, other
