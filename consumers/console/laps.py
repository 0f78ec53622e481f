"""A look at all keys of a server, a bounded number at a time; in a cluster, one node after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from consumers.connecting import Client
from consumers.console.asking import nodes

__all__ = ["Laps"]

END = b"0"


class Laps:
    """count: how often all keys have been looked at."""

    def __init__(self) -> None:
        self.count = 0
        self._cursors: dict[Any, bytes] = {}

    async def go_on(self, client: Client, slices: int, show: Callable[[Any, bytes], Awaitable[bytes | int]]) -> None:
        """Look at up to `slices` slices, but not beyond the end of this lap.

        show: looks at the slice of a node (as nodes() has it) at a cursor of SCAN; returns the next one's cursor.
        """
        here = nodes(client)
        for _ in range(slices):
            left = [node for node in here if self._cursors.get(node) != END]
            if not left:
                break
            following = await show(left[0], self._cursors.get(left[0], END))
            self._cursors[left[0]] = following if isinstance(following, bytes) else str(following).encode()
        if all(self._cursors.get(node) == END for node in here):
            self._cursors.clear()
            self.count += 1
