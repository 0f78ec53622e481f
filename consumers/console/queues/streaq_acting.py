"""What may be done to streaQ's tasks while its workers run.

A task that others wait for, or that waits for others, is only ever aborted, which is for a worker to carry out: that
alone makes the others fail, or starts their fallbacks.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text, transaction
from consumers.console.queues.library import Refused
from consumers.console.queues.stream_groups import entry_order, groups_in, is_entry_id, last_delivered
from consumers.console.queues.streaq_keys import GROUP, Keys, entries_in
from consumers.transactions import Ask

__all__ = ["Actor"]

PAGE = 100
"""Tasks that one transaction removes."""


class Actor:
    """Acts on one queue."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def abort(self, id: str) -> None:
        """Do as streaQ's abort does, without waiting for the end: workers look every half second. Raises Refused."""
        keys = self._keys

        async def decide(query: Ask) -> tuple[list[Command], None]:
            (exists,) = await query([(b"EXISTS", keys.data(id))])
            if not exists:
                raise Refused(f"there is no task {id} any more")
            return [(b"SADD", keys.aborted, id)], None

        await transaction(self._client, [keys.data(id)], decide)

    async def delete(self, id: str, place: str) -> None:
        """Remove a task that no worker has fetched. Raises Refused.

        Should a worker fetch it meanwhile, it finds no data, and the task fails as one that has expired.
        """
        keys = self._keys
        number, _, entry = place.partition(" ")
        stream = ""
        if number.isdecimal() and int(number[:9]) < len(keys.streams) and is_entry_id(entry):
            stream = keys.streams[int(number)]

        async def decide(query: Ask) -> tuple[list[Command], None]:
            exists, dependents, dependencies, *scores = await query([
                (b"EXISTS", keys.data(id)), (b"SCARD", keys.dependents(id)), (b"EXISTS", keys.dependencies(id)),
                *((b"ZSCORE", key, id) for key in keys.delayed),
            ])  # fmt: skip
            if not exists:
                raise Refused(f"there is no task {id} any more")
            if dependents or dependencies:
                raise Refused("the task waits for others, or others for it: abort it, so that they learn of it")
            leave: list[Command] = [(b"ZREM", key, id) for key in keys.delayed]
            if all(score is None for score in scores):
                if not stream or not await _is_unfetched(query, stream, entry, id):
                    raise Refused(f"the task {id} is not where it was, or a worker has fetched it: abort it")
                leave = [(b"XDEL", stream, entry)]
            return [*leave, (b"DEL", keys.data(id), keys.retry(id)), (b"SREM", keys.aborted, id)], None

        await transaction(self._client, [keys.data(id), keys.dependents(id)], decide)

    async def delete_result(self, id: str) -> None:
        """Delete a task's outcome. Raises Refused."""
        replies = await ask(self._client, [(b"DEL", self._keys.result(id)), (b"ZREM", self._keys.results, id)])
        if not integer(replies[0]):
            raise Refused(f"there is no result of {id} any more")

    async def purge_delayed(self) -> int:
        """Remove the delayed tasks that no others wait for, and count them."""
        done = 0
        for key in self._keys.delayed:
            (count,) = await ask(self._client, [(b"ZCARD", key)])
            removed = kept = 0
            while removed + kept < integer(count):
                (reply,) = await ask(self._client, [(b"ZRANGE", key, kept, kept + PAGE - 1)])
                if not (ids := [text(id) for id in known(reply) or ()]):
                    break
                some = await self._remove([(id, (b"ZREM", key, id)) for id in ids])
                removed, kept = removed + some, kept + len(ids) - some
            done += removed
        return done

    async def purge_waiting(self) -> int:
        """Remove the tasks that are there now, that no worker has fetched and no others wait for, and count them."""
        done = 0
        for stream in self._keys.streams:
            groups, last = await ask(
                self._client, [(b"XINFO", b"GROUPS", stream), (b"XREVRANGE", stream, b"+", b"-", b"COUNT", 1)]
            )
            if not (newest := known(last)):
                continue
            ours = [one for one in groups_in(groups) if one[b"name"] == GROUP.encode()]
            after = f"({last_delivered(ours[0])}" if ours else "-"
            while True:
                (reply,) = await ask(self._client, [(b"XRANGE", stream, after, newest[0][0], b"COUNT", PAGE)])
                if not (page := known(reply)):
                    break
                after = f"({text(page[-1][0])}"
                done += await self._remove([(id, (b"XDEL", stream, entry)) for entry, id, _ in entries_in(page)])
        return done

    async def _remove(self, tasks: Sequence[tuple[str, Command]]) -> int:
        """Remove tasks that no others wait for, each with the command that takes it out of its queue."""
        keys = self._keys

        async def decide(query: Ask) -> tuple[list[Command], int]:
            counts = await query([(b"SCARD", keys.dependents(id)) for id, _ in tasks])
            gone = [(id, leave) for (id, leave), count in zip(tasks, counts, strict=True) if not count]
            if not gone:
                return [], 0
            stored = [key for id, _ in gone for key in (keys.data(id), keys.retry(id))]
            return [*(leave for _, leave in gone), (b"DEL", *stored)], len(gone)

        return await transaction(self._client, [keys.dependents(id) for id, _ in tasks], decide) if tasks else 0


async def _is_unfetched(query: Ask, stream: str, entry: str, id: str) -> bool:
    """Whether an entry is this task's, and no group has been given it."""
    found, groups = await query([(b"XRANGE", stream, entry, entry), (b"XINFO", b"GROUPS", stream)])
    fetched = [entry_order(last_delivered(one)) for one in groups_in(groups)]
    return [task for _, task, _ in entries_in(found)] == [id] and all(one < entry_order(entry) for one in fetched)
