"""Something that happens at the n-th step of a loop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from consumers.loops import current_loop

__all__ = ["at_step"]


class _Counting(trio.abc.Instrument):
    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self._remaining = step
        self._act = act

    def before_task_step(self, task: object) -> None:
        self._remaining -= 1
        if self._remaining == 0:
            self._act()


@contextmanager
def at_step(step: int, act: Callable[[], object]) -> Iterator[None]:
    """Call `act` before the n-th step of any task (asyncio: of any callback) from here on."""
    counting = _Counting(step, act)
    if current_loop() == "trio":
        trio.lowlevel.add_instrument(counting)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(counting)
        return
    run = asyncio.Handle._run

    def counted(handle: asyncio.Handle) -> None:
        counting.before_task_step(handle)
        run(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", counted)
        yield
