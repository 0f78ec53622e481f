"""Writes docs/commands.md from the command table (`make docs`).

A test compares the file with this output, so it can't drift from the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import broker.commands  # noqa: F401  (declares all commands)
from broker.table.command import BLOCKING, DECLARED, DENYOOM, EXTENDED, FAST, READONLY, WRITE, Command
from broker.table.syntax import arguments_of, usage

TITLES: Final = {
    "stream": "Streams",
    "list": "Queues: lists",
    "pubsub": "Publish and subscribe",
    "transactions": "Transactions",
    "scripting": "Scripts and functions",
    "generic": "Keys",
    "string": "Strings",
    "hash": "Hashes",
    "set": "Sets",
    "sorted_set": "Sorted sets",
    "geo": "Places",
    "bitmap": "Bitmaps",
    "hyperloglog": "HyperLogLog",
    "connection": "Connection",
    "server": "Server",
    "cluster": "Cluster",
}

_SHOWN: Final = {WRITE: "write", READONLY: "read", BLOCKING: "blocking", DENYOOM: "grows", FAST: "fast"}

_HEAD: Final = """\
# Commands

All commands of this broker, generated from its command table (`make docs`). Each takes the options and returns the
replies and errors of Redis 8.10. *since* is the Redis version that introduced the command. *grows* marks commands that
are refused when the broker is out of memory. *extension* marks what exists, or has all its
options, only with `stream-extensions yes` (policies.md).
"""


def lines() -> Iterator[str]:
    """Yields the page line by line."""
    yield from _HEAD.splitlines()
    groups = {command.group for command in DECLARED.values()}
    for group in [*TITLES, *sorted(groups - TITLES.keys())]:
        members = sorted((c for c in DECLARED.values() if c.group == group), key=lambda c: c.name)
        if members:
            yield ""
            yield f"## {TITLES.get(group, group)}"
            yield ""
            yield "| command | arguments | what it does | | complexity | since |"
            yield "|---|---|---|---|---|---|"
            yield from (_row(EXTENDED.get(command.name, command)) for command in members)


def _row(command: Command) -> str:
    name = command.name.decode().upper().replace("|", " ")
    marks = " ".join(word for flag, word in _SHOWN.items() if command.flags & flag)
    marks = f"{marks} extension" if command.extension else marks
    arguments = usage(arguments_of(command.syntax))
    cells = [
        f"`{name}`",
        f"`{arguments}`" if arguments else "",
        command.summary,
        marks,
        command.complexity,
        command.since,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Prints the page."""
    print("\n".join(lines()))
