"""Pauses a queue, and deletes, reschedules and purges jobs, while workers are at work.

A job that is in no stream is taken in a transaction that watches whatever its movers watch. One in a stream is
different, since WATCH does not notice a delivery:

- A single one is deleted from its stream without conditions. A worker that has it is told to stop.
- To purge, jobs are first delivered to this program as to a worker, so no worker gets them, and then removed. If this
  program dies in between, the workers find what it held as they find what a dead worker held, and run it.
- One that is rescheduled is postponed by the worker that gets it (cancelling.py).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from coredis.exceptions import RedisError

from consumers.connection import Client, Command, Link, open_link
from consumers.groups import Entry, Group, is_missing
from consumers.jobs import flow_removing
from consumers.jobs.cancelling import CANCEL, KEEP_SECONDS, later, taken_out
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry, read_body, read_entry
from consumers.jobs.flow_removing import Removal
from consumers.jobs.listing import parked_limits
from consumers.jobs.locating import Found, Hint, locate
from consumers.jobs.names import GROUP, Keys
from consumers.jobs.outcomes import NONE, cancelled, store
from consumers.jobs.reports import REPORT
from consumers.jobs.searching import query
from consumers.jobs.states import JobState
from consumers.jobs.uniqueness import prolong, release
from consumers.names import decoded
from consumers.orphans import leave
from consumers.owners import SHELVES, unique_name
from consumers.transactions import Ask, Transactions

__all__ = ["PURGED", "Manager"]

T = TypeVar("T")

logger = logging.getLogger("consumers.jobs")

PAGE = 200
"""Jobs removed in one transaction, at most."""

ATTEMPTS = 5
"""How often a job is looked for that moves whenever it has been found."""

LEASE_SECONDS = 30.0
"""As a worker's lease: what a purge held when its program died is run after that."""

PURGED = (JobState.WAITING, JobState.DELAYED, JobState.PARKED, JobState.FAILED)
"""The states whose jobs can be purged."""


