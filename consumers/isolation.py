"""Runs suspects alone: entries that were in hand at several crashes, one at a time, with nothing else in hand.

While a suspect is held, nothing is fetched. Waiting entries are given back and running ones finish; then one suspect
after the other is recorded as begun (Group.begin_alone) and handled. If the process dies, the server knows which one
it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

from coredis.exceptions import RedisError

from consumers.backlog import id_order
from consumers.delivery import Delivery, State
from consumers.doorbell import Doorbell
from consumers.groups import Group, is_missing
from consumers.owners import Phase
from consumers.parking import ParkingLot
from consumers.retry import Backoff, persist

__all__ = ["Isolation"]

D = TypeVar("D", bound=Delivery)


class Isolation(Generic[D]):
    """The suspects in hand. clear: gives back all other waiting entries. in_hand: returns how many entries are in hand.

    changed: where tasks wait until an entry is settled, or fetching may resume. hand_out: passes a suspect to a
    handler. lost: called when another consumer has it.
    """

    def __init__(
        self,
        group: Group,
        *,
        clear: Callable[[], None],
        in_hand: Callable[[], int],
        changed: ParkingLot,
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
        """Have a suspect run alone; those that have already crashed alone come last."""
        self.active = True
        self._held.append((guilty, delivery))
        self._wanted.ring()

    async def run(self) -> None:
        """Run held suspects, forever. Raises the server's permanent refusals."""
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
        # before recording it on the server: leases that are extended meanwhile must not undo it
        delivery.phase = Phase.ALONE
        ours = await persist(partial(self._record, delivery), self._reconnect)
        if ours is False:
            delivery.lost = True
            self._lost(delivery)
        return bool(ours)

    async def _record(self, delivery: D) -> bool | None:
        """Record the entry as begun; returns whether it is still ours, None if it was settled meanwhile."""
        if delivery.settled:
            return None
        try:
            return await self._group.begin_alone(delivery.stream, delivery.id, delivery.delivery_count)
        except RedisError as error:
            if not is_missing(error):
                raise
            return False
