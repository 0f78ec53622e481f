"""A bell that one task answers: tells a task that works in rounds that there is something to do."""

import trio

__all__ = ["Doorbell"]


class Doorbell:
    """Rung by any task, answered by one.

    A ring is kept until it is answered, and several are answered as one: a task that is busy when it rings finds it at
    its next wait(). So it looks for work after wait(), never before, and misses nothing.
    """

    __slots__ = ("_rung",)

    def __init__(self) -> None:
        self._rung = trio.Event()

    def ring(self) -> None:
        """Make wait() return, now or when it is next called."""
        self._rung.set()

    async def wait(self) -> None:
        """Return once it has rung since the last wait() returned. If cancelled, it leaves the ring for the next one."""
        await self._rung.wait()
        self._rung = trio.Event()