@dataclass(frozen=True, slots=True)
class Manager:
    """What manages one queue. keep: how long the outcome of a purged job is kept. unique_for: as Queue's."""

    client: Client
    link: Link
    transactions: Transactions
    keys: Keys
    clock: Clock
    keep: float
    unique_for: float

    # The queue.

    async def pause(self) -> None:
        """Have workers take no more jobs. Repeating it changes nothing."""
        await self._execute([
            (b"SET", self.keys.paused, f"{self.clock():.3f}", b"NX"), (b"SPUBLISH", self.keys.control, REPORT),
        ])  # fmt: skip

    async def resume(self) -> None:
        """Have workers take jobs again."""
        await self._execute([(b"DEL", self.keys.paused), (b"SPUBLISH", self.keys.control, REPORT)])

    async def purge(self, state: JobState) -> int:
        """Remove all jobs in a state; returns how many. Raises ValueError for a state that is not among PURGED."""
        if state is JobState.WAITING:
            return await self._purge_waiting()
        if state is JobState.DELAYED:
            return await self._purge_delayed()
        if state is JobState.PARKED:
            return await self._purge_parked()
        if state is JobState.FAILED:
            return await self._purge_dead()
        raise ValueError(f"{state} jobs can't be purged, only {', '.join(PURGED)} ones")

    async def _purge_waiting(self) -> int:
        lengths = await query(self.link, [(b"XLEN", stream) for stream in self.keys.in_order])
        done = 0
        async with self._taker() as group:
            # not those that are added meanwhile: there would be no end
            while done < sum(lengths):
                entries = await group.read(PAGE, 0.0, True, True) or await self._shelved(group)
                if not entries:
                    break
                await self._remove(group, entries)
                done += len(entries)
        return done

    @asynccontextmanager
    async def _taker(self) -> AsyncIterator[Group]:
        """A consumer of the queue's group for the block."""
        async with open_link(self.client, self.keys.later) as link:
            group = Group(link, self.keys.in_order, GROUP, unique_name(), LEASE_SECONDS)
            await group.ensure("0")
            yield group
            await leave(group, wholly=True)

    async def _shelved(self, group: Group) -> list[Entry]:
        """Take jobs that workers have given back because they may have killed a worker."""
        found: list[Entry] = []
        for stream in self.keys.in_order:
            for shelf in SHELVES:
                (rows,) = await query(group.link, [(b"XPENDING", stream, GROUP, b"-", b"+", PAGE, shelf)])
                # an idle time of 1 ms: of two that claim, one gets it
                found += await group.take(stream, {row[0]: row[3] for row in rows}, idle=1)
        return found

    async def _remove(self, group: Group, entries: Sequence[Entry]) -> None:
        """End jobs that this program has taken."""
        keys = self.keys
        commands: list[Command] = []
        waiting: dict[str, list[str]] = {}
        for stream in {entry.stream for entry in entries}:
            ids = [entry.id.decode() for entry in entries if entry.stream == stream]
            commands += [group.ack(stream, ids), (b"XDEL", stream, *ids)]
        jobs = [job for entry in entries if (job := read_entry(entry.values)) is not None]
        for job in jobs:
            commands += store(keys, job.id, self._cancelled(), self.keep)
            commands += release(keys, job.unique, job.id)
            if job.reply:
                waiting.setdefault(job.reply, []).append(job.id)
        if jobs:
            ids = [job.id for job in jobs]
            commands += [(b"ZREM", keys.cancelled, *ids), (b"ZREM", keys.postponed, *ids)]
        commands += [(b"SPUBLISH", keys.replies(reply), " ".join(ids)) for reply, ids in waiting.items()]
        await self._leave_flows(jobs)
        await self._execute(commands)

    async def _leave_flows(self, jobs: Sequence[JobEntry]) -> None:
        """End these jobs in their workflows before they are removed: if one is run after all, that does not count."""

        async def decide(ask: Ask, removed: list[JobEntry]) -> tuple[list[Command], None]:
            removed += jobs
            return [], None

        if any(job.flow for job in jobs):
            await self._remove_in([], decide)

    async def _remove_in(self, watched: Sequence[str], decide: Removal[T]) -> T:
        return await flow_removing.remove(self.transactions, self.keys, self.clock, watched, decide)

    async def _purge_delayed(self) -> int:
        (most,) = await query(self.link, [(b"ZCARD", self.keys.later)])
        done, passed = 0, 0
        while done + passed < most:
            removed, periodic = await self._remove_in([self.keys.moves], partial(self._delayed_page, start=passed))
            if not removed and not periodic:
                break
            done, passed = done + removed, passed + periodic
        return done

    async def _delayed_page(self, ask: Ask, ended: list[JobEntry], start: int) -> tuple[list[Command], tuple[int, int]]:
        """Remove a page of delayed jobs, except for occurrences of periodic jobs, whose number is returned as well."""
        keys = self.keys
        (ids,) = await ask([(b"ZRANGE", keys.later, start, start + PAGE - 1)])
        if not ids:
            return [], (0, 0)
        (bodies,) = await ask([(b"HMGET", keys.bodies, *ids)])
        stored = [read_body(body) if body else None for body in bodies]
        periodic = {id for id, one in zip(ids, stored, strict=True) if one and (one[1].periodic or one[1].plan)}
        chosen = [(id, body) for id, body in zip(ids, bodies, strict=True) if id not in periodic]
        commands: list[Command] = []
        if chosen:
            commands = [(b"INCR", keys.moves), (b"ZREM", keys.later, *(id for id, _ in chosen))]
        return commands + self._taken_out(chosen, ended), (len(chosen), len(periodic))

    async def _purge_parked(self) -> int:
        done = 0
        async with aclosing(parked_limits(self.link, self.keys)) as limits:
            async for limit in limits:
                parked = self.keys.parked(limit)
                while removed := await self._remove_in([parked], partial(self._parked_page, parked=parked)):
                    done += removed
        return done

    async def _parked_page(self, ask: Ask, ended: list[JobEntry], parked: str) -> tuple[list[Command], int]:
        (ids,) = await ask([(b"ZRANGE", parked, 0, PAGE - 1)])
        if not ids:
            return [], 0
        (bodies,) = await ask([(b"HMGET", self.keys.bodies, *ids)])
        commands: list[Command] = [(b"INCR", self.keys.admissions), (b"ZREM", parked, *ids)]
        return commands + self._taken_out(list(zip(ids, bodies, strict=True)), ended), len(ids)

    def _taken_out(self, stored: Sequence[tuple[bytes, bytes | None]], ended: list[JobEntry]) -> list[Command]:
        """Commands that cancel jobs that were in no stream, and have been removed from where they waited."""
        commands: list[Command] = []
        for id, body in stored:
            if body is None:
                continue
            commands += taken_out(self.keys, decoded(id), body, self._cancelled(), self.keep)
            if (one := read_body(body)) is not None:
                ended.append(one[1])
            else:
                logger.warning("the queue %s: a damaged job was removed: %r", self.keys.name, decoded(id))
        return commands

    async def _purge_dead(self) -> int:
        done = 0
        while True:
            (page,) = await query(self.link, [(b"XRANGE", self.keys.dead, b"-", b"+", b"COUNT", PAGE)])
            if not page:
                return done
            (removed,) = await query(self.link, [(b"XDEL", self.keys.dead, *(id for id, _ in page))])
            done += removed

    # One job.

    async def delete(self, id: str, hint: Hint | None) -> bool:
        """Remove a job and all that is known of it; a running one is stopped. False: there was none."""
        deleted = False
        for _ in range(ATTEMPTS):
            found = await locate(self.link, self.keys, id, self.clock, hint)
            if found.info.state is JobState.UNKNOWN:
                break
            if await self._delete(id, found):
                deleted = True
                if not found.info.ended:
                    break
        await self._execute([(b"DEL", self.keys.own_id(id)), (b"ZREM", self.keys.postponed, id)])
        return deleted

    async def _delete(self, id: str, found: Found) -> bool:
        """Remove the job from where it was found; False if it is there no more."""
        keys, state = self.keys, found.info.state
        if found.entry is not None and found.stream == keys.dead:
            (count,) = await query(self.link, [(b"XDEL", keys.dead, found.entry_id)])
            return bool(count)
        if found.entry is not None and found.stream:
            return await self._delete_entry(found, found.entry)
        if state is JobState.DELAYED:
            return await self._remove_in([keys.moves], partial(self._take, id=id, key=keys.later))
        if state is JobState.PARKED:
            limit = await self._limit_of(id)
            parked = keys.parked(limit)
            return bool(limit) and await self._remove_in([parked], partial(self._take, id=id, key=parked))
        (count,) = await query(self.link, [(b"DEL", keys.result(id))])
        return bool(count)

    async def _delete_entry(self, found: Found, entry: JobEntry) -> bool:
        keys, id = self.keys, entry.id
        commands: list[Command] = [
            (b"XACK", found.stream, GROUP, found.entry_id), (b"XDEL", found.stream, found.entry_id),
            *release(keys, entry.unique, id),
        ]  # fmt: skip
        if entry.reply:
            commands.append((b"SPUBLISH", keys.replies(entry.reply), id))
        await self._leave_flows([entry])
        taken, deleted = (await self._execute(commands))[:2]
        if taken == 1:
            # a worker has it, and may run it
            now = self.clock()
            await self._execute([
                (b"ZADD", keys.cancelled, f"{now:.3f}", id),
                (b"ZREMRANGEBYSCORE", keys.cancelled, b"-inf", f"{now - KEEP_SECONDS:.3f}"),
                (b"SPUBLISH", keys.control, CANCEL),
            ])  # fmt: skip
        return bool(deleted == 1)

    async def _take(self, ask: Ask, ended: list[JobEntry], id: str, key: str) -> tuple[list[Command], bool]:
        """Remove a job that waits in a sorted set. Its outcome is not stored: nothing is to be left of it."""
        score, body = await ask([(b"ZSCORE", key, id), (b"HGET", self.keys.bodies, id)])
        if score is None or body is None:
            return [], False
        if (stored := read_body(body)) is not None:
            ended.append(stored[1])
        counter = self.keys.moves if key == self.keys.later else self.keys.admissions
        commands: list[Command] = [(b"INCR", counter)]
        return [*commands, (b"ZREM", key, id), *taken_out(self.keys, id, body, b"", 0.0)], True

    async def _limit_of(self, id: str) -> str:
        """The limit under which a job is parked; "" if it is not."""
        async with aclosing(parked_limits(self.link, self.keys)) as limits:
            async for limit in limits:
                (score,) = await query(self.link, [(b"ZSCORE", self.keys.parked(limit), id)])
                if score is not None:
                    return limit
        return ""

    async def reschedule(self, id: str, due: float, hint: Hint | None) -> bool:
        """Have a job begin at another time; False if it runs, has ended, or does not exist."""
        for _ in range(ATTEMPTS):
            found = await locate(self.link, self.keys, id, self.clock, hint)
            if found.entry is None or found.info.state not in (JobState.DELAYED, JobState.PARKED, JobState.WAITING):
                return False
            if found.stream:
                await self._withhold(id, found.entry, due)
                return True
            if found.info.state is JobState.DELAYED:
                source = self.keys.later
            else:
                source = self.keys.parked(await self._limit_of(id))
            watched = [self.keys.moves] if source == self.keys.later else [source]
            if await self.transactions.run(watched, partial(self._move, id=id, source=source, due=due)):
                return True
        return False

    async def _withhold(self, id: str, entry: JobEntry, due: float) -> None:
        keys, now = self.keys, self.clock()
        note: Command = (b"ZADD", keys.postponed, f"{due:.6f}", id) if due > now else (b"ZREM", keys.postponed, id)
        await self._execute([
            note, (b"ZREMRANGEBYSCORE", keys.postponed, b"-inf", f"{now - KEEP_SECONDS:.3f}"),
            *self._claim(entry, now, due), (b"SPUBLISH", keys.control, CANCEL),
        ])  # fmt: skip

    async def _move(self, ask: Ask, id: str, source: str, due: float) -> tuple[list[Command], bool]:
        keys, now = self.keys, self.clock()
        score, body = await ask([(b"ZSCORE", source, id), (b"HGET", keys.bodies, id)])
        stored = None if score is None or body is None else read_body(body)
        if stored is None:
            return [], False
        commands: list[Command] = [(b"INCR", keys.moves)]
        if source != keys.later:
            commands += [(b"INCR", keys.admissions), (b"ZREM", source, id)]
        commands += [
            (b"ZADD", keys.later, f"{due:.6f}", id), *self._claim(stored[1], now, due),
            (b"SPUBLISH", keys.control, later(due)),
        ]  # fmt: skip
        return commands, True

    def _claim(self, entry: JobEntry, now: float, due: float) -> list[Command]:
        """Commands that let a unique job keep its place until it can have run."""
        return prolong(self.keys, entry.unique, entry.id, now, self.unique_for + max(0.0, due - now))

    def _cancelled(self) -> bytes:
        return cancelled((*NONE[:3], self.clock(), *NONE[4:]))

    async def _execute(self, commands: Sequence[Command]) -> list[object]:
        replies = await self.link.transaction(commands)
        for reply in replies:
            # a queue that has had no worker yet has no group
            if isinstance(reply, RedisError) and not is_missing(reply):
                raise reply
        return list(replies)
