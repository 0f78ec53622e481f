"""How many entries were added to streams and taken out of them, as the streams themselves count.

A stream's counter begins with its creation, and readers learn of a queue's streams one by one. So that no stream's past
counts as the present when it is first seen, only what has been added since then is told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

__all__ = ["StreamCounts"]

MOST = 100_000
"""Streams that are remembered; those that were asked for longest ago are forgotten."""


class StreamCounts:
    """What is remembered of the streams of one server."""

    def __init__(self) -> None:
        self._first: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def since_first_seen(self, stream: str, info: Mapping[bytes, Any]) -> tuple[int, int]:
        """Return the entries that were added, and that were taken out, from XINFO STREAM's reply."""
        added = int(info[b"entries-added"])
        gone = added - int(info[b"length"])
        first = self._first.setdefault(stream, (added, gone))
        if added < first[0] or gone < first[1]:
            # it was deleted and is another one, or its group was moved
            first = self._first[stream] = added, gone
        self._first.move_to_end(stream)
        if len(self._first) > MOST:
            self._first.popitem(last=False)
        return added - first[0], gone - first[1]
