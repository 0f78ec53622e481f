"""A bell that one task answers: tells a task that works in rounds that there is something to do."""

from anyio import Event
from anyio.lowlevel import checkpoint

__all__ = ["Doorbell"]


class Doorbell:
    """Rung by any task, answered by one.

    A ring is kept until it is answered, and several are answered as one: a task that is busy when it rings finds it at
    its next wait(). So it looks for work after wait(), never before, and misses nothing.
    """

    __slots__ = ("_rung", "_waiting")

    def __init__(self) -> None:
        self._rung = False
        self._waiting: Event | None = None

    def ring(self) -> None:
        """Make wait() return, now or when it is next called."""
        if not self._rung:
            self._rung = True
            if self._waiting is not None:
                self._waiting.set()

    async def wait(self) -> None:
        """Return once it has rung since the last wait() returned. If cancelled, it leaves the ring for the next one."""
        if self._rung:
            await checkpoint()
        else:
            self._waiting = Event()
            try:
                await self._waiting.wait()
            finally:
                self._waiting = None
        self._rung = False
