"""`trimaran workers`: the workers of a job queue, and what they are doing."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import aclosing

from consumers.commands.job_queues import call_of, job_as_data, opened_queue
from consumers.commands.running import Output, argument_parser, printable, run
from consumers.connecting import Client
from consumers.durations import age
from consumers.jobs import WorkerInfo

DESCRIPTION = """\
Show the workers of a job queue, which is named as the program names it.

  trimaran workers thumbnails           name, host and process ID, how long it has been running, when it was last seen,
                                        jobs that run of those that may, jobs in hand, and the jobs that run
  trimaran workers thumbnails --json    one JSON object per line

A worker reports every second. One that has been silent for its lease is shown as dead, for about a minute."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("workers", DESCRIPTION)
    parser.add_argument("queue", metavar="QUEUE", help="the queue's name")
    return run(_workers, parser.parse_intermixed_args(words), "workers")


async def _workers(client: Client, options: argparse.Namespace, output: Output) -> int:
    async with opened_queue(client, options.queue) as queue, aclosing(queue.workers()) as found:
        async for worker in found:
            await output.line(_as_json(worker) if options.json else _cells(worker, queue.clock()))
    return 0


def _as_json(worker: WorkerInfo) -> str:
    return json.dumps(
        {
            "name": worker.name,
            "host": worker.host,
            "pid": worker.pid,
            "concurrency": worker.concurrency,
            "since": worker.since,
            "seen": worker.seen,
            "alive": worker.alive,
            "in_hand": worker.in_hand,
            "jobs": [job_as_data(job) for job in worker.jobs],
        },
        default=str,
    )


def _cells(worker: WorkerInfo, now: float) -> str:
    seen = f"seen {age(max(0.0, now - worker.seen))} ago"
    cells = (
        worker.name, f"{worker.host}:{worker.pid}", f"up {age(max(0.0, now - worker.since))}",
        seen if worker.alive else f"dead, {seen}", f"{len(worker.jobs)}/{worker.concurrency}", str(worker.in_hand),
        ", ".join(map(call_of, worker.jobs)) or "-",
    )  # fmt: skip
    return "\t".join(map(printable, cells))
