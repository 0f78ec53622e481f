"""Entries that wait in hand for their next attempt, because others of the same key wait for them.

The entry that failed is settled for its handler, and another delivery of it takes over its key and its place. When the
delay has passed, the server is told that it is delivered once more, which raises its count.
"""

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import anyio
from coredis.exceptions import RedisError

from consumers.delivery import Delivery, State
from consumers.groups import Entry, Group, is_missing
from consumers.owners import Phase
from consumers.retry import Backoff, persist

__all__ = ["Postponing"]

D = TypeVar("D", bound=Delivery)


class Postponing(Generic[D]):
    """ready: gets an entry whose delay has passed. lost: gets one that another consumer has by then."""

    def __init__(
        self, group: Group, *, ready: Callable[[D], None], lost: Callable[[D], None], reconnect: Backoff
    ) -> None:
        self._group = group
        self._ready = ready
        self._lost = lost
        self._reconnect = reconnect

    def hold(self, failed: Delivery, again: D, delay: float) -> None:
        """Have `again` take the place of `failed`, to be delivered after `delay` seconds."""
        again.state = State.POSTPONED
        again.leased = anyio.current_time()
        again.due = again.leased + delay
        again.key, failed.key = failed.key, None
        failed.state = State.SETTLED

    async def run(self, delivery: D) -> None:
        """Deliver an entry once more when its delay has passed. Raises the server's permanent refusals."""
        await anyio.sleep_until(delivery.due)
        found = await persist(partial(self._take, delivery), self._reconnect)
        if delivery.state is not State.POSTPONED:
            return
        if found:
            delivery.delivery_count, delivery.leased = found[0].deliveries, anyio.current_time()
            delivery.phase, delivery.doubtful = Phase.CLEAN, 0
            delivery.state = State.WAITING
            self._ready(delivery)
        else:
            delivery.lost = True
            self._lost(delivery)

    async def _take(self, delivery: D) -> list[Entry]:
        if delivery.state is not State.POSTPONED:
            return []
        counts = {delivery.id.encode(): delivery.delivery_count - delivery.doubtful + 1}
        try:
            return await self._group.take(delivery.stream, counts)
        except RedisError as error:
            if not is_missing(error):
                raise
            return []
