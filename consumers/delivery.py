"""One entry in hand: delivered to this consumer, and not yet acknowledged, given back or dead-lettered."""

from collections.abc import Hashable
from enum import Enum, auto
from functools import cached_property
from types import TracebackType
from typing import Protocol, Self

import anyio

from consumers import loops
from consumers.connection import Command
from consumers.errors import Reject, Retry, alone
from consumers.given import Duration, duration
from consumers.middleware import Label
from consumers.owners import Phase
from consumers.settling import Outcome, Settlement

__all__ = ["Delivery", "Inbox", "State"]


class State(Enum):
    """The state of an entry in hand."""

    WAITING = auto()
    """It has not been given to a handler yet."""
    POSTPONED = auto()
    """Its last attempt failed, and it waits here, holding its key, for the next one."""
    ACTIVE = auto()
    """A handler has it."""
    SETTLING = auto()
    """Its outcome is decided; the server has not confirmed it yet."""
    SETTLED = auto()


class Inbox(Protocol):
    """What a delivery needs from the engine that has it in hand."""

    def settle(self, delivery: "Delivery", settlement: Settlement) -> None: ...
    def failed(self, delivery: "Delivery", error: BaseException | None, delay: float | None) -> Settlement | None: ...
    def rejected(self, delivery: "Delivery", reason: str) -> Settlement: ...
    async def extend(self, delivery: "Delivery") -> bool: ...


class Delivery:
    """An entry as a handler sees it.

    Delivery is at least once: after a crash, a lost connection or an expired lease the same entry is delivered again,
    here or elsewhere. So handlers must be idempotent, keyed by (stream, id) if there is nothing better.

    stream, id: identify the entry. delivery_count: the server's count of its deliveries, 1 for the first. doubtful: how
    many of them ended in a crash of the consumer while other entries were in hand as well, so that it is unknown
    whether a handler had begun. values: its fields and values in turn, as bytes.

    For the engine: phase: the name under which it is pending (owners.py). key: the key it is ordered by. running: a
    handler task is working on it. kept: its lease is extended automatically. leased: when that was last done, or when
    it was delivered (the loop's clock). lost: another consumer has it. nacked: it was given back. due: when a POSTPONED
    one is delivered again.
    caller: the token of the client that waits for an answer, see replies.py.
    """

    caller: bytes | None = None

    def __init__(self, inbox: Inbox, stream: str, id: str, values: list[bytes], deliveries: int) -> None:
        self.stream = stream
        self.id = id
        self.values = values
        self.delivery_count = deliveries
        self.doubtful = 0
        self.phase = Phase.CLEAN
        self.state = State.WAITING
        self.key: Hashable | None = None
        self.running = False
        self.kept = True
        self.lost = False
        self.nacked = False
        self.due = 0.0
        self.leased = 0.0
        self._inbox = inbox

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.stream} {self.id} delivery {self.delivery_count}>"

    @cached_property
    def fields(self) -> dict[str, bytes]:
        """The entry's fields. Names are decoded as UTF-8, values are the bytes that were sent."""
        values = self.values
        return {
            name.decode("utf-8", "surrogateescape"): value
            for name, value in zip(values[::2], values[1::2], strict=True)
        }

    @property
    def label(self) -> Label:
        """What it is called in traces."""
        return Label(self.stream, self.id)

    @property
    def has_begun(self) -> bool:
        """Whether a handler has had it, once one was to."""
        return True

    @property
    def settled(self) -> bool:
        """Whether the entry's outcome is decided: acknowledged, given back or rejected."""
        return self.state in (State.SETTLING, State.SETTLED)

    async def ack(self, *commands: Command) -> None:
        """Acknowledge the entry; returns when the server has confirmed it. Does nothing if it is already settled.

        commands: executed in one MULTI/EXEC with the acknowledgement, e.g. (b"SET", key, result). After a lost
        connection they may have been executed although the entry is handled again.
        """
        if not self.settled:
            await self._carry_out(Settlement(self, Outcome.ACK, commands=commands))

    async def nack(self, delay: Duration | None = None) -> None:
        """Have the entry delivered again after `delay` (seconds or a timedelta); None: as the retry policy says.

        An entry that has been delivered max_deliver times is dead-lettered instead. Returns when the server has
        confirmed.
        """
        seconds = None if delay is None else duration("delay", delay)
        if not self.settled and (settlement := self._inbox.failed(self, None, seconds)):
            await settlement.wait()

    async def reject(self, reason: str) -> None:
        """Move the entry to the dead-letter stream immediately, with this reason, and acknowledge it.

        Without a dead-letter stream it is acknowledged and logged as an error.
        """
        if not self.settled:
            await self._inbox.rejected(self, reason).wait()

    async def in_progress(self) -> bool:
        """Restart the lease: ack_wait counts from now. The delivery count does not change.

        While a handler runs, or inside `async with message`, this happens automatically. False: the entry is no longer
        this consumer's, and another one may be handling it.
        """
        return not self.settled and await self._inbox.extend(self)

    def crashed_alone(self, maximum: int | None) -> bool:
        """Its consumer died while it alone was in hand. True: it is given up. maximum: deliveries it may have."""
        deliveries = self.delivery_count - 1
        if maximum is None or deliveries < maximum:
            return False
        self._inbox.rejected(
            self, f"delivered {deliveries} times, in the last of which its consumer died, handling it alone"
        )
        return True

    async def _carry_out(self, settlement: Settlement) -> None:
        self._inbox.settle(self, settlement)
        await settlement.wait()

    async def __aenter__(self) -> Self:
        self.kept = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Acknowledge after success; after an Exception give back or dead-letter, as in a handler, and suppress it.

        SystemExit and similar exceptions count as failures too, but propagate. After Cancelled and KeyboardInterrupt
        the entry is given back without a delay, uncounted.
        """
        if error is None:
            await self.ack()
            return False
        self.fail(error)
        if isinstance(error, BaseExceptionGroup):
            # asyncio's task groups raise their tasks' failures instead of a cancellation
            loops.cancel_again()
        return isinstance(error, Exception)

    def fail(self, error: BaseException) -> None:
        """Decide the entry's outcome after its handler raised `error`."""
        if self.settled:
            return
        error = alone(error)
        if isinstance(error, Reject):
            self._inbox.rejected(self, str(error))
        else:
            self._inbox.failed(self, error, error.delay if isinstance(error, Retry) else None)

    def give_back(self, *, used: bool) -> None:
        """Release the entry without waiting for the server. used: this delivery counts."""
        if self.state is State.POSTPONED:
            delay = max(0.0, self.due - anyio.current_time())
            self._inbox.settle(self, Settlement(self, Outcome.NACK, delay=delay))
        elif not self.settled:
            self._inbox.settle(self, Settlement(self, Outcome.NACK, used=used))
