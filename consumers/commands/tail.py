"""`trimaran tail`: shows what is published to a channel or added to a stream, as it arrives."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from consumers.commands.naming import partitions_of
from consumers.commands.running import Output, argument_parser, positive, printable, run
from consumers.connecting import Client
from consumers.fanout import Gap, Message, subscribe
from consumers.streams import PartitionedReplay, Replay, partition_streams
from consumers.streams.replay import Recorded

DESCRIPTION = """\
Print what is published to a channel or added to a stream, until Ctrl-C.

  trimaran tail news                       a channel, unless there is a stream with that name
  trimaran tail --pattern 'prices.*'
  trimaran tail orders                     a stream: its last 10 entries, then new ones
                                           (one with partitions: of all of them, each after its partition's name)
  trimaran tail -n 0 --count 1 orders      print the next entry, then end
  trimaran tail --no-follow -n 100 orders --json

A message is printed as it is, for a pattern after its channel; an entry as its ID and FIELD=VALUE pairs, separated by
tabs. Control characters, and bytes that are not UTF-8, are printed as escapes."""

BUFFER = 10_000
"""Messages that may wait for a slow reader of the output before the oldest are dropped (which is reported)."""

LAST = 10
PAGE = 100


def main(words: Sequence[str]) -> int:
    parser = argument_parser("tail", DESCRIPTION)
    parser.add_argument("name", metavar="STREAM|CHANNEL", help="its name, or a pattern of channels")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--stream", dest="kind", action="store_const", const="stream", help="it is a stream")
    kind.add_argument("--channel", dest="kind", action="store_const", const="channel", help="it is a channel")
    kind.add_argument("--pattern", dest="kind", action="store_const", const="pattern", help="it is a pattern")
    kind.add_argument("--shard", dest="kind", action="store_const", const="shard", help="it is a shard channel")
    parser.add_argument("-n", "--last", type=_count, metavar="N", default=LAST, help=f"begin N entries back ({LAST})")
    parser.add_argument("--no-follow", dest="follow", action="store_false", help="end at the stream's end")
    parser.add_argument("--count", type=positive, metavar="N", help="end after N messages or entries")
    return run(_tail, parser.parse_intermixed_args(words), "tail")


def _count(text: str) -> int:
    return 0 if text == "0" else positive(text)


async def _tail(client: Client, options: argparse.Namespace, output: Output) -> int:
    exists = await client.type(options.name) in (b"stream", "stream")
    partitions = None
    if not exists and options.kind in (None, "stream"):
        partitions = await partitions_of(client, options.name)
    kind = options.kind or ("stream" if exists or partitions else "channel")
    left = options.count or sys.maxsize
    if partitions is not None:
        await _partitions(client, options, output, left, partitions)
    elif kind == "stream":
        await _entries(client, options, output, left)
    else:
        await _messages(client, options, output, kind, left)
    return 0


async def _messages(client: Client, options: argparse.Namespace, output: Output, kind: str, left: int) -> None:
    names: dict[str, list[str]] = {"channel": [], "pattern": [], "shard": []}
    names[kind].append(options.name)
    async with subscribe(
        client, *names["channel"], patterns=names["pattern"], shard_channels=names["shard"], size=BUFFER
    ) as subscription:
        async for event in subscription.events():
            if isinstance(event, Gap):
                await _tell_gap(event, options, output)
                continue
            await output.line(_described(event, options.json))
            left -= 1
            if not left:
                return


async def _tell_gap(gap: Gap, options: argparse.Namespace, output: Output) -> None:
    if options.json:
        await output.line(json.dumps({"gap": gap.reason.value, "missing": gap.missing, "seconds": gap.seconds}))
    else:
        missing = "messages may be" if gap.missing is None else f"{gap.missing} messages are"
        sys.stderr.write(f"trimaran tail: {missing} missing here ({gap.reason.value})\n")


def _described(message: Message, as_json: bool) -> str:
    if as_json:
        pattern = {} if message.pattern is None else {"pattern": printable(message.pattern)}
        return json.dumps({"channel": printable(message.channel), **pattern, **_json_value("data", message.data)})
    data = printable(message.data)
    return data if message.pattern is None else f"{printable(message.channel)}\t{data}"


def _json_value(name: str, value: bytes) -> dict[str, str]:
    """A value under its name; one that is not UTF-8 under the name plus `_base64`."""
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


async def _entries(client: Client, options: argparse.Namespace, output: Output, left: int) -> None:
    start, last = await _begin(client, options.name, options.last)
    if options.follow:
        replay: Replay[Any] = Replay(client, options.name, start=start, follow=True)
    elif last is None or not options.last:
        return
    else:
        replay = Replay(client, options.name, start=start, end=last)
    async with replay.open() as entries:
        async for entry in entries:
            await output.line(_entry(entry.id, entry.fields, options.json))
            left -= 1
            if not left:
                return


async def _partitions(client: Client, options: argparse.Namespace, output: Output, left: int, partitions: int) -> None:
    begins = {
        name: (await _begin(client, name, options.last))[0] for name in partition_streams(options.name, partitions)
    }
    # the last entries of all partitions are among the last ones of each
    latest: deque[Recorded[Any]] = deque(maxlen=options.last)
    replay: PartitionedReplay[Any] = PartitionedReplay(client, options.name, partitions=partitions, start=begins)
    async with replay.open() as entries:
        async for entry in entries:
            latest.append(entry)
    for entry in latest:
        await output.line(_entry(entry.id, entry.fields, options.json, entry.stream))
        left -= 1
        if not left:
            return
    if not options.follow:
        return
    replay = PartitionedReplay(client, options.name, partitions=partitions, start=replay.positions, follow=True)
    async with replay.open() as entries:
        async for entry in entries:
            await output.line(_entry(entry.id, entry.fields, options.json, entry.stream))
            left -= 1
            if not left:
                return


async def _begin(client: Client, stream: str, count: int) -> tuple[str, str | None]:
    """Return the ID after which the last `count` entries begin, and the current last ID, if any.

    It goes page by page, so that entries need not fit in memory only to be skipped.
    """
    end, last = "+", None
    while True:
        page: Any = await client.xrevrange(stream, end=end, start="-", count=min(PAGE, count + 1))
        identifiers = [_text(entry.identifier) for entry in page]
        last = last or (identifiers[0] if identifiers else None)
        if len(identifiers) <= count:
            count -= len(identifiers)
            if len(identifiers) < PAGE:
                return "0", last
            end = f"({identifiers[-1]}"
        else:
            return identifiers[count], last


def _entry(identifier: str, fields: Mapping[str, bytes], as_json: bool, partition: str | None = None) -> str:
    if as_json:
        values = {
            key: one for name, value in fields.items() for key, one in _json_value(printable(name), value).items()
        }
        return json.dumps({**({} if partition is None else {"stream": partition}), "id": identifier, "fields": values})
    before = [] if partition is None else [partition]
    return "\t".join(
        [*before, identifier, *(f"{printable(name)}={printable(value)}" for name, value in fields.items())]
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
