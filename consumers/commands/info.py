"""`trimaran info`: what the server's INFO says."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from coredis.exceptions import RedisError

from consumers.commands.running import CommandError, Output, argument_parser, printable, run
from consumers.connecting import Client
from consumers.console.asking import ask_node, nodes
from consumers.console.info import parts, sections

DESCRIPTION = """\
Show what a server says about itself, in its own words and order (INFO); of a cluster, each primary in turn.

  trimaran info                         everything
  trimaran info memory clients          these sections
  trimaran info stats --json            one JSON object, by section: numbers, text, and objects for lists of figures"""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?")
"""With leading zeros it is text, such as a hash."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("info", DESCRIPTION)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help="e.g. server, clients, memory, stats (everything)"
    )
    return run(_info, parser.parse_intermixed_args(words), "info")


async def _info(client: Client, options: argparse.Namespace, output: Output) -> int:
    here = nodes(client)
    for node in here:
        (reply,) = await ask_node(client, node, [(b"INFO", *(options.sections or ["everything"]))])
        if isinstance(reply, RedisError):
            raise reply
        found = sections(reply)
        if not found:
            raise CommandError(f"the server has no section {' or '.join(map(printable, options.sections))}")
        place = None if node is None else f"{node.host}:{node.port}"
        if options.json:
            await output.line(json.dumps(_as_data(found) if place is None else {"node": place, **_as_data(found)}))
        else:
            await _print(found, place, output)
    return 0


async def _print(found: Mapping[str, Mapping[str, str]], place: str | None, output: Output) -> None:
    if place is not None:
        await output.line(f"== {place}")
    for number, (title, pairs) in enumerate(found.items()):
        if number:
            await output.line("")
        if title:
            await output.line(f"# {printable(title)}")
        for name, value in pairs.items():
            await output.line(f"{printable(name)}:{printable(value)}")


def _as_data(found: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    return {title.lower(): {name: _value(one) for name, one in pairs.items()} for title, pairs in found.items()}


def _value(text: str) -> Any:
    """A field's value: a number, an object of figures such as calls=1,usec=2, or text."""
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if "=" in text and all("=" in one for one in text.split(",")):
        return {name: _value(one) for name, one in parts(text).items()}
    return text
