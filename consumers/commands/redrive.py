"""`trimaran redrive`: dead letters back to the streams they came from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import aclosing

from consumers.commands.running import Client, Output, argument_parser, positive, printable, run
from consumers.deadletters import DeadLetter, dead_letters, redrive

DESCRIPTION = """\
Give the entries of a dead-letter stream back to the streams they came from, oldest first.

  trimaran redrive orders.dead --dry-run           list them
  trimaran redrive orders.dead --group billing
  trimaran redrive orders.dead --count 100 --to orders.retry

Prints how many were given back. An entry may come back twice when the connection is lost meanwhile."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("redrive", DESCRIPTION)
    parser.add_argument("dead", metavar="DEADSTREAM")
    parser.add_argument("--count", type=positive, metavar="N", help="at most N of them")
    parser.add_argument("--group", help="only those of this consumer group")
    parser.add_argument("--stream", help="only those that came from this stream")
    parser.add_argument("--to", metavar="STREAM", help="give them to this stream instead of where they came from")
    parser.add_argument("--dry-run", action="store_true", help="only list them, with the reason of each")
    return run(_redrive, parser.parse_intermixed_args(words), "redrive")


async def _redrive(client: Client, options: argparse.Namespace, output: Output) -> int:
    def chosen(letter: DeadLetter) -> bool:
        return options.group in (None, letter.group) and options.stream in (None, letter.stream)

    if options.dry_run:
        listed = 0
        async with aclosing(dead_letters(client, options.dead)) as letters:
            async for letter in letters:
                if chosen(letter):
                    listed += 1
                    await output.line(_described(letter, options.json))
                    if listed == options.count:
                        break
        return 0
    done = await redrive(client, options.dead, where=chosen, count=options.count, to=options.to)
    await output.line(json.dumps({"redriven": done}) if options.json else str(done))
    return 0


def _described(letter: DeadLetter, as_json: bool) -> str:
    if as_json:
        return json.dumps(
            {
                "id": letter.id,
                "stream": letter.stream,
                "entry_id": letter.entry_id,
                "group": letter.group,
                "delivery_count": letter.delivery_count,
                "reason": letter.reason,
            }
        )
    parts = (letter.id, letter.stream, letter.entry_id, letter.group, str(letter.delivery_count), letter.reason)
    return "\t".join(map(printable, parts))
