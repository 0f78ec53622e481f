"""`trimaran queues`: the state of the queues, as a table that refreshes itself, or as lines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consumers.commands.naming import kind_of, named_streams, partitions_of
from consumers.commands.other_queues import OtherQueues
from consumers.commands.queue_states import QueueState, find_streams, folded, states
from consumers.commands.running import CommandError, Output, argument_parser, printable, run, seconds
from consumers.connecting import Client
from consumers.console.partitioned import numbers_of_partitions
from consumers.durations import age
from consumers.names import decoded, encoded
from consumers.partitions import partition_streams

DESCRIPTION = """\
Show the server's streams and their consumer groups: how many entries they hold (depth), how many are in hand
(delivered, not acknowledged) or not delivered yet (lag), the age of the oldest unacknowledged entry (in seconds with
--json), and how many dead letters came from there. Queues of Celery, RQ, Dramatiq, arq, BullMQ, Huey, streaQ and taskiq
follow, with the library in place of a group; delayed jobs are part of neither depth nor lag. The partitions of a stream
are added up; --json tells how many there are.

  trimaran queues                       all streams, and the queues of other libraries
  trimaran queues orders 'jobs:*'       only these; for lists only the length is known
  trimaran queues thumbnails            the streams of a job queue, by its own name
  trimaran queues --json --interval 10  one JSON object per line for each, every 10 seconds

On a terminal the table is refreshed until Ctrl-C; elsewhere it is printed once, unless --interval is given."""

INTERVAL = 2.0
FIND_SECONDS = 30.0
"""How often to look for new streams, which scans all keys of the server."""

COLUMNS = ("queue", "group", "depth", "in hand", "lag", "oldest", "dead")


def main(words: Sequence[str]) -> int:
    parser = argument_parser("queues", DESCRIPTION)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="keys, queues, or patterns for the names of streams and queues"
    )
    parser.add_argument("--interval", type=seconds(0.1), metavar="SECONDS", help="from one look to the next (2)")
    parser.add_argument("--once", action="store_true", help="do not refresh")
    return run(_queues, parser.parse_intermixed_args(words), "queues")


async def _queues(client: Client, options: argparse.Namespace, output: Output) -> int:
    finder = _Finder(client, options.names)
    await finder.resolve()
    if output.is_terminal and not options.json:
        await _show(finder, 0.0 if options.once else options.interval or INTERVAL)
        return 0
    while True:
        for state in await finder.states():
            await output.line(json.dumps(asdict(state)) if options.json else "\t".join(_cells(state)))
        if options.interval is None or options.once:
            return 0
        await anyio.sleep(options.interval)


class _Finder:
    """The requested queues. Those of other libraries are looked for, and patterns matched, from time to time."""

    def __init__(self, client: Client, asked: Sequence[str]) -> None:
        self._client = client
        self._names = [name for name in asked if not _is_pattern(name)]
        self._patterns: list[str | None] = [name for name in asked if _is_pattern(name)]
        if not asked:
            self._patterns = [None]
        self._others = OtherQueues(asked)
        self._wholes: dict[str, int] = {}
        self._found: list[str] = []
        self._found_wholes: dict[str, int] = {}
        self._found_at = float("-inf")

    async def resolve(self) -> None:
        """Resolve the names, and check that the patterns match something. Raises CommandError."""
        found: list[str] = []
        for name in self._names:
            if (partitions := await partitions_of(self._client, name)) is not None:
                self._wholes[name] = partitions
                continue
            try:
                found += await named_streams(self._client, name)
                if await kind_of(self._client, name) == "list":
                    # it may be that of another library
                    await self._others.has(self._client, name)
            except CommandError:
                if not await self._others.has(self._client, name):
                    raise
        self._names = list(dict.fromkeys(found))
        if any(pattern is not None for pattern in self._patterns) and not self._names and not self._wholes:
            await self._find()
            if not self._found and not self._others.found:
                raise CommandError(f"no stream matches {' or '.join(printable(one or '') for one in self._patterns)}")

    async def _find(self) -> None:
        await self._others.find(self._client)
        self._found = [
            name
            for pattern in self._patterns
            for name in await find_streams(self._client, pattern)
            if pattern is not None or not self._others.keeps(name)
        ]
        numbers = await numbers_of_partitions(self._client, map(encoded, self._found))
        self._found_wholes = {decoded(name): partitions for name, partitions in numbers.items()}
        self._found_at = anyio.current_time()

    async def states(self) -> list[QueueState]:
        if (self._patterns or self._others.found) and anyio.current_time() - self._found_at > FIND_SECONDS:
            await self._find()
        # a pattern may match only some partitions
        wholes = {**self._wholes, **self._found_wholes}
        parts = [part for name, number in wholes.items() for part in partition_streams(name, number)]
        dead = [f"{name}.dead" for name in self._names]
        dead += [part for name, number in self._wholes.items() for part in partition_streams(f"{name}.dead", number)]
        found = await states(self._client, list(dict.fromkeys([*self._names, *self._found, *parts])), dead)
        return folded(found, wholes, self._names) + await self._others.states(self._client)


def _is_pattern(name: str) -> bool:
    return any(one in name for one in "*?[")


async def _show(finder: _Finder, interval: float) -> None:
    """Draw the table, and redraw it every `interval` seconds, unless that is 0."""
    console = Console()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            live.update(_table(await finder.states()), refresh=True)
            if not interval:
                return
            await anyio.sleep(interval)


def _table(queues: Sequence[QueueState]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=number >= 2)
    for state in queues:
        style = "red" if state.dead else None
        name, *cells = _cells(state)
        if state.partitions is not None:
            name = f"{name} ({state.partitions} partitions)"
        table.add_row(*map(Text, (name, *cells)), style=style)  # Text: a name is not markup
    if not queues:
        table.caption = "no streams"
    return table


def _cells(state: QueueState) -> list[str]:
    dead = f"{state.dead}{'' if state.dead_complete else '+'}"
    return [
        printable(state.queue),
        printable(state.group or state.library or "-"),
        str(state.depth),
        _number(state.in_hand),
        _number(state.lag),
        "-" if state.oldest is None else age(state.oldest),
        dead,
    ]


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
