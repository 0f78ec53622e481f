"""The arguments of all commands as COMMAND DOCS tells them, beside the reference's.

Clients draw their hints, checks and completions from these trees: redis-cli shows them behind the cursor.
"""

from functools import cache

import pytest

import broker.commands
from broker.table.command import DECLARED
from tests.oracle import servers
from tests.oracle.harness import requires
from tests.oracle.wire import Node, parse

assert broker.commands  # declares all commands

# Valkey's commands, which the reference lacks.
OURS_ALONE = {
    b"client|capa", b"client|import-source", b"commandlog", b"commandlog|get", b"commandlog|help", b"commandlog|len",
    b"commandlog|reset", b"delifeq", b"script|show",
}  # fmt: skip
NAMES = sorted({name for name, declared in DECLARED.items() if not declared.extension} - OURS_ALONE)

pytestmark = requires("8.10")


@cache
def documentation(whose: str, resp: str) -> dict[bytes, Node]:
    """What "reference" or "broker" tells about each of our commands."""
    server = servers.reference() if whose == "reference" else servers.broker()
    connection = server.connect()
    try:
        connection.call("HELLO", resp)
        reply = parse(connection.call("COMMAND", "DOCS", *NAMES))
    finally:
        connection.close()
    return pairs(reply)


def pairs(reply: Node) -> dict[bytes, Node]:
    """A map by its keys; in RESP2 it is an array."""
    return {name.text: value for name, value in zip(reply.items[::2], reply.items[1::2], strict=True)}


def arguments(command: Node) -> Node | None:
    """The reply's part that tells the arguments, without the prose in it; None where a command takes none."""
    found = pairs(command).get(b"arguments")
    return found and _each_without_prose(found)


def _each_without_prose(arguments: Node) -> Node:
    return Node(arguments.kind, items=tuple(map(_without_prose, arguments.items)))


def _without_prose(argument: Node) -> Node:
    """The argument's map in its order, but for the summary: a sentence that Redis adds to four arguments."""
    kept: list[Node] = []
    for name, value in zip(argument.items[::2], argument.items[1::2], strict=True):
        if name.text == b"arguments":
            kept += (name, _each_without_prose(value))
        elif name.text != b"summary":
            kept += (name, value)
    return Node(argument.kind, items=tuple(kept))


@pytest.mark.parametrize("resp", ["2", "3"])
def test_arguments_are_those_of_redis(resp: str) -> None:
    theirs, ours = (documentation(whose, resp) for whose in ("reference", "broker"))
    assert {name: arguments(ours[name]) for name in NAMES} == {name: arguments(theirs[name]) for name in NAMES}
