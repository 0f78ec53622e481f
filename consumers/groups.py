"""A consumer group's operations on the server, over several streams, with exact delivery counts.

Which consumer has an entry, since when, and how often it was delivered is recorded in the group's pending entries list
(PEL) on the server and nowhere else, so it survives any crash here. The rules:

- An entry is *taken* by XREADGROUP, XAUTOCLAIM or XCLAIM; each raises its delivery count by one.
- A lease is kept by XCLAIM with JUSTID: the idle time restarts, the count does not change.
- An entry that is given back stays pending under the consumer name DELAYED, with its idle time set (XCLAIM IDLE) so
  that it reaches DUE, a year, at the moment of its next delivery: the next consumer that claims such entries gets it.
  One given back without a delay is released by XNACK if the server has it, and otherwise made to look delivered long
  ago.
- A delivery that was not used is subtracted from the count.
- An entry that is idle for ack_wait but not for a year was left behind by a consumer that died: see orphans.py.

All consumers of a group must use the same ack_wait, since it is the idle time after which a consumer counts as dead.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from coredis.exceptions import (
    AuthorizationError,
    RedisError,
    StreamConsumerGroupError,
    StreamDuplicateConsumerGroupError,
)

from consumers.capabilities import LEAST, Capabilities
from consumers.connection import Command, Link, Reply
from consumers.names import decoded
from consumers.owners import DELAYED, Phase, owner_of

__all__ = ["DUE", "Entry", "Group", "Start", "after_start", "is_missing"]

DUE = 365 * 86_400_000
"""The idle time, in milliseconds, at which an entry that was given back is delivered again.

