"""`trimaran jobs`: how many jobs of a queue are in each state, a list of those in one, one job, or the schedules."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict

from consumers.commands.job_queues import call_of, job_as_data, opened_queue, progress_of
from consumers.commands.running import CommandError, Output, argument_parser, positive, printable, run
from consumers.connecting import Client
from consumers.durations import age
from consumers.jobs import JobInfo, JobState, Queue
from consumers.jobs.listing import LISTED

DESCRIPTION = """\
Show the jobs of a queue, which is named as the program names it.

  trimaran jobs thumbnails                        how many are in each state
  trimaran jobs thumbnails --state running        a list: ID, state, call, attempts, age, worker or error, progress
  trimaran jobs thumbnails --id 0198c2f5...       all that is known about one job
  trimaran jobs thumbnails --schedules            name, job, times, next occurrence, who made it
  trimaran jobs thumbnails --state failed --json  one JSON object per line

Lists have 100 jobs unless --count is given, in the order in which they will run. Jobs that have ended are found by
their IDs only, except for those that have failed."""


def main(words: Sequence[str]) -> int:
    parser = argument_parser("jobs", DESCRIPTION)
    parser.add_argument("queue", metavar="QUEUE", help="the queue's name")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--state", choices=[state.value for state in LISTED], help="list the jobs in this state")
    chosen.add_argument("--schedules", action="store_true", help="list the schedules")
    chosen.add_argument("--id", metavar="ID", help="show this job")
    parser.add_argument("--count", type=positive, default=100, metavar="N", help="list at most N (%(default)s)")
    return run(_jobs, parser.parse_intermixed_args(words), "jobs")


async def _jobs(client: Client, options: argparse.Namespace, output: Output) -> int:
    async with opened_queue(client, options.queue) as queue:
        if options.id is not None:
            await _one(queue, options, output)
        elif options.state is not None:
            await _list(queue, options, output)
        elif options.schedules:
            await _schedules(queue, options, output)
        else:
            counts = asdict(await queue.counts())
            if options.json:
                await output.line(json.dumps(counts))
            else:
                for name, value in counts.items():
                    await output.line(f"{name}\t{('no', 'yes')[value] if name == 'paused' else value}")
    return 0


async def _one(queue: Queue, options: argparse.Namespace, output: Output) -> None:
    info = await queue.handle(options.id).info()
    if info.state is JobState.UNKNOWN:
        raise CommandError(f"there is no job {printable(options.id)}, or nothing is known about it any more")
    data = job_as_data(info)
    if options.json:
        await output.line(json.dumps(data, default=str))
        return
    now = queue.clock()
    data.pop("arguments")
    data |= {"job": call_of(info), "progress": progress_of(info.progress) if info.progress else None}
    for name, value in data.items():
        if value is not None:
            text = _when(value, now) if isinstance(value, float) else str(value)
            await output.line(f"{name.replace('_', ' ')}\t{printable(text)}")


def _when(moment: float, now: float) -> str:
    return f"{age(now - moment)} ago" if moment <= now else f"in {age(moment - now)}"


async def _list(queue: Queue, options: argparse.Namespace, output: Output) -> None:
    now, listed = queue.clock(), 0
    async with aclosing(queue.jobs(options.state)) as found:
        async for info in found:
            await output.line(json.dumps(job_as_data(info), default=str) if options.json else _cells(info, now))
            listed += 1
            if listed == options.count:
                return


async def _schedules(queue: Queue, options: argparse.Namespace, output: Output) -> None:
    now = queue.clock()
    async with aclosing(queue.schedules()) as found:
        async for one in found:
            if options.json:
                await output.line(json.dumps(asdict(one)))
                continue
            due = "paused" if one.paused else "-" if one.due is None else _when(one.due, now)
            origin = "declared" if one.declared else "made at run time"
            cells = (one.name, one.job, one.expression, one.timezone, due, origin)
            await output.line("\t".join(map(printable, cells)))


def _cells(info: JobInfo, now: float) -> str:
    when = info.begun or info.due or info.enqueued
    cells = (
        info.id, info.state.value, call_of(info), str(info.attempts), "-" if when is None else _when(when, now),
        info.worker or info.error or "-", progress_of(info.progress),
    )  # fmt: skip
    return "\t".join(map(printable, cells))
