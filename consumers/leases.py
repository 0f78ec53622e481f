"""Keeping leases: an entry in hand must not become so idle on the server that another consumer claims it.

Every third of ack_wait the idle time of all entries in hand starts anew (XCLAIM JUSTID, which leaves the delivery
count alone). An entry whose lease may have run out meanwhile, because this process stood still or the server was
away, is extended only if it has been idle for half of ack_wait (XCLAIM's own condition, so there is no race): else
somebody else has it and keeps its lease, and it would be taken from under their hands.

An entry that was handed out by the pull interface and is neither settled nor inside `async with` is not kept: its
lease runs out after ack_wait, unless in_progress() is called.

Delays longer than ack_wait can't be expressed by an idle time, so entries with such a delay are kept here, too, until
the rest of their delay can. If this process dies, they come due after ack_wait.
"""

from collections.abc import Callable, Iterable, Sequence

import trio
from coredis.exceptions import RedisError

from consumers.connection import Command
from consumers.delivery import Delivery, State
from consumers.errors import transient
from consumers.groups import DELAYED, Group, is_missing

__all__ = ["Leases"]

POSTPONED = 65536
"""Most entries with a delay longer than ack_wait that are kept; beyond, the delay is cut to ack_wait."""


class Leases:
    """Keeps the leases of what `in_hand` returns. `expired` is called for an entry whose lease was let go."""

    def __init__(
        self, group: Group, in_hand: Callable[[], Iterable[Delivery]], expired: Callable[[Delivery], None]
    ) -> None:
        self._group = group
        self._in_hand = in_hand
        self._expired = expired
        self._ack_wait = group.idle / 1000
        self._postponed: dict[tuple[str, str], float] = {}
        self._refreshed = trio.current_time()

    def postpone(self, stream: str, id: str, delay: float) -> None:
        """Keep an entry that was given back until its delay (seconds) fits into an idle time."""
        if len(self._postponed) < POSTPONED:
            self._postponed[stream, id] = trio.current_time() + delay

    async def run(self) -> None:
        """Keep leases, for ever. Raises what the server refuses for good."""
        while True:
            await trio.sleep(self._ack_wait / 3)
            try:
                await self.refresh()
            except Exception as error:
                if not transient(error):
                    raise

    async def refresh(self) -> None:
        """Extend every lease now."""
        now = trio.current_time()
        kept: list[Delivery] = []
        for delivery in list(self._in_hand()):
            if delivery.kept:
                # what is being given back must not be taken again
                if delivery.state is not State.SETTLING and not delivery.lost:
                    kept.append(delivery)
            elif now - delivery.leased > self._ack_wait:
                self._expired(delivery)
        await self._extend(kept, now)
        await self._extend_postponed(now)
        self._refreshed = now

    async def extend(self, delivery: Delivery) -> bool:
        """Extend one lease; False when the entry has gone elsewhere."""
        if not delivery.lost:
            await self._extend([delivery], trio.current_time())
        return not delivery.lost

    async def _extend(self, deliveries: Sequence[Delivery], now: float) -> None:
        together: dict[tuple[str, int], list[Delivery]] = {}
        for delivery in deliveries:
            doubtful = now - delivery.leased > self._ack_wait * 0.9
            together.setdefault((delivery.stream, self._group.idle // 2 if doubtful else 0), []).append(delivery)
        if not together:
            return
        commands = [
            self._group.extend(stream, [one.id for one in some], idle) for (stream, idle), some in together.items()
        ]
        for some, reply in zip(together.values(), await self._group.link.execute(commands), strict=True):
            if isinstance(reply, RedisError):
                if not is_missing(reply):
                    raise reply
                reply = []
            still = set(reply)
            for one in some:
                one.leased = now
                one.lost = one.id.encode() not in still

    async def _extend_postponed(self, now: float) -> None:
        if not self._postponed:
            return
        # after a standstill they may have come due and be in somebody's hands
        doubtful = now - self._refreshed > self._ack_wait * 0.9
        commands: list[Command] = []
        for (stream, id), due in list(self._postponed.items()):
            remaining = due - now
            if doubtful or remaining <= self._ack_wait:
                del self._postponed[stream, id]
            if not doubtful:
                idle = max(0, self._group.idle - round(remaining * 1000))
                commands.append(
                    (b"XCLAIM", stream, self._group.group, DELAYED, 0, id, b"IDLE", idle, b"JUSTID"),
                )
        if commands:
            for reply in await self._group.link.execute(commands):
                if isinstance(reply, RedisError) and not is_missing(reply):
                    raise reply
