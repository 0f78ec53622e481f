"""`trimaran pause`: a job queue's workers take no more jobs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from consumers.commands.job_queues import opened_queue
from consumers.commands.running import Output, argument_parser, run
from consumers.connecting import Client

DESCRIPTION = """\
Have the workers of a job queue take no more jobs, until `trimaran resume`. Jobs that run go on; jobs may be enqueued.

  trimaran pause thumbnails"""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("pause", DESCRIPTION)
    parser.add_argument("queue", metavar="QUEUE", help="the queue's name")
    return run(_pause, parser.parse_intermixed_args(words), "pause")


async def _pause(client: Client, options: argparse.Namespace, output: Output) -> int:
    async with opened_queue(client, options.queue) as queue:
        await queue.pause()
    await output.line(json.dumps({"paused": True}) if options.json else "paused")
    return 0
