"""The command table beside the reference's: all that COMMAND INFO and COMMAND DOCS say, but not the prose.

Summaries, complexities and notes are our own words about our own code.
"""

import re
from typing import Any

import pytest

import broker.commands
from broker.table.command import DECLARED
from tests.oracle import servers
from tests.oracle.harness import requires
from tests.oracle.wire import Node, parse

assert broker.commands  # declares all commands

# What Redis does not have: these are Valkey's.
OURS_ALONE = {
    "client|capa", "client|import-source", "commandlog", "commandlog|get", "commandlog|help", "commandlog|len",
    "commandlog|reset", "delifeq", "script|show",
}  # fmt: skip
IN_ALL_BROKERS = [name for name, declared in DECLARED.items() if not declared.extension]
# Vector sets and arrays.
NEVER = re.compile(
    r"(v(add|card|dim|emb|getattr|info|ismember|links|randmember|range|rem|setattr|sim)|ar[a-z]+)$", re.I
)
PROSE = {"notes", "summary", "complexity", "arguments", "history", "subcommands"}

pytestmark = requires("8.10")


def value_of(node: Node) -> Any:
    """A reply as plain values; what has no order is a frozenset."""
    if node.kind == "%":
        names = [item.text.decode() for item in node.items[::2]]
        values = [value_of(item) for item in node.items[1::2]]
        return frozenset((name, value) for name, value in zip(names, values, strict=True) if name not in PROSE)
    if node.kind == "~":
        return frozenset(map(value_of, node.items))
    if node.kind == "*":
        return tuple(map(value_of, node.items))
    return node.text.decode()


def kinds(server: servers.Server, name: str) -> tuple[str, int]:
    """What kind of reply the subcommands are, and how many."""
    connection = server.connect()
    try:
        connection.call("HELLO", "3")
        node = parse(connection.call("COMMAND", "INFO", name)).items[0].items[9]
        return node.kind, len(node.items)
    finally:
        connection.close()


def told(server: servers.Server, *words: str) -> Any:
    connection = server.connect()
    try:
        connection.call("HELLO", "3")
        return value_of(parse(connection.call("COMMAND", *words)))
    finally:
        connection.close()


def test_the_table_says_what_redis_says() -> None:
    names = sorted({name.decode() for name in IN_ALL_BROKERS} - OURS_ALONE)
    fields = ("name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications")
    both = (told(server, "INFO", *names) for server in (servers.reference(), servers.broker()))
    for name, theirs, ours in zip(names, *both, strict=True):
        assert isinstance(theirs, tuple) and isinstance(ours, tuple), f"one of the servers does not know {name}"
        assert len(theirs) == len(ours), name
        for field, their_value, our_value in zip(fields, theirs, ours, strict=False):
            assert (name, field, our_value) == (name, field, their_value)


def names(server: servers.Server) -> set[str]:
    """All commands and subcommands."""
    connection = server.connect()
    try:
        return {item.text.decode() for item in parse(connection.call("COMMAND", "LIST")).items}
    finally:
        connection.close()


def test_no_command_is_missing() -> None:
    theirs, ours = (names(server) for server in (servers.reference(), servers.broker()))
    assert {name for name in theirs - ours if not NEVER.match(name)} == set()
    assert ours - theirs == OURS_ALONE


@pytest.mark.parametrize("name", ["get", "publish", "function", "config|get"])
def test_the_kind_of_the_subcommands(name: str) -> None:
    theirs, ours = (kinds(server, name) for server in (servers.reference(), servers.broker()))
    assert (ours[0], bool(ours[1])) == (theirs[0], bool(theirs[1]))


def test_the_documentation_says_what_redis_says() -> None:
    names = sorted({name.decode() for name in IN_ALL_BROKERS if b"|" not in name} - OURS_ALONE)
    theirs, ours = (told(server, "DOCS", *names) for server in (servers.reference(), servers.broker()))
    assert len(theirs) == len(names), "the reference has no documentation of some"
    assert ours == theirs
