"""The table of directives."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import broker
from broker.config import Config, ConfigFileError, load
from broker.config.directives import BY_NAME, FORGOTTEN, PROCESS_ONLY, TABLE
from broker.config.valkey import SYNONYMS
from protocol.errors import CommandError


def test_names_are_attributes_with_dashes() -> None:
    config = Config()
    for name, directive in TABLE.items():
        assert name == directive.attribute.replace("_", "-")
        assert hasattr(config, directive.attribute)


def test_aliases_name_other_directives() -> None:
    for name, directive in BY_NAME.items():
        assert name in (directive.name, directive.alias) or SYNONYMS[name] == directive.name
    assert BY_NAME["slave-read-only"] is BY_NAME["replica-read-only"]
    assert len(BY_NAME) == len(TABLE) + len(SYNONYMS) + sum(1 for directive in TABLE.values() if directive.alias)


def test_forgotten_directives_are_not_in_the_table() -> None:
    assert not FORGOTTEN & set(BY_NAME)


def test_every_default_reads_back_from_its_own_text() -> None:
    for name, directive in TABLE.items():
        text = directive.text(directive.default)
        if name in ("dir", "replicaof"):
            continue
        words = text.split() if directive.several else [text]
        words = words or [b""]
        assert directive.parse(words, directive.default) == directive.default, name


REPORTS = ("commands/server/info.py", "commands/server/info_sections.py", "commands/server/info_process.py")
"""Modules that show values to clients: that alone is no effect."""

OF_THE_START = ("cli.py", "startup_log.py")
"""Modules that run once: what only they read must be immutable, or they must listen to its changes."""

OF_A_PROCESS = frozenset(
    {"cli.py", "hosting.py", "console_process.py", "startup_log.py", "config/reading.py"}  # modules
    | {"serve", "_serve", "_obey_signals"}  # functions of server.py
)
"""What runs only where the broker is a process of its own."""

OF_REPORTS = {"latency_tracking_info_percentiles"}
"""Directives whose effect is what a report computes."""

HOLDERS = ("config", "options", "limits")
"""How variables and attributes that hold a Config end, also where a module knows it as a Protocol of a few values."""


def is_config(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.endswith(HOLDERS)


@functools.cache
def directives_read(without: frozenset[str] = frozenset()) -> frozenset[str]:
    """The attributes that something acts on: `config.name` is read, or `on_change("name", ...)` listens.

    Reading once what CONFIG SET can change is not enough. without: modules and functions that don't count.
    """
    changeable = {directive.attribute for directive in TABLE.values() if not directive.immutable}
    root = Path(broker.__file__).parent
    found: set[str] = set()
    for path in root.rglob("*.py"):
        if path.relative_to(root).as_posix() in without.union(REPORTS):
            continue
        text = path.read_text()
        listens = ".on_change(" in text
        for node in _nodes(ast.parse(text), without):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                # Config itself reads what decides on CONFIG SET.
                if path.name in OF_THE_START and node.attr in changeable:
                    continue
                if is_config(node.value) or (path.name == "live.py" and isinstance(node.value, ast.Name)):
                    found.add(node.attr)
            elif listens and isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in TABLE:
                found.add(TABLE[node.value].attribute)
    return frozenset(found)


def _nodes(tree: ast.AST, without: frozenset[str]) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if getattr(node, "name", None) not in without:
            yield node
            yield from _nodes(node, without)


def test_what_only_a_process_of_its_own_reads_is_known() -> None:
    """So that a program which sets it is told so."""
    only_there = directives_read() - directives_read(OF_A_PROCESS)
    assert {name for name, directive in TABLE.items() if directive.attribute in only_there} == PROCESS_ONLY


def test_a_directive_that_nothing_reads_says_that_it_has_no_effect() -> None:
    read = directives_read() | OF_REPORTS
    unread = {name for name, directive in TABLE.items() if not directive.inert and directive.attribute not in read}
    assert unread == set()


def test_a_directive_with_an_effect_is_not_said_to_have_none() -> None:
    read = directives_read()
    idle = {name: directive for name, directive in TABLE.items() if directive.inert is True}
    assert {name for name, directive in idle.items() if directive.attribute in read} == set()


def test_what_would_promise_too_much_is_refused_at_the_start_and_later() -> None:
    name, value, reason = "rdma-port", "7000", "RDMA is not supported"
    config = Config()
    with pytest.raises(CommandError) as raised:
        config.set([(name.encode(), value.encode())])
    assert raised.value.text.decode() == (f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    with pytest.raises(ConfigFileError, match=f": {reason}$"):
        load(config, [f"--{name}".encode(), value.encode()])
    default = TABLE[BY_NAME[name].name]
    fresh = Config()
    fresh.set([(name.encode(), default.text(default.default))])
    assert getattr(fresh, default.attribute) == default.default
