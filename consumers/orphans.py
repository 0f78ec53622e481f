"""Finds entries that dead consumers left behind, and takes them under a name that encodes what is known (owners.py).

A crash convicts no entry while several were in hand: which of them were begun, and which one caused it, is unknown.
Entries that were in hand at one crash are delivered again as usual; those that were in hand at `patience` crashes are
suspects and run alone, so the next crash identifies the culprit. If there is none, all of them succeed: a process that
was killed from outside costs its entries nothing but time.

A consumer is silent if it has not talked to the group for ack_wait. Each claim makes the server check that the entry
has been idle that long, so two consumers that find the same orphan don't both get it.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import anyio
from coredis.exceptions import RedisError

from consumers.connection import Command, Reply
from consumers.groups import DUE, PAGE, Entry, Group, is_missing
from consumers.names import decoded
from consumers.owners import DELAYED, PARKED, SHELVES, Phase, owner_of, read_owner

__all__ = ["Orphans", "leave"]

SWEEP_SECONDS = 5.0
"""The longest time between two searches; a quarter of ack_wait if that is shorter."""

TIDY_SECONDS = 600.0
FORGET_SECONDS = 3600.0
"""How long a name with nothing pending must have been silent before it is removed from the group."""

FORGET = """
local gone = 0
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for place = 1, #row, 2 do about[row[place]] = row[place + 1] end
  if about.pending == 0 and about.idle >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about.name)
    gone = gone + 1
  end
end
return gone
"""
"""Removes names with nothing pending from a group: ARGV are the group and the least silence in ms.

It is a script because deleting a consumer deletes what is pending for it, and between a query and a separate command an
entry could be delivered, which WATCH does not notice. It is sent only if there is a name to remove."""


class Orphan(NamedTuple):
    """A pending entry of a silent consumer. deliveries: the server's count."""

    stream: str
    id: bytes
    owner: str
    deliveries: int


