"""Pages over several collections, one after another: a queue's lists by priority, for instance.

The position is "number of the collection:offset", which names a place, not a job: jobs that leave the front meanwhile
move the others up, so that some may be missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from consumers.console.asking import BYTES

__all__ = ["Item", "across", "position"]

T = TypeVar("T")
Source = Callable[[int, int], Awaitable[list[T]]]
"""Takes an offset and a count, and returns so many elements; fewer at the end only, or if they are large."""


class Item(NamedTuple, Generic[T]):
    """An element of the collection with this number, and its offset there."""

    source: int
    offset: int
    value: T

    @property
    def place(self) -> str:
        return f"{self.source}:{self.offset}"


def position(text: str | None) -> tuple[int, int]:
    """The two numbers in a position; both 0 without one. Raises ValueError."""
    if not text:
        return 0, 0
    source, _, offset = text.partition(":")
    if not (source.isascii() and source.isdecimal() and offset.isascii() and offset.isdecimal()):
        raise ValueError(f"{text!r} is not a position in a list of jobs")
    return int(source[:9]), int(offset[:15])


async def across(
    sources: Sequence[Source[T]], after: str | None, limit: int, size: Callable[[T], int] = lambda _: 0
) -> tuple[list[Item[T]], str | None]:
    """Return up to `limit` elements from a position on, and the position after them; None at the end.

    size: of an element, in bytes. A page whose elements are large is a shorter one.
    """
    source, offset = position(after)
    found: list[Item[T]] = []
    total = 0
    while source < len(sources):
        wanted = limit - len(found)
        if wanted <= 0 or total >= BYTES:
            return found, f"{source}:{offset}"
        some = await sources[source](offset, wanted)
        found += [Item(source, offset + index, one) for index, one in enumerate(some)]
        total += sum(map(size, some))
        offset += len(some)
        if not some:
            source, offset = source + 1, 0
    return found, None
