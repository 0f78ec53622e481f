"""Running suspects alone: entries that were in hand whenever consumers died, one at a time, with nothing else in hand.

While one is held, nothing is fetched. What waits is given back and what runs is waited for; then one suspect after
the other is written down as begun (Group.begin_alone) and handled. If the process dies, the server says of which.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import trio
from coredis.exceptions import RedisError

from consumers.backlog import id_order
from consumers.delivery import Delivery, State
from consumers.doorbell import Doorbell
from consumers.groups import Group, is_missing
from consumers.owners import Phase
from consumers.retry import Backoff, persist

__all__ = ["Isolation"]

D = TypeVar("D", bound=Delivery)


class Isolation(Generic[D]):
    """The suspects in hand. clear: called to give back what else waits. in_hand: how many entries are in hand in all.

    changed: where tasks wait until something is settled, or may be fetched again. hand_out: gives a suspect to a
    handler. lost: called when another consumer has it.
    """

    def __init__(
        self,
        group: Group,
        *,
        clear: Callable[[], None],
        in_hand: Callable[[], int],
        changed: trio.lowlevel.ParkingLot,
        hand_out: Callable[[D], None],
        lost: Callable[[D], None],
        reconnect: Backoff,
    ) -> None:
        self._group = group
        self._clear = clear
        self._in_hand = in_hand
        self._changed = changed
        self._hand_out = hand_out
        self._lost = lost
        self._reconnect = reconnect
        self._held: list[tuple[bool, D]] = []
        self._wanted = Doorbell()
        self.active = False
        """Whether suspects are held, so that nothing may be fetched or postponed."""

    def hold(self, delivery: D, *, guilty: bool) -> None:
        """Have a suspect run alone; those that crashed alone already come last."""
        self.active = True
        self._held.append((guilty, delivery))
        self._wanted.ring()

    async def run(self) -> None:
        """Run what is held, forever. Raises what the server refuses for good."""
        while True:
            await self._wanted.wait()
            self._clear()
            self._held.sort(key=lambda one: (one[0], one[1].stream, id_order(one[1])))
            while self._held:
                _, delivery = self._held.pop(0)
                await self._run_alone(delivery)
            self.active = False
            self._changed.unpark_all()

    async def _run_alone(self, delivery: D) -> None:
        while self._in_hand() > 1 + sum(not one.settled for _, one in self._held):
            await self._changed.park()
        if delivery.settled or delivery.lost or not await self._begin(delivery):
            return
        if not delivery.settled:
            self._hand_out(delivery)
        while delivery.state is not State.SETTLED and not delivery.lost:
            await self._changed.park()

    async def _begin(self, delivery: D) -> bool:
        # before the server is told: leases that are extended meanwhile must not take it back
        delivery.phase = Phase.ALONE
        ours = await persist(partial(self._write_down, delivery), self._reconnect)
        if ours is False:
            delivery.lost = True
            self._lost(delivery)
        return bool(ours)

    async def _write_down(self, delivery: D) -> bool | None:
        """Whether the entry is still ours; None where it was settled meanwhile."""
        if delivery.settled:
            return None
        try:
            return await self._group.begin_alone(delivery.stream, delivery.id, delivery.delivery_count)
        except RedisError as error:
            if not is_missing(error):
                raise
            return False
