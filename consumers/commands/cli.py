"""`trimaran cli`: a prompt that sends commands to a server, completes them and explains them."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import anyio
from coredis.exceptions import ConnectionError, RedisError

from consumers.commands.command_docs import CommandDoc, parse_docs
from consumers.commands.json_value import json_value
from consumers.commands.reply_text import plain_lines, shown_lines
from consumers.commands.running import FAILED, CommandError, Output, argument_parser, run
from consumers.connecting import Client
from consumers.connection import Link, open_link
from consumers.names import encoded

DESCRIPTION = """\
Send commands to a server: at a prompt with completion and help, from the arguments, or a line at a time from a pipe.

  trimaran cli                                  a prompt; Tab completes, `help XADD` explains, Ctrl-D ends
  trimaran cli XADD orders '*' total 12         one command; the status is 1 if its reply is an error
  trimaran cli --json XINFO STREAM orders       the reply as JSON
  trimaran cli < commands.txt

Texts are written as in a shell, in quotes where they have spaces. Where the output is no terminal, replies are printed
as they are, a line for each value."""

PUSHED: Final = {
    "SUBSCRIBE": "trimaran tail", "PSUBSCRIBE": "trimaran tail --pattern", "SSUBSCRIBE": "trimaran tail --shard",
    "MONITOR": "redis-cli monitor", "SYNC": "redis-cli --rdb", "PSYNC": "redis-cli --rdb",
}  # fmt: skip
"""What answers without end, and who is made for that."""

STATEFUL: Final = frozenset({"HELLO", "CLIENT REPLY", "SCRIPT DEBUG"})
"""What would change how replies are read."""

ENDS: Final = frozenset({"quit", "exit"})


class Refused(Exception):
    """A line that is not sent; the text says why."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("cli", DESCRIPTION)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="and its arguments")
    return run(_cli, parser.parse_args(words), "cli")


async def _cli(client: Client, options: argparse.Namespace, output: Output) -> int:
    async with open_link(client, "") as link:
        if options.command:
            try:
                reply = await _send(link, options.command)
            except Refused as problem:
                raise CommandError(str(problem)) from None
            await _print(reply, output, as_json=options.json)
            return FAILED if isinstance(reply, RedisError) else 0
        shell = _Shell(link, output, as_json=options.json)
        if sys.stdin.isatty() and output.is_terminal:
            return await shell.prompt()
        return await shell.pipe()


async def _send(link: Link, words: Sequence[str]) -> object:
    """Send a command and return its reply, an error as a RedisError. Raises Refused, or ConnectionError."""
    first, two = words[0].upper(), " ".join(words[:2]).upper()
    if first in PUSHED:
        raise Refused(f"{first} answers without end; `{PUSHED[first]}` is made for it")
    if first in STATEFUL or two in STATEFUL:
        raise Refused(f"{first if first in STATEFUL else two} would change how replies are read here")
    command = tuple(encoded(word) for word in words)
    [reply] = await link.execute([command], limit=math.inf)
    return reply


async def _print(reply: object, output: Output, *, as_json: bool) -> None:
    if as_json:
        await output.line(json.dumps(json_value(reply)))
        return
    for line in (shown_lines if output.is_terminal else plain_lines)(reply):
        await output.line(line)


class _Shell:
    """Lines that are read, sent and answered, one after the other."""

    def __init__(self, link: Link, output: Output, *, as_json: bool) -> None:
        self._link = link
        self._output = output
        self._as_json = as_json
        self._docs: dict[str, CommandDoc] = {}

    async def pipe(self) -> int:
        """Send each line of standard input. The status is 1 if a reply was an error."""
        status = 0
        while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            try:
                words = _words(line)
                reply = await _send(self._link, words) if words else None
            except Refused as problem:
                raise CommandError(str(problem)) from None
            if words:
                await _print(reply, self._output, as_json=self._as_json)
                status = FAILED if isinstance(reply, RedisError) else status
        return status

    async def prompt(self) -> int:
        """Send what is typed, until it ends."""
        try:
            from consumers.commands.cli_prompt import reader
        except ModuleNotFoundError:
            raise CommandError(
                "the prompt needs prompt_toolkit; install it with pip install 'trimaran[ui]', or name a command"
            ) from None

        docs = await _send(self._link, ["COMMAND", "DOCS"])
        if not isinstance(docs, RedisError):
            self._docs = parse_docs(docs)
        read: Callable[[], str | None] = reader(self._docs)
        while True:
            line = await anyio.to_thread.run_sync(read, abandon_on_cancel=True)
            if line is None or line.strip().lower() in ENDS:
                return 0
            try:
                await self._answer(_words(line))
            except (Refused, ConnectionError) as problem:
                await self._output.line(
                    f"(not sent) {problem}" if isinstance(problem, Refused) else f"(lost) {problem}"
                )

    async def _answer(self, words: list[str]) -> None:
        if not words:
            return
        if words[0].lower() in ("help", "?"):
            for line in help_lines(self._docs, words[1:]):
                await self._output.line(line)
            return
        await _print(await _send(self._link, words), self._output, as_json=self._as_json)


def _words(line: str) -> list[str]:
    """Split a line as a shell does. Raises Refused."""
    try:
        return shlex.split(line, comments=False)
    except ValueError as problem:
        raise Refused(str(problem).lower()) from None


def help_lines(docs: Mapping[str, CommandDoc], words: Sequence[str]) -> Iterator[str]:
    """Yield what is known about a command, or about all whose names begin so."""
    wanted = " ".join(words).upper()
    if not wanted:
        yield "help COMMAND explains a command, help @GROUP lists a group of them:"
        yield "  " + ", ".join(sorted({f"@{doc.group}" for doc in docs.values()}))
        return
    if wanted.startswith("@"):
        found = [doc for doc in docs.values() if doc.group.upper() == wanted[1:]]
    else:
        found = [doc for doc in _all(docs) if doc.name == wanted] or [
            doc for doc in _all(docs) if doc.name.startswith(wanted)
        ]
    if not found:
        yield f"nothing is known about {wanted}"
    for doc in sorted(found, key=lambda doc: doc.name):
        yield f"{doc.name} {doc.syntax}".rstrip()
        yield f"  {doc.summary}"
        if len(found) == 1:
            yield (
                f"  {doc.complexity}, since {doc.since}, group {doc.group}"
                if doc.complexity
                else f"  since {doc.since}"
            )


def _all(docs: Mapping[str, CommandDoc]) -> Iterator[CommandDoc]:
    for doc in docs.values():
        yield doc
        yield from doc.subcommands
