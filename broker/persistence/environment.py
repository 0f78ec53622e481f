"""What persistence knows about the broker whose files it manages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from broker.config import Config
    from broker.execution.state import State
    from broker.keyspace.keyspace import Keyspace
    from broker.observation.latency import Latency
    from broker.process.clock import Clock
    from broker.process.log import Log
    from broker.process.stats import Stats


class LoadError(Exception):
    """The files on the disk can't be loaded; the message says which file, where, and why."""


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


class FunctionLibraries(Protocol):
    """The libraries of functions, which are saved along with the keys."""

    def sources(self) -> list[bytes]:
        """The source of every library, for a dump."""

    def load_source(self, source: bytes) -> None:
        """Load a library from a dump, replacing one of the same name. Raises CommandError."""

    def flush(self) -> None:
        """Forget all libraries."""