class Orphans:
    """The orphans of a group. patience: crashes that an entry may share before it runs alone.

    begun: False if entries are acknowledged before they are handled, so that no pending entry was begun.
    """

    def __init__(self, group: Group, *, patience: int, begun: bool) -> None:
        self._group = group
        self._patience = patience
        self._begun = begun
        self._names = {owner_of(group.consumer, phase) for phase in Phase}
        self._every = min(SWEEP_SECONDS, group.idle / 4000)
        self._tidy_at = anyio.current_time()
        self.look_at = anyio.current_time()

    async def find(self, room: int) -> list[Entry]:
        """Take up to `room` entries of silent consumers: only suspects if there are any, otherwise others."""
        now = anyio.current_time()
        self.look_at = now + self._every * random.uniform(0.75, 1)
        tidy = now >= self._tidy_at
        if tidy:
            self._tidy_at = now + TIDY_SECONDS * random.uniform(0.75, 1)
        found = await self._pending_of(await self._silent(tidy), room)
        suspects = [one for one in found if self._next(one)[0] is Phase.HELD]
        chosen = suspects or found
        if len(chosen) >= room:
            self.look_at = now
        return await self.take(chosen[:room], self._group.idle)

    async def _silent(self, tidy: bool) -> list[tuple[str, str]]:
        """Return streams and silent names under which entries are pending. tidy: also clean up unused names."""
        group, silent = self._group, list[tuple[str, str]]()
        least = max(round(FORGET_SECONDS * 1000), 10 * group.idle)
        questions: list[Command] = [(b"XINFO", b"CONSUMERS", stream, group.group) for stream in group.streams]
        for stream, rows in zip(group.streams, await group.link.execute(questions), strict=True):
            unused = False
            for row in _unless_missing(rows):
                name = decoded(row[b"name"])
                if name in self._names or name == PARKED:
                    continue
                if not row[b"pending"]:
                    unused = unused or row[b"idle"] >= least
                elif name == DELAYED:
                    if tidy:
                        await self._adopt_delayed(stream)
                elif name in SHELVES or row[b"idle"] >= group.idle:
                    silent.append((stream, name))
            if tidy and unused:
                # if scripts are not permitted, the names stay
                await group.link.execute([(b"EVAL", FORGET, 1, stream, group.group, least)])
        return silent

    async def _pending_of(self, silent: list[tuple[str, str]], room: int) -> list[Orphan]:
        group = self._group
        questions = [
            (b"XPENDING", stream, group.group, b"IDLE", group.idle, b"-", b"+", min(room, PAGE), name)
            for stream, name in silent
        ]
        replies = await group.link.execute(questions) if questions else []
        return [
            Orphan(stream, row[0], name, row[3])
            for (stream, name), rows in zip(silent, replies, strict=True)
            for row in _unless_missing(rows)
        ]

    async def take(self, orphans: list[Orphan], idle: int) -> list[Entry]:
        """Take these if they are still idle for `idle` milliseconds."""
        together: dict[tuple[str, Phase, str], dict[bytes, int]] = {}
        for one in orphans:
            phase, count = self._next(one)
            together.setdefault((one.stream, phase, one.owner), {})[one.id] = count
        entries: list[Entry] = []
        for (stream, phase, owner), counts in together.items():
            guilty = self._begun and read_owner(owner)[1] is Phase.ALONE
            # a suspect's delivery counts once it has begun
            ahead = 1 if phase is Phase.HELD else 0
            doubtful = 0 if guilty else self.doubtful(phase)
            for entry in await self._group.take(stream, counts, idle, phase):
                deliveries = entry.deliveries + ahead
                entries.append(entry._replace(deliveries=deliveries, doubtful=doubtful, guilty=guilty))
        return entries

    async def resume(self, own: list[Orphan]) -> list[Entry]:
        """Take entries that were delivered to this consumer in a reply it has not seen, so none was begun.

        own: entries under one name in one stream.
        """
        if not own:
            return []
        phase = read_owner(own[0].owner)[1]
        phase = Phase.HELD if phase is Phase.ALONE else phase
        ahead = 1 if phase is Phase.HELD else 0
        entries = await self._group.take(own[0].stream, {one.id: one.deliveries for one in own}, 0, phase)
        return [entry._replace(deliveries=entry.deliveries + ahead, doubtful=self.doubtful(phase)) for entry in entries]

    def doubtful(self, phase: Phase) -> int:
        """How many deliveries of an entry in this phase ended in crashes that it shared."""
        if phase is Phase.CLEAN:
            return 0
        return 1 if phase is Phase.AGAIN else self._patience

    def _next(self, orphan: Orphan) -> tuple[Phase, int]:
        """Return the phase in which an orphan is taken, and its delivery count on the server from then on."""
        consumer, phase = read_owner(orphan.owner)
        if not self._begun:
            return Phase.CLEAN, orphan.deliveries
        if phase in (Phase.HELD, Phase.ALONE):
            return Phase.HELD, orphan.deliveries
        shared = self.doubtful(phase) + (1 if consumer else 0)
        if shared < self._patience:
            return Phase.AGAIN, orphan.deliveries + 1
        if phase is Phase.AGAIN and not consumer:
            return Phase.AGAIN, orphan.deliveries + 1
        return Phase.HELD, orphan.deliveries

    async def _adopt_delayed(self, stream: str) -> None:
        """Make entries due that were given back by a release that delivered them again at ack_wait instead of DUE."""
        group, first = self._group, "-"
        while True:
            question = (b"XPENDING", stream, group.group, b"IDLE", group.idle, first, b"+", PAGE, DELAYED)
            (reply,) = await group.link.execute([question])
            rows = _unless_missing(reply)
            old = [row for row in rows if row[2] < DUE // 2]
            commands: list[Command] = [
                (b"XCLAIM", stream, group.group, DELAYED, group.idle, row[0], b"IDLE", DUE, b"RETRYCOUNT", row[3],
                 b"JUSTID")
                for row in old
            ]  # fmt: skip
            if commands:
                await group.link.execute(commands)
            if len(rows) < PAGE:
                return
            first = f"({rows[-1][0].decode()}"


async def leave(group: Group, *, wholly: bool) -> None:
    """Remove a consumer's names from the group if nothing is pending under them; with `wholly` also its reading name.

    Only for a consumer that knows the outcome of all its requests: a read whose reply was lost may still be waiting on
    the server, and get an entry under a name that is being deleted.
    """
    names = [owner_of(group.consumer, phase) for phase in Phase if wholly or phase is not Phase.CLEAN]
    places = [(stream, name) for stream in group.streams for name in names]
    replies = await group.link.execute(
        [(b"XPENDING", stream, group.group, b"-", b"+", 1, name) for stream, name in places]
    )
    unused = [place for place, reply in zip(places, replies, strict=True) if reply == []]
    if unused:
        await group.link.execute([(b"XGROUP", b"DELCONSUMER", stream, group.group, name) for stream, name in unused])


def _unless_missing(reply: Reply) -> Reply:
    """The rows of a reply; none if the group is gone. Raises any other error."""
    if isinstance(reply, RedisError):
        if is_missing(reply) or "no such key" in str(reply):
            return []
        raise reply
    return reply
