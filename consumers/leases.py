"""Keeps leases: an entry in hand must not become so idle on the server that another consumer claims it.

Every third of ack_wait the idle time of all entries in hand is restarted (XCLAIM JUSTID, which does not change the
delivery count). An entry whose lease may have run out, because this process was suspended or the server was away, is
extended only if it has been idle for half of ack_wait (XCLAIM's own condition, so there is no race). Otherwise another
consumer has it and keeps its lease, and extending would steal it.

The lease of an entry that was handed out by the pull interface and is neither settled nor inside `async with` is not
kept: it runs out after ack_wait, unless in_progress() is called, and the entry is given back.
"""

from collections.abc import Callable, Iterable, Sequence

import anyio
from coredis.exceptions import RedisError

from consumers.delivery import Delivery, State
from consumers.groups import Group, is_missing
from consumers.owners import Phase
from consumers.retry import suppress_transient

__all__ = ["Leases"]


class Leases:
    """Keeps the leases of the entries that `in_hand` returns. `expired` is called for each lease that has run out."""

    def __init__(
        self, group: Group, in_hand: Callable[[], Iterable[Delivery]], expired: Callable[[Delivery], None]
    ) -> None:
        self._group = group
        self._in_hand = in_hand
        self._expired = expired
        self._ack_wait = group.idle / 1000

    async def run(self) -> None:
        """Keep leases, forever. Raises the server's permanent refusals."""
        while True:
            await anyio.sleep(self._ack_wait / 3)
            with suppress_transient():
                await self.refresh()

    async def refresh(self) -> None:
        """Extend every lease now."""
        now = anyio.current_time()
        kept: list[Delivery] = []
        left: list[Delivery] = []
        for delivery in list(self._in_hand()):
            if delivery.kept:
                # an entry that is being given back must not be claimed again
                if delivery.state is not State.SETTLING and not delivery.lost:
                    kept.append(delivery)
            elif now - delivery.leased > self._ack_wait:
                left.append(delivery)
        await self._extend(kept, now)
        # given back by us, since others claim only from silent consumers; but not if another one has claimed it
        questions = [
            one for delivery in left for one in self._group.owned(delivery.stream, [delivery.id], delivery.phase)
        ]
        replies = await self._group.link.execute(questions) if questions else []
        for delivery, reply in zip(left, replies, strict=True):
            if isinstance(reply, RedisError) and not is_missing(reply):
                raise reply
            if not delivery.kept and not delivery.settled:
                delivery.lost = delivery.lost or isinstance(reply, RedisError) or not reply
                self._expired(delivery)

    async def extend(self, delivery: Delivery) -> bool:
        """Extend one lease; returns False if another consumer has the entry."""
        if not delivery.lost:
            await self._extend([delivery], anyio.current_time())
        return not delivery.lost

    async def _extend(self, deliveries: Sequence[Delivery], now: float) -> None:
        together: dict[tuple[str, int, Phase], list[Delivery]] = {}
        for delivery in deliveries:
            doubtful = now - delivery.leased > self._ack_wait * 0.9
            idle = self._group.idle // 2 if doubtful else 0
            together.setdefault((delivery.stream, idle, delivery.phase), []).append(delivery)
        if not together:
            return
        commands = [
            self._group.extend(stream, [one.id for one in some], idle, phase)
            for (stream, idle, phase), some in together.items()
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
