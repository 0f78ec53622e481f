"""What subscribers receive."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class Reason(enum.Enum):
    """Why something is missing between two messages."""

    RECONNECTED = "reconnected"
    """The connection was lost. What was published until it was back is gone; its amount is unknown."""

    OVERFLOW = "overflow"
    """The buffer was full: `missing` messages were dropped by its policy."""

    TRIMMED = "trimmed"
    """The stream was trimmed (or deleted) before the service had read it: entries are gone."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something is missing here. A service that builds its state from messages now has to load it again.

    `missing` is the number of missing messages, None if unknown; `seconds` is how long the connection was lost.
    """

    reason: Reason
    missing: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """A published message.

    `channel` is where it was published; `pattern` is the pattern that matched, None if the channel itself was
    subscribed. Names that are not UTF-8 keep their odd bytes as surrogates (Python's `surrogateescape`).
    """

    channel: str
    data: bytes
    pattern: str | None = None

    @property
    def text(self) -> str:
        """The data as UTF-8; raises UnicodeDecodeError."""
        return self.data.decode()


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream. `id` is its ID, `ms-seq`. In `fields` only the names are decoded."""

    stream: str
    id: str
    fields: dict[str, bytes]


class Events(Generic[T]):
    """An async iterator that calls a function for each item."""

    def __init__(self, take: Callable[[], Awaitable[T]]) -> None:
        self._take = take

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        return await self._take()