Far beyond the longest time for which a whole group may be down: a claim by this idle time must not get entries that
dead consumers left behind, because these have yet to be assigned a phase."""

logger = logging.getLogger("consumers")

PAGE = 1000
"""The most entries that one query of the PEL asks for."""

WAIT_SECONDS = 0.5
"""The longest wait for new entries that does not take them: it does not notice those that become due."""

SWEEP_STEPS = 20
"""The most XAUTOCLAIMs in one sweep. Each examines ten times as many pending entries as it may claim."""


class Start(Enum):
    """Where a new group begins. Alternatives are an ID ("1526919030474-55": after it) and a datetime (from it on)."""

    BEGINNING = "0"
    END = "$"


class Entry(NamedTuple):
    """An entry as delivered: `values` is its fields and values in turn, `deliveries` includes this one.

    phase: the kind of name under which it is pending. doubtful: how many of the deliveries ended in a crash that it
    shared with others. guilty: its consumer died while it alone was in hand.
    """

    stream: str
    id: bytes
    values: list[bytes]
    deliveries: int
    phase: Phase = Phase.CLEAN
    doubtful: int = 0
    guilty: bool = False


def after_start(start: Start | str | datetime) -> str:
    """Return the last ID before `start`, as XGROUP CREATE and XREAD take it. A naive datetime is local time."""
    if isinstance(start, Start):
        return start.value
    if isinstance(start, datetime):
        milliseconds = int(start.timestamp() * 1000)
        return f"{milliseconds - 1}-{2**64 - 1}" if milliseconds > 0 else "0"
    return start


class Group:
    """One consumer's view of one group on one or several streams.

    answers_calls: whether answer() may be sent, once query_for_settling() has found out.
    Every method raises ConnectionError or TimeoutError if the outcome is unknown, and RedisError if it is refused.
    """

    def __init__(
        self, link: Link, streams: Sequence[str], group: str, consumer: str, ack_wait: float,
        order_field: str | None = None,
    ) -> None:  # fmt: skip
        self.link = link
        self.streams = tuple(streams)
        self.group = group
        self.consumer = consumer
        self.idle = max(1, round(ack_wait * 1000))
        self._order_field = order_field
        self.capabilities: Capabilities = LEAST
        self._nack = self._policies = False
        self.answers_calls = False
        self._last: dict[str, str] = {}
        self._cursors: dict[str, bytes] = {}
        self._turn = 0
        self._newest: list[bytes] = []

    async def query_for_reading(self) -> None:
        """Find out what the server can do that is read from, if it may have been replaced."""
        self.capabilities = await self.link.capabilities(reading=True)

    async def query_for_settling(self) -> None:
        """The same of the server that gets what nack() returns."""
        found = await self.link.capabilities(reading=False)
        self._nack, self._policies, self.answers_calls = found.nack, found.policies, found.calls

    async def ensure(self, start: Start | str | datetime) -> None:
        """Create the group on each stream that has none (and a missing stream).

        A group that existed earlier in this run and is gone begins after the last entry that it was seen to deliver.
        """
        create: list[Command] = [
            (b"XGROUP", b"CREATE", stream, self.group, self._last.get(stream) or after_start(start), b"MKSTREAM")
            for stream in self.streams
        ]
        for reply in await self.link.execute(create):
            if isinstance(reply, RedisError) and not isinstance(reply, StreamDuplicateConsumerGroupError):
                raise reply
        if self._order_field is not None:
            await self._order_by(self._order_field)

    async def _order_by(self, field: str) -> None:
        """Have the server order the whole group by a field, if it can; this consumer orders what it has anyway."""
        await self.query_for_settling()
        if not self._policies:
            return
        policies = [(b"XGROUP", b"CFGGET", stream, self.group) for stream in self.streams]
        for stream, policy in zip(self.streams, await self.link.execute(policies), strict=True):
            if isinstance(policy, RedisError) or policy[b"order-by"] == field.encode():
                continue
            (reply,) = await self.link.execute([(b"XGROUP", b"CFGSET", stream, self.group, b"ORDERBY", field)])
            if isinstance(reply, RedisError):
                logger.warning("%s: the group %s is not ordered by the server: %s", stream, self.group, reply)

    async def depths(self) -> dict[str, dict[str, int]]:
        """Return, by stream, how many entries wait to be read, if the server knows that, and how many are pending."""
        found: dict[str, dict[str, int]] = {}
        questions = [(b"XINFO", b"GROUPS", stream) for stream in self.streams]
        for stream, groups in zip(self.streams, await self.link.execute(questions), strict=True):
            for about in groups if isinstance(groups, list) else ():
                if about[b"name"] == self.group.encode():
                    lag = about.get(b"lag")
                    found[stream] = {"pending": about[b"pending"]} | ({} if lag is None else {"waiting": lag})
        return found

    # Taking entries.

    async def read(self, room: int, block: float, strict: bool, sweep: bool) -> list[Entry]:
        """Return up to `room` entries: due ones first, then new ones; waits up to `block` seconds for one.

        strict: earlier streams first, as long as they have any; otherwise each gets its turn. sweep: look for entries
        that are due now; a server with claiming reads does so every time.
        """
        await self.query_for_reading()
        streams = self.streams
        if len(streams) > 1 and not strict:
            self._turn = (self._turn + 1) % len(streams)
            streams = streams[self._turn :] + streams[: self._turn]
        if self.capabilities.claiming_reads and (len(streams) == 1 or self.capabilities.total_count):
            share = room if strict else -(-room // len(streams))
            return await self._read_once(streams, share, room, block)
        found: list[Entry] = []
        for stream in streams:
            share = room if strict else max(1, room // len(streams))
            if (share := min(share, room - len(found))) > 0:
                if sweep and not self.capabilities.claiming_reads:
                    found += await self._claim_due(stream, share)
                    share = min(share, room - len(found))
                if share > 0 and len(streams) > 1:
                    found += await self._read_once((stream,), share, share, 0.0)
        if found:
            self._newest = []
        elif room >= len(streams):
            # COUNT applies to each stream
            found = await self._read_once(streams, room // len(streams), 0, block)
        else:
            await self._wait(block)
        return found

    async def _wait(self, block: float) -> None:
        """Wait for a new entry in any stream without taking it: COUNT applies to each, and there is room for fewer.

        The first call only notes where the streams end, so that the read between the two misses nothing.
        """
        newest, self._newest = self._newest, []
        if not newest:
            about = await self.link.execute([(b"XINFO", b"STREAM", stream) for stream in self.streams])
            refused = [one for one in about if isinstance(one, RedisError)]
            if not refused:
                self._newest = [one[b"last-generated-id"] for one in about]
            elif isinstance(refused[0], AuthorizationError):
                # nothing else would: reading is allowed, and would go on without a pause
                raise refused[0]
            # or else the next read raises what is the matter
        elif block > 0:
            milliseconds = max(1, round(min(block, WAIT_SECONDS) * 1000))
            command: Command = (b"XREAD", b"COUNT", 1, b"BLOCK", milliseconds, b"STREAMS", *self.streams, *newest)
            if not _raised(await self.link.read(command, limit=block + 5.0)):
                self._newest = newest

    async def _read_once(self, streams: Sequence[str], count: int, total: int, block: float) -> list[Entry]:
        command: list[str | bytes | int] = [b"XREADGROUP", b"GROUP", self.group, self.consumer, b"COUNT", count]
        if self.capabilities.total_count and len(streams) > 1:
            command += [b"MAXCOUNT", total]
        if block > 0:
            command += [b"BLOCK", max(1, round(block * 1000))]
        if self.capabilities.claiming_reads:
            command += [b"CLAIM", DUE]
        command += [b"STREAMS", *streams, *(b">" for _ in streams)]
        return self._entries(_raised(await self.link.read(command, limit=block + 5.0)))

    def _entries(self, reply: Reply) -> list[Entry]:
        found: list[Entry] = []
        for name, entries in (reply or {}).items():
            stream = decoded(name)
            earlier = 0
            for entry in entries:
                # with CLAIM: ID, values, idle milliseconds, earlier deliveries
                earlier = entry[3] if len(entry) > 2 else 0
                found.append(Entry(stream, entry[0], entry[1], earlier + 1))
            if entries and not earlier:
                # claimed ones come first, so the last one is the newest; one that waited for others may be older
                self._last[stream] = max(entries[-1][0].decode(), self._last.get(stream, "0-0"), key=_order)
        return found

    async def _claim_due(self, stream: str, count: int) -> list[Entry]:
        claimed: list[Reply] = []
        for _ in range(SWEEP_STEPS):
            cursor = self._cursors.get(stream, b"0-0")
            command = (
                b"XAUTOCLAIM", stream, self.group, self.consumer, DUE, cursor, b"COUNT", count,
            )  # fmt: skip
            reply = _raised(await self.link.read(command))
            self._cursors[stream] = reply[0]
            claimed = [entry for entry in reply[1] if entry is not None and entry[1] is not None]
            if claimed or reply[0] == b"0-0":
                break
        counts = await self._deliveries(stream, [entry[0] for entry in claimed])
        return [Entry(stream, entry[0], entry[1], counts.get(entry[0], 1)) for entry in claimed]

    async def _deliveries(self, stream: str, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the server's delivery counts of entries in the PEL."""
        if not ids:
            return {}
        questions = [(b"XPENDING", stream, self.group, one, one, 1) for one in ids]
        replies = await self.link.execute(questions)
        return {row[0]: row[3] for reply in replies for row in _raised(reply)}

    async def take(
        self, stream: str, counts: Mapping[bytes, int], idle: int = 0, phase: Phase = Phase.CLEAN
    ) -> list[Entry]:
        """Have pending entries delivered to this consumer if they are idle for at least `idle` milliseconds.

        counts: their delivery counts from then on. phase: selects which of its names. Entries that were deleted
        meanwhile leave the PEL and are not returned.
        """
        together: dict[int, list[bytes]] = {}
        for id, count in counts.items():
            together.setdefault(count, []).append(id)
        commands: list[Command] = [
            (b"XCLAIM", stream, self.group, owner_of(self.consumer, phase), idle, *ids, b"RETRYCOUNT", count)
            for count, ids in together.items()
        ]
        found: list[Entry] = []
        for reply in await self.link.execute(commands) if commands else ():
            taken = [entry for entry in _raised(reply) if entry is not None and entry[1] is not None]
            found += [Entry(stream, entry[0], entry[1], counts[entry[0]], phase) for entry in taken]
        return found

    async def pending(
        self, stream: str, phase: Phase = Phase.CLEAN, first: str = "-", count: int = PAGE
    ) -> dict[bytes, int]:
        """Return IDs and delivery counts of entries pending under one of this consumer's names, from `first` on."""
        owner = owner_of(self.consumer, phase)
        (reply,) = await self.link.execute([(b"XPENDING", stream, self.group, first, b"+", count, owner)])
        return {row[0]: row[3] for row in _raised(reply)}

    async def pending_of_all(self, stream: str, first: str = "-") -> list[tuple[bytes, str, int]]:
        """Return ID, owner and delivery count of entries pending under any name, in order, from `first` on."""
        (reply,) = await self.link.execute([(b"XPENDING", stream, self.group, first, b"+", PAGE)])
        return [(row[0], decoded(row[1]), row[3]) for row in _raised(reply)]

    async def occupied(self) -> list[tuple[str, Phase]]:
        """Return the streams and phases in which anything is pending for this consumer, in one round trip."""
        places = [(stream, phase) for stream in self.streams for phase in Phase]
        questions = [
            (b"XPENDING", stream, self.group, b"-", b"+", 1, owner_of(self.consumer, phase)) for stream, phase in places
        ]
        replies = await self.link.execute(questions)
        return [place for place, reply in zip(places, replies, strict=True) if _raised(reply)]

    async def begin_alone(self, stream: str, id: str, deliveries: int) -> bool:
        """Record that a held entry's handler is about to begin, with nothing else in hand. False: no longer ours."""
        (rows,) = await self.link.execute(self.owned(stream, [id], Phase.HELD))
        if not _raised(rows):
            # an attempt whose reply was lost may have done it
            (rows,) = await self.link.execute(self.owned(stream, [id], Phase.ALONE))
            return bool(_raised(rows))
        owner = owner_of(self.consumer, Phase.ALONE)
        command = (b"XCLAIM", stream, self.group, owner, 0, id, b"RETRYCOUNT", deliveries, b"JUSTID")
        (reply,) = await self.link.execute([command])
        return bool(_raised(reply))

    # Commands for entries in hand; the caller sends them, many in one round trip.

    def ack(self, stream: str, ids: Iterable[str]) -> Command:
        """XACK for entries of one stream."""
        return (b"XACK", stream, self.group, *ids)

    def answer(self, stream: str, id: str, value: bytes, *, dead: bool) -> Command:
        """XREPLY, which also acknowledges. dead: the entry is given up, and the value is the reason."""
        return (b"XREPLY", stream, self.group, id, value, *((b"DEADLETTER",) if dead else ()))

    def extend(self, stream: str, ids: Iterable[str], idle: int = 0, phase: Phase = Phase.CLEAN) -> Command:
        """Restart the idle time; the reply has the IDs of those that were pending and idle for `idle` ms."""
        return (b"XCLAIM", stream, self.group, owner_of(self.consumer, phase), idle, *ids, b"JUSTID")

    def shelve(self, stream: str, id: str, deliveries: int, phase: Phase) -> Command:
        """Give back a suspect that was not begun: it stays a suspect, for any consumer to take."""
        shelf = owner_of("", Phase.HELD if phase is Phase.ALONE else phase)
        return (
            b"XCLAIM", stream, self.group, shelf, 0, id, b"IDLE", self.idle, b"RETRYCOUNT", max(0, deliveries - 1),
            b"JUSTID",
        )  # fmt: skip

    def keep(self, stream: str, id: str, deliveries: int) -> Command:
        """Leave one entry pending under this consumer's name, to be delivered again with a count above this one."""
        return (b"XCLAIM", stream, self.group, self.consumer, 0, id, b"RETRYCOUNT", deliveries + 1, b"JUSTID")

    def nack(self, stream: str, id: str, deliveries: int, delay: float, used: bool) -> Command:
        """Give one entry back, to be delivered again `delay` seconds from now, at most half a year.

        used: whether this delivery counts. deliveries: the count with this delivery.
        """
        count = deliveries if used else max(0, deliveries - 1)
        if delay <= 0 and self._nack:
            return (b"XNACK", stream, self.group, b"FAIL", b"IDS", 1, id, b"RETRYCOUNT", count)
        if delay <= 0:
            since: tuple[bytes, int] = (b"TIME", 0)
        else:
            since = (b"IDLE", DUE - min(round(delay * 1000), DUE // 2))
        return (
            b"XCLAIM", stream, self.group, DELAYED, 0, id, *since, b"RETRYCOUNT", count, b"JUSTID",
        )  # fmt: skip

    def owned(self, stream: str, ids: Iterable[str], phase: Phase = Phase.CLEAN) -> list[Command]:
        """One query per ID: whether it is still pending for this consumer (the reply has one row if so)."""
        owner = owner_of(self.consumer, phase)
        return [(b"XPENDING", stream, self.group, one, one, 1, owner) for one in ids]


def _order(id: str) -> tuple[int, int]:
    time, _, number = id.partition("-")
    return int(time), int(number)


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RedisError):
        raise reply
    return reply


def is_missing(error: BaseException) -> bool:
    """Whether an error reply means that the group (or its stream) is gone."""
    return isinstance(error, StreamConsumerGroupError) and not isinstance(error, StreamDuplicateConsumerGroupError)
