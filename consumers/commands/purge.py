"""`trimaran purge`: removes the jobs of a queue that are in one state."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from consumers.commands.job_queues import opened_queue
from consumers.commands.running import Output, argument_parser, run
from consumers.connecting import Client
from consumers.jobs.managing import PURGED

DESCRIPTION = """\
Remove all jobs of a queue that are in one state, and print how many. Programs that wait for their results learn that
they were cancelled. Jobs that workers have taken already are run: pause the queue before this if none may be.

  trimaran purge thumbnails waiting
  trimaran purge thumbnails failed      its dead jobs"""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("purge", DESCRIPTION)
    parser.add_argument("queue", metavar="QUEUE", help="the queue's name")
    parser.add_argument("state", choices=[state.value for state in PURGED], help="which jobs")
    return run(_purge, parser.parse_intermixed_args(words), "purge")


async def _purge(client: Client, options: argparse.Namespace, output: Output) -> int:
    async with opened_queue(client, options.queue) as queue:
        purged = await queue.purge(options.state)
    await output.line(json.dumps({"purged": purged}) if options.json else str(purged))
    return 0
