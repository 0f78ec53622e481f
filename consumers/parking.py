"""Where tasks wait in line until others wake them."""

from collections import OrderedDict
from itertools import islice

from anyio import Event
from anyio.abc import AsyncBackend

from consumers import loops

__all__ = ["ParkingLot"]


class ParkingLot:
    """Tasks wait in park(), and are woken in the order in which they came.

    A wake-up is not kept: it is for tasks that wait at that time. A woken task has to look whether what it waited for
    is still there.
    """

    __slots__ = ("_backend", "_parked")

    def __init__(self) -> None:
        self._parked: OrderedDict[Event, None] = OrderedDict()
        self._backend: type[AsyncBackend] | None = None

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._parked)

    async def park(self) -> None:
        """Wait until woken."""
        if self._backend is None:
            self._backend = loops.backend()
        woken = self._backend.create_event()
        self._parked[woken] = None
        try:
            await woken.wait()
        except BaseException:
            if woken in self._parked:
                del self._parked[woken]
            else:
                # asyncio cancels even a task that has just been woken: the wake-up is for the next one
                self.unpark()
            raise

    def unpark(self, *, count: int = 1) -> None:
        """Wake those that have waited longest, at most `count`."""
        for woken in list(islice(self._parked, count)):
            del self._parked[woken]
            woken.set()

    def unpark_all(self) -> None:
        """Wake all that wait now."""
        self.unpark(count=len(self._parked))
