"""`trimaran redrive`: returns dead letters to the streams they came from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Any

from consumers.commands.job_queues import TEXT_LIMIT, plain
from consumers.commands.naming import dead_streams, partitions_of
from consumers.commands.running import CommandError, Output, argument_parser, positive, printable, run
from consumers.connecting import Client
from consumers.deadletters import DeadLetter, dead_letters, redrive
from consumers.jobs.dead import dead_job
from consumers.partitions import partition_streams

DESCRIPTION = """\
Return the entries of a dead-letter stream to the streams they came from, oldest first.

  trimaran redrive orders.dead --dry-run           list them, each with its fields
  trimaran redrive thumbnails --dry-run            those of a job queue, by its own name, with job and arguments
  trimaran redrive orders.dead --group billing     (with partitions: of all of them, one after the other)
  trimaran redrive orders.dead --count 100 --to orders.retry

Prints how many were returned. If the connection is lost meanwhile, an entry may be returned twice."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("redrive", DESCRIPTION)
    parser.add_argument("dead", metavar="DEADSTREAM|QUEUE", help="a stream of dead letters, or a job queue by its name")
    parser.add_argument("--count", type=positive, metavar="N", help="at most N of them")
    parser.add_argument("--group", metavar="GROUP", help="only those of this consumer group")
    parser.add_argument("--stream", metavar="STREAM", help="only those that came from this stream")
    parser.add_argument("--to", metavar="STREAM", help="send them to this stream instead of where they came from")
    parser.add_argument("--dry-run", action="store_true", help="only list them, each with its reason")
    return run(_redrive, parser.parse_intermixed_args(words), "redrive")


async def _redrive(client: Client, options: argparse.Namespace, output: Output) -> int:
    origins = await _origins(client, options.stream)

    def chosen(letter: DeadLetter) -> bool:
        return options.group in (None, letter.group) and (origins is None or letter.stream in origins)

    streams = await dead_streams(client, options.dead)
    await _check(client, options.dead, streams)
    left: int | None = options.count
    done = 0
    for stream in streams:
        if options.dry_run:
            count = await _list(client, stream, chosen, left, options, output)
        else:
            count = await redrive(client, stream, where=chosen, count=left, to=options.to)
        done += count
        if left is not None:
            left -= count
            if not left:
                break
    if not options.dry_run:
        await output.line(json.dumps({"redriven": done}) if options.json else str(done))
    return 0


async def _origins(client: Client, stream: str | None) -> frozenset[str] | None:
    """The streams that letters of this one, or of its partitions, name as their origin; None: any."""
    if stream is None:
        return None
    partitions = await partitions_of(client, stream)
    return frozenset((stream, *(partition_streams(stream, partitions) if partitions is not None else ())))


async def _list(
    client: Client, stream: str, chosen: Callable[[DeadLetter], bool], limit: int | None,
    options: argparse.Namespace, output: Output,
) -> int:  # fmt: skip
    """Print the letters that are chosen, at most so many, and return how many."""
    listed = 0
    async with aclosing(dead_letters(client, stream)) as letters:
        async for letter in letters:
            if chosen(letter):
                listed += 1
                await output.line(_described(letter, options.json))
                if listed == limit:
                    break
    return listed


async def _check(client: Client, name: str, streams: Sequence[str]) -> None:
    """Raise CommandError for a stream that holds no dead letters but other entries."""
    others = False
    for stream in streams:
        async with aclosing(dead_letters(client, stream)) as letters:
            async for _ in letters:
                return
        others = others or bool(await client.xlen(stream))
    if others:
        raise CommandError(f"{printable(name)} holds no dead letters but other entries")


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
                **_content(letter),
            },
            default=str,
        )
    parts = (letter.id, letter.stream, letter.entry_id, letter.group, str(letter.delivery_count), letter.reason)
    return "\t".join(map(printable, (*parts, _call(letter))))


def _content(letter: DeadLetter) -> dict[str, Any]:
    """The entry's content, for JSON."""
    if (job := dead_job(letter)) is not None:
        return {"job": job.name, "job_id": job.id, "arguments": plain(job.arguments)}
    return {"fields": {name: plain(value) for name, value in letter.fields.items()}}


def _call(letter: DeadLetter) -> str:
    """The same as text of limited length: a job's call and its ID, or fields."""
    job = dead_job(letter)
    pairs = job.arguments if job is not None else letter.fields
    inside = ", ".join(f"{name}={plain(value)!r}" for name, value in pairs.items())
    if len(inside) > TEXT_LIMIT:
        inside = f"{inside[:TEXT_LIMIT]}..."
    return inside if job is None else f"{job.name}({inside}) {job.id}"
