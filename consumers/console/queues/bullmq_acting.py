"""What may be done to a BullMQ queue, as transactions that leave what BullMQ's own scripts leave.

Jobs that belong to a flow, or that a scheduler has made, are left alone: what their end means for others is known to
BullMQ only.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text, transaction
from consumers.console.queues.bullmq_keys import Keys
from consumers.console.queues.library import Refused, State, jobs_text, number_in
from consumers.jobs.clock import Clock
from consumers.transactions import Ask

__all__ = ["Actor"]

EVENTS = 10_000
"""Events that BullMQ keeps of a queue unless it is told otherwise."""

PAGE = 200
"""Jobs in one transaction, at most."""


class Actor:
    """Acts on one queue."""

    def __init__(self, client: Client, keys: Keys, clock: Clock) -> None:
        self._client = client
        self._keys = keys
        self._clock = clock

    def _event(self, name: str, *rest: str) -> Command:
        return (b"XADD", self._keys.events, b"MAXLEN", b"~", EVENTS, b"*", b"event", name, *rest)

    # The queue.

    async def pause(self) -> None:
        """Have workers take no more jobs. The waiting ones move aside, as older releases expect."""
        keys = self._keys

        async def decide(query: Ask) -> tuple[list[Command], None]:
            paused, waiting, aside = await query([
                (b"HEXISTS", keys.meta, b"paused"), (b"EXISTS", keys.wait), (b"EXISTS", keys.paused),
            ])  # fmt: skip
            if paused:
                return [], None
            commands: list[Command] = [(b"HSET", keys.meta, b"paused", 1), (b"DEL", keys.marker), self._event("paused")]
            if waiting and not aside:
                commands.insert(0, (b"RENAME", keys.wait, keys.paused))
            return commands, None

        await transaction(self._client, [keys.meta, keys.wait, keys.paused], decide)

    async def resume(self) -> None:
        """Have workers take jobs again; those that were moved aside go first."""
        keys = self._keys

        async def decide(query: Ask) -> tuple[list[Command], int]:
            (some, waiting, prioritized, delayed) = await query([
                (b"LRANGE", keys.paused, 0, PAGE - 1), (b"EXISTS", keys.wait), (b"ZCARD", keys.prioritized),
                (b"ZRANGE", keys.delayed, 0, 0, b"WITHSCORES"),
            ])  # fmt: skip
            if some and waiting:
                return [(b"RPUSH", keys.wait, *some), (b"LTRIM", keys.paused, len(some), -1)], len(some)
            commands: list[Command] = [(b"HDEL", keys.meta, b"paused"), self._event("resumed")]
            if some:
                commands.append((b"RENAME", keys.paused, keys.wait))
            if some or waiting or prioritized:
                commands.append((b"ZADD", keys.marker, 0, b"0"))
            elif delayed:
                commands.append((b"ZADD", keys.marker, float(delayed[0][1]) / 4096, b"1"))
            return commands, 0

        while await transaction(self._client, [keys.meta, keys.wait, keys.paused], decide):
            pass

    # Failed jobs.

    async def redrive_all(self) -> str:
        """Return the failed jobs to the queue; returns a sentence."""
        keys = self._keys
        (count,) = await ask(self._client, [(b"ZCARD", keys.failed)])
        done = refused = 0
        while done + refused < integer(count):
            (page,) = await ask(self._client, [(b"ZRANGE", keys.failed, refused, refused + PAGE - 1)])
            if not (ids := known(page)):
                break
            for id in ids:
                try:
                    await self.redrive(text(id))
                    done += 1
                except Refused:
                    refused += 1
                    if not done:
                        # a paused queue refuses all of them
                        await self._running_queue()
        kept = f" {jobs_text(refused, 'left: they belong to flows')}" if refused else ""
        return jobs_text(done, "returned to the queue") + kept

    async def _running_queue(self) -> None:
        (paused,) = await ask(self._client, [(b"HEXISTS", self._keys.meta, b"paused")])
        if integer(paused):
            raise Refused("the queue is paused: resume it first")

    async def redrive(self, id: str) -> None:
        """Return a failed job to the queue. Raises Refused."""
        keys, job = self._keys, self._keys.job(id)

        async def decide(query: Ask) -> tuple[list[Command], None]:
            score, fields, meta, active, counter = await query([
                (b"ZSCORE", keys.failed, id), (b"HMGET", job, b"timestamp", b"parentKey", b"priority"),
                (b"HMGET", keys.meta, b"paused", b"concurrency"), (b"LLEN", keys.active), (b"GET", keys.counter),
            ])  # fmt: skip
            (sent, parent, priority), (paused, most) = fields, meta
            if score is None or sent is None:
                raise Refused(f"there is no failed job {id} any more")
            if parent:
                raise Refused("the job belongs to a flow: only BullMQ can retry it")
            if paused:
                # where it would have to go depends on the release
                raise Refused("the queue is paused: resume it first")
            commands: list[Command] = [
                (b"ZREM", keys.failed, id), (b"HDEL", job, b"finishedOn", b"processedOn", b"failedReason"),
            ]  # fmt: skip
            level = int(number_in(priority) or 0)
            if level:
                count = int(number_in(counter) or 0) + 1
                commands += [
                    (b"INCR", keys.counter), (b"ZADD", keys.prioritized, level * 2**32 + count % 2**32, id),
                ]  # fmt: skip
            else:
                commands.append((b"LPUSH", keys.wait, id))
            if most is None or active < (number_in(most) or 0):
                commands.append((b"ZADD", keys.marker, 0, b"0"))
            return [*commands, self._event("waiting", "jobId", id, "prev", "failed")], None

        await transaction(self._client, [keys.failed, job, keys.meta, keys.counter], decide)

    # Deleting.

    async def delete(self, id: str) -> None:
        """Delete a job that is neither running nor part of anything. Raises Refused."""
        keys, job = self._keys, self._keys.job(id)

        async def decide(query: Ask) -> tuple[list[Command], None]:
            fields, locked, children, running = await query([
                (b"HMGET", job, b"timestamp", b"parentKey", b"rjk", b"deid"), (b"EXISTS", f"{job}:lock"),
                (b"EXISTS", f"{job}:dependencies", f"{job}:processed"), (b"LPOS", keys.active, id),
            ])  # fmt: skip
            sent, parent, scheduler, once = fields
            if sent is None:
                raise Refused(f"there is no job {id} any more")
            if locked or running is not None:
                raise Refused(f"the job {id} is running")
            if parent or children or scheduler:
                raise Refused("the job belongs to a flow or to a scheduler: only BullMQ can delete it")
            holder = None
            if once:
                (holder,) = await query([(b"GET", keys.deduplication(text(once)))])
            sets = (keys.delayed, keys.failed, keys.completed, keys.prioritized)
            commands: list[Command] = [(b"ZREM", one, id) for one in sets]
            commands += [(b"LREM", one, 1, id) for one in (keys.wait, keys.paused)]
            commands.append((b"DEL", *keys.of_job(id)))
            if holder is not None and text(holder) == id:
                commands.append((b"DEL", keys.deduplication(text(once))))
            return [*commands, self._event("removed", "jobId", id)], None

        await transaction(self._client, [job, f"{job}:lock", keys.active], decide)

    async def purge(self, state: State) -> int:
        """Delete the jobs in a state that are there now, apart from those that are part of something."""
        keys = self._keys
        if state is State.WAITING:
            return sum([
                await self._purge(keys.wait, True), await self._purge(keys.paused, True),
                await self._purge(keys.prioritized, False),
            ])  # fmt: skip
        return await self._purge(keys.set_of(state), False)

    async def _purge(self, key: str, is_list: bool) -> int:
        (count,) = await ask(self._client, [(b"LLEN" if is_list else b"ZCARD", key)])
        done = kept = 0
        while done + kept < integer(count):

            async def decide(query: Ask, kept: int = kept) -> tuple[list[Command], tuple[int, int]]:
                stop = kept + PAGE - 1
                (ids,) = await query([(b"LRANGE" if is_list else b"ZRANGE", key, kept, stop)])
                if not ids:
                    return [], (0, 0)
                gone = await self._alone(query, [text(id) for id in ids])
                if not gone:
                    return [], (0, len(ids))
                commands: list[Command] = [(b"LREM", key, 1, id) for id in gone] if is_list else [(b"ZREM", key, *gone)]
                commands.append((b"DEL", *(one for id in gone for one in self._keys.of_job(id))))
                return commands, (len(gone), len(ids) - len(gone))

            removed, left = await transaction(self._client, [key], decide)
            if not removed and not left:
                break
            done, kept = done + removed, kept + left
        return done

    async def _alone(self, query: Ask, ids: Sequence[str]) -> list[str]:
        """Those that belong to no flow, no scheduler, and hold no place that others are kept from."""
        rows = await query([(b"HMGET", self._keys.job(id), b"parentKey", b"rjk", b"deid") for id in ids])
        children = await query([
            (b"EXISTS", f"{self._keys.job(id)}:dependencies", f"{self._keys.job(id)}:processed") for id in ids
        ])  # fmt: skip
        return [id for id, row, some in zip(ids, rows, children, strict=True) if not some and not any(row)]
