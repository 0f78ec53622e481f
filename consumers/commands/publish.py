"""`trimaran publish`: messages to a channel, or entries to a stream."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import anyio
from coredis.tokens import PureToken

from consumers.commands.naming import partitions_of
from consumers.commands.running import CommandError, Output, argument_parser, positive, printable, run
from consumers.connecting import Client
from consumers.fanout import publish_many
from consumers.partitions import partition_of, partition_stream

DESCRIPTION = """\
Publish a message to a channel, or add an entry to a stream.

  trimaran publish news hello
  producer | trimaran publish news                        each line is a message
  trimaran publish --stream orders customer=7 total=12
  producer | trimaran publish --stream orders             each line is a JSON object of fields
  trimaran publish --stream orders --partition-by customer customer=7 total=12

Prints how many subscribers received the message, or the entry's ID; for lines, how many were published."""

CHUNK = 65536


def main(words: Sequence[str]) -> int:
    parser = argument_parser("publish", DESCRIPTION)
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="where to publish, without --stream")
    parser.add_argument("data", nargs="*", metavar="DATA", help="the message, or FIELD=VALUE of an entry")
    parser.add_argument("--stream", metavar="STREAM", help="add an entry to this stream")
    parser.add_argument("--maxlen", type=positive, metavar="N", help="trim the stream to about N entries")
    parser.add_argument(
        "--partition-by", metavar="FIELD", help="of a stream with partitions: the field that chooses one"
    )
    parser.add_argument("--shard", action="store_true", help="the channel is a shard channel")
    options = parser.parse_intermixed_args(words)
    if options.stream is not None:
        # then the first argument is not a channel
        options.data = [*([options.channel] if options.channel is not None else []), *options.data]
        for pair in options.data:
            if "=" not in pair:
                parser.error(f"{pair!r} is not FIELD=VALUE")
    elif options.channel is None:
        parser.error("name a CHANNEL or a --stream")
    elif len(options.data) > 1:
        parser.error("a message is one argument: put it in quotes")
    return run(_publish, options, "publish")


async def _publish(client: Client, options: argparse.Namespace, output: Output) -> int:
    place = await _place(client, options)
    if options.data:
        (result,) = await _send(client, options, place, [_message(options)])
        name = "id" if options.stream is not None else "receivers"
        text = result.decode() if isinstance(result, bytes) else result
        await output.line(json.dumps({name: text}) if options.json else str(text))
        return 0
    count = 0
    async with aclosing(_input()) as chunks:
        async for lines in chunks:
            messages = [_parsed(options, line) for line in lines if line or options.stream is None]
            count += len(await _send(client, options, place, messages))
    await output.line(json.dumps({"published": count}) if options.json else str(count))
    return 0


def _message(options: argparse.Namespace) -> Any:
    if options.stream is None:
        return os.fsencode(options.data[0])
    return {os.fsencode(name): os.fsencode(value) for name, _, value in (pair.partition("=") for pair in options.data)}


def _parsed(options: argparse.Namespace, line: bytes) -> Any:
    if options.stream is None:
        return line
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not fields:
        raise CommandError(f"not a JSON object of fields: {line[:100]!r}")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}


async def _place(client: Client, options: argparse.Namespace) -> Callable[[Any], str]:
    """Return what tells the stream, or its partition, to which an entry goes. Raises CommandError."""
    stream, field = options.stream, options.partition_by
    partitions = None if stream is None else await partitions_of(client, stream)
    if partitions is None:
        if field is not None:
            raise CommandError("--partition-by is for streams with partitions")
        return lambda entry: str(stream)
    if field is None:
        raise CommandError(
            f"{printable(stream)} has {partitions} partitions: --partition-by names the field that chooses one"
        )

    def place(entry: Mapping[str | bytes, str | bytes]) -> str:
        value = entry.get(field, entry.get(os.fsencode(field)))
        if value is None:
            raise CommandError(f"an entry has no field {printable(field)}, which chooses its partition")
        return partition_stream(stream, partition_of(value, partitions))

    return place


async def _send(
    client: Client, options: argparse.Namespace, place: Callable[[Any], str], messages: list[Any]
) -> list[Any]:
    """Send all in one round trip; returns the replies."""
    if options.stream is None and not options.shard:
        return list(await publish_many(client, [(options.channel, message) for message in messages]))
    trim: dict[str, Any] = {}
    if options.maxlen is not None:
        trim = {
            "trim_strategy": PureToken.MAXLEN,
            "trim_operator": PureToken.APPROXIMATELY,
            "threshold": options.maxlen,
        }
    async with client.pipeline(transaction=False) as pipeline:
        replies: list[Any] = []
        for message in messages:
            if options.stream is not None:
                replies.append(pipeline.xadd(place(message), message, **trim))
            else:
                replies.append(pipeline.spublish(options.channel, message))
    return [await reply for reply in replies]


async def _input() -> AsyncGenerator[list[bytes], None]:
    """Yield standard input's lines as they arrive, all lines of a read together."""
    rest = b""
    while data := await anyio.to_thread.run_sync(os.read, sys.stdin.fileno(), CHUNK, abandon_on_cancel=True):
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]
