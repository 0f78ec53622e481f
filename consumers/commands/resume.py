"""`trimaran resume`: ends what `trimaran pause` began."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from consumers.commands.job_queues import opened_queue
from consumers.commands.running import Output, argument_parser, run
from consumers.connecting import Client

DESCRIPTION = """\
Have the workers of a job queue take jobs again.

  trimaran resume thumbnails"""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("resume", DESCRIPTION)
    parser.add_argument("queue", metavar="QUEUE", help="the queue's name")
    return run(_resume, parser.parse_intermixed_args(words), "resume")


async def _resume(client: Client, options: argparse.Namespace, output: Output) -> int:
    async with opened_queue(client, options.queue) as queue:
        await queue.resume()
    await output.line(json.dumps({"paused": False}) if options.json else "resumed")
    return 0
