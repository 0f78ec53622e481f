"""Whether there is anything left to do for a queue now: the end of workers that only run what there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio

from consumers.connection import Command, Link
from consumers.jobs.clock import Clock
from consumers.jobs.names import Keys
from consumers.jobs.queue import Queue
from consumers.retry import persist

__all__ = ["until_nothing_is_left"]

LOOK_SECONDS = 0.2


async def until_nothing_is_left(queue: Queue, in_hand: Callable[[], int]) -> None:
    """Wait until no job of the queue is waiting, due, parked or running, in whatever worker; or it is paused.

    in_hand: returns how many jobs this worker holds; while there are some, the server is not asked. Jobs for a later
    time, those that will be retried among them, are not waited for. Raises the server's permanent refusals.
    """
    connection = queue.connection
    while in_hand() or not await persist(partial(_nothing_is_left, connection.link, queue.keys, queue.clock)):
        await anyio.sleep(LOOK_SECONDS)


async def _nothing_is_left(link: Link, keys: Keys, clock: Clock) -> bool:
    # in one transaction, as jobs move in transactions, too; running ones keep their stream entries until they end
    commands: list[Command] = [
        (b"EXISTS", keys.paused), (b"ZCOUNT", keys.later, b"-inf", f"{clock():.6f}"), (b"ZCARD", keys.later),
        (b"HLEN", keys.bodies), *((b"XLEN", stream) for stream in keys.in_order),
    ]  # fmt: skip
    replies = await link.transaction(commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    paused, due, delayed, stored, *lengths = replies
    # what is stored and is not delayed is parked
    return bool(paused) or not (due or stored > delayed or any(lengths))
