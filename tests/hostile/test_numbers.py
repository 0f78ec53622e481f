"""Numbers at and past the edges, in every numeric argument of every command: each call is answered.

The broker is a process of its own here, so that a call that never ends fails its test instead of the test run.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.config import Config
from broker.table.command import DECLARED, Command
from tests.hostile.calls import CALLS, EXTREMES, replaced
from tests.hostile.exchange import assert_answered
from tests.oracle.servers import Server
from tests.oracle.wire import Connection

NOT_CALLED = {
    # They end or take over the connection, and take no numbers.
    "quit", "monitor", "sync", "subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe",
    "sunsubscribe", "client|reply", "multi", "exec", "discard",
    # They stop or pause the broker, or connect it to another one.
    "shutdown", "client|pause", "client|kill", "replicaof", "slaveof", "failover", "psync", "migrate", "replconf",
}  # fmt: skip

KEYS = {
    "list": "l", "hash": "h", "set": "t", "sorted_set": "z", "stream": "x", "geo": "g", "hyperloglog": "p",
}  # fmt: skip


def test_calls_are_of_commands_that_exist() -> None:
    assert {call[0] for call in CALLS if call[0].lower().encode() not in DECLARED} == set()


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_extremes_in_place_of_each_number(process: Server, connection: Connection, call: list[str]) -> None:
    assert_answered(process, connection, [call, *replaced(call)])


def made_up(command: Command) -> Iterator[list[str]]:
    """Calls by the command's arity alone: its keys where they belong, and one extreme among ones elsewhere."""
    names = command.name.decode().split("|")
    key = KEYS.get(command.group, "s")
    least = max(command.min_args, len(names))
    for size in range(least, min(command.max_args, least + 3) + 1):
        base = [*names, *["1"] * (size - len(names))]
        keys = set(command.key_positions([word.encode() for word in base]))
        base = [key if i in keys else word for i, word in enumerate(base)]
        yield base
        for i in range(len(names), size):
            for extreme in EXTREMES:
                yield [*base[:i], extreme, *base[i + 1 :]]


CONTAINERS = {name.partition(b"|")[0] for name in DECLARED if b"|" in name}
NAMES = sorted(
    name.decode()
    for name in DECLARED
    if name.decode() not in NOT_CALLED
    and name not in CONTAINERS
    and not name.startswith(b"debug|")  # there to disturb: DEBUG SLEEP, DEBUG SEGFAULT, ...
)


@pytest.mark.parametrize("name", NAMES)
def test_made_up_arguments(process: Server, connection: Connection, name: str) -> None:
    assert_answered(process, connection, list(made_up(DECLARED[name.encode()])))
    connection.call("RESET")


@pytest.mark.parametrize("seconds", EXTREMES)
def test_pause(process: Server, connection: Connection, seconds: str) -> None:
    """A pause of any length is answered, and can be ended."""
    reply = connection.call("CLIENT", "PAUSE", seconds, "WRITE")
    assert reply == b"+OK\r\n" or reply.startswith(b"-ERR")
    assert connection.call("CLIENT", "UNPAUSE") == b"+OK\r\n"
    assert connection.call("SET", "k", "v") == b"+OK\r\n"


def test_directives(process: Server, connection: Connection) -> None:
    """CONFIG SET of every directive that has a number; each goes back to what it was."""
    config = Config()
    for name, value in config.get([b"*"]):
        if not re.fullmatch(rb"[0-9. ]+", value) or name in (b"port", b"tls-port"):
            continue
        for extreme in EXTREMES:
            reply = connection.call("CONFIG", "SET", name, extreme)
            assert reply == b"+OK\r\n" or reply.startswith(b"-ERR CONFIG SET failed"), (name, extreme, reply)
            assert connection.call("PING") == b"+PONG\r\n"
        reply = connection.call("CONFIG", "SET", name, value)
        assert reply == b"+OK\r\n" or b"immutable" in reply, (name, reply)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to read the memory in use")
def test_memory_after_all_that(process: Server) -> None:
    """No call made the broker reserve memory by a number's mere size."""
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
    assert peak < 400_000
