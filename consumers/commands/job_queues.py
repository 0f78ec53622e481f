"""What the commands on job queues share: a queue found by its name, and how jobs are described.

The commands know nothing of a program's functions. A queue's name is enough: its streams tell its priorities.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from consumers.commands.naming import queue_streams
from consumers.commands.running import CommandError, printable
from consumers.connecting import Client
from consumers.jobs import JobInfo, Progress, Queue
from consumers.jobs.names import RESERVED, Keys

__all__ = ["TEXT_LIMIT", "call_of", "job_as_data", "opened_queue", "plain", "progress_of"]

TEXT_LIMIT = 300
"""Characters of a job's arguments, or an entry's fields, that are shown without --json."""

USUAL = ("high", "normal", "low")


@asynccontextmanager
async def opened_queue(client: Client, name: str) -> AsyncIterator[Queue]:
    """Open the job queue with this name for the block. Raises CommandError if there is none."""
    if not name or "{" in name or "}" in name:
        raise CommandError(f"{printable(name)} is not the name of a job queue")
    keys = Keys(name, ())
    streams = {stream.removeprefix(keys.prefix) for stream in await queue_streams(client, name)}
    others: Any = await client.exists([keys.later, keys.bodies, keys.workers, keys.paused])
    if not streams and not others:
        raise CommandError(f"there is no job queue {printable(name)}")
    found = streams - RESERVED
    # the order of others is known to the program only
    priorities = USUAL if found <= set(USUAL) else sorted(found)
    async with Queue(name, priorities=priorities).open(client) as queue:
        yield queue


def job_as_data(info: JobInfo) -> dict[str, Any]:
    """A job for JSON. Times are seconds since 1970."""
    progress = info.progress
    return {
        "id": info.id,
        "job": info.name,
        "state": info.state.value,
        "arguments": plain(info.arguments),
        "priority": info.priority,
        "attempts": info.attempts,
        "enqueued": info.enqueued,
        "due": info.due,
        "expires": info.expires,
        "begun": info.begun,
        "ended": info.ended,
        "kept_until": info.kept_until,
        "worker": info.worker,
        "error": info.error,
        "progress": None if progress is None else {
            "done": progress.done, "total": progress.total, "note": progress.note, "time": progress.time,
        },
    }  # fmt: skip


def call_of(info: JobInfo) -> str:
    """A job as the call of its function, of limited length."""
    if info.name is None:
        return "-"
    inside = ", ".join(f"{name}={plain(value)!r}" for name, value in (info.arguments or {}).items())
    if len(inside) > TEXT_LIMIT:
        inside = f"{inside[:TEXT_LIMIT]}..."
    return f"{info.name}({inside})" if info.arguments is not None else info.name


def progress_of(progress: Progress | None) -> str:
    """Progress as a few words."""
    if progress is None:
        return "-"
    amount = f"{progress.done:g}" if progress.total is None else f"{progress.done:g}/{progress.total:g}"
    return f"{amount} {progress.note}".strip()


def plain(value: Any) -> Any:
    """Data with its bytes replaced by strings, since JSON has no bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {str(plain(name)): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
