"""What persistence knows about the broker whose files it manages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.config import Config
    from broker.execution.state import State
    from broker.keyspace.keyspace import Keyspace
    from broker.observation.latency import Latency
    from broker.process.clock import Clock
    from broker.process.log import Log
    from broker.process.stats import Stats


class LoadError(Exception):
    """The files on the disk can't be loaded; the message says which file, where, and why."""


class Stream(Protocol):
    """The stream that replicas follow: files say which place in it they belong to."""

    @property
    def offset(self) -> int:
        """How long it is, apart from what this tick has added."""

    def facts(self) -> list[tuple[bytes, bytes]]:
        """The place that the keys are at, as metadata of an RDB file; none if nobody could continue from there."""

    def restore(self, facts: Mapping[bytes, bytes]) -> None:
        """Continue at the place in the metadata of the RDB file that was loaded, if it has one."""

    def resume(self, offset: int) -> None:
        """Count on from there: the append-only files that were loaded end at this offset."""


class NoStream:
    """The stream of what has no replicas."""

    offset = 0

    def facts(self) -> list[tuple[bytes, bytes]]:
        return []

    def restore(self, facts: Mapping[bytes, bytes]) -> None:
        pass

    def resume(self, offset: int) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Environment:
    """The parts of a broker that persistence depends on."""

    config: Config
    log: Log
    clock: Clock
    keyspace: Keyspace
    state: State
    latency: Latency
    stats: Stats
    stream: Stream = field(default_factory=NoStream)


class FunctionLibraries(Protocol):
    """The libraries of functions, which are saved along with the keys."""

    def sources(self) -> list[bytes]:
        """The source of every library, for a dump."""

    def load_source(self, source: bytes) -> None:
        """Load a library from a dump, replacing one of the same name. Raises CommandError."""

    def flush(self) -> None:
        """Forget all libraries."""
