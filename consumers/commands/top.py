"""`trimaran top`: the server and its queues in a terminal, refreshing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

import anyio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consumers.commands.running import Output, argument_parser, printable, run, seconds
from consumers.commands.server_figures import Overview, overview
from consumers.connecting import Client
from consumers.console.labels import size
from consumers.console.queues.discovery import Discovery
from consumers.console.queues.library import Figures
from consumers.durations import age

DESCRIPTION = """\
Show how a server is doing and how many jobs its queues have, until Ctrl-C: our own queues, and those of Celery, RQ,
Dramatiq, arq, BullMQ, Huey, streaQ and taskiq. The fullest queues come first; a figure that a library does not tell is
a dash, one that was extrapolated has a tilde.

  trimaran top
  trimaran top --interval 10
  trimaran top --once                   one look, as text; elsewhere than on a terminal that is the default
  trimaran top --once --json            one JSON object

Queues are found by SCAN, a bounded number of keys for each look, so on a large server some appear later."""

INTERVAL = 2.0
LOOKS_PER_SECONDS = 10.0
"""How often to look for further queues."""

SHARE = 0.1
"""The share of time that asking may take: the next look waits if the server is slow, or has very many queues."""

COLUMNS = ("library", "queue", "waiting", "running", "delayed", "dead", "done", "oldest", "workers", "")
SHOWN = 200
"""Queues in a table that is printed once; a terminal shows what fits."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("top", DESCRIPTION)
    parser.add_argument(
        "--interval",
        type=seconds(0.5),
        default=INTERVAL,
        metavar="SECONDS",
        help="from one look to the next (%(default)g)",
    )
    parser.add_argument("--once", action="store_true", help="look once, at all keys")
    return run(_top, parser.parse_intermixed_args(words), "top")


async def _top(client: Client, options: argparse.Namespace, output: Output) -> int:
    discovery = Discovery()
    if options.once or options.json or not output.is_terminal:
        await discovery.look_at_all(client)
        server, queues = await overview(client), await discovery.figures(client)
        if options.json:
            await output.line(json.dumps({"server": asdict(server), "queues": [asdict(one) for one in queues]}))
        else:
            for line in _lines(server, queues, discovery):
                await output.line(line)
        return 0
    await _show(client, discovery, options.interval)
    return 0


async def _show(client: Client, discovery: Discovery, interval: float) -> None:
    console = Console()
    looked = float("-inf")
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            begun = anyio.current_time()
            if begun - looked > LOOKS_PER_SECONDS or not discovery.laps:
                await discovery.look(client)
                looked = begun
            server, queues = await overview(client), await discovery.figures(client)
            live.update(
                drawn(server, queues, discovery, max(1, console.height - len(_facts(server)) - 3)), refresh=True
            )
            taken = anyio.current_time() - begun
            await anyio.sleep(max(interval - taken, taken / SHARE, 0.0))


def drawn(server: Overview, queues: Sequence[Figures], discovery: Discovery, rows: int) -> Group:
    """What is on the screen: facts about the server, and as many queues as there are rows."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(server):
        facts.add_row(Text(name, style="bold"), Text(value))
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True, overflow="ellipsis")
    chosen = _fullest(queues)
    for one in chosen[:rows]:
        table.add_row(*map(Text, _cells(one, discovery)), style="red" if one.dead else "yellow" if one.paused else None)
    left = len(chosen) - rows
    more = f"{left} more queues" if left > 0 else "" if chosen else "no queues"
    return Group(facts, Text(), table, Text(more, style="dim"))


def _lines(server: Overview, queues: Sequence[Figures], discovery: Discovery) -> list[str]:
    """The same as lines with tabs."""
    chosen = _fullest(queues)
    lines = ["\t".join(pair) for pair in _facts(server)]
    lines += ["", "\t".join(one or "paused" for one in COLUMNS)]
    lines += ["\t".join(one or "-" for one in _cells(figures, discovery)) for figures in chosen[:SHOWN]]
    return [*lines, f"{len(chosen) - SHOWN} more queues"] if len(chosen) > SHOWN else lines


def _fullest(queues: Sequence[Figures]) -> list[Figures]:
    return sorted(queues, key=lambda one: (-one.waiting, -(one.running or 0), one.library, one.name))


def _cells(one: Figures, discovery: Discovery) -> list[str]:
    about = "" if one.exact else "~"
    counts = (one.waiting, one.running, one.delayed, one.dead, one.done)
    return [
        discovery.libraries[one.library].title,
        printable(one.name),
        *("-" if count is None else f"{about}{count}" for count in counts),
        "-" if one.oldest is None else age(one.oldest),
        "-" if one.workers is None else str(one.workers),
        "paused" if one.paused else "",
    ]


def _facts(server: Overview) -> list[tuple[str, str]]:
    """The server's figures in words."""
    memory = size(server.memory)
    if server.memory_limit:
        memory += f" of {size(server.memory_limit)}"
    hits = "" if server.hits is None else f", {server.hits:.1f}% of reads found their key"
    facts = [
        ("server", f"{server.kind} {server.version}, up {age(server.uptime)}"),
        ("clients", f"{server.clients}, {server.blocked} of them wait"),
        ("commands", f"{server.commands:,.0f} a second{hits}"),
        ("network", f"{size(server.received)}/s in, {size(server.sent)}/s out"),
        ("memory", f"{memory}, {server.keys:,} keys, {server.evicted:,} evicted"),
        ("files", server.stored),
        ("replication", server.replication),
    ]
    if server.busiest:
        facts.append(("busiest", ", ".join(f"{name} {share:.0f}%" for name, share in server.busiest)))
    return [(name, printable(value)) for name, value in facts]
