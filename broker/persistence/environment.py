"""What the parts that keep files know of the broker whose files they keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from broker.config import Config
    from broker.execution.state import State
    from broker.keyspace.keyspace import Keyspace
    from broker.process.clock import Clock
    from broker.process.log import Log


@dataclass(frozen=True, slots=True)
class Environment:
    """The parts of a broker that its files, and the writing of them, depend on."""

    config: Config
    log: Log
    clock: Clock
    keyspace: Keyspace
    state: State


class FunctionLibraries(Protocol):
    """The libraries of functions, which are in the files beside the keys."""

    def sources(self) -> list[bytes]:
        """The source of every library, for a dump."""

    def load_source(self, source: bytes) -> None:
        """Load a library from a dump; one of the same name is replaced. Raises CommandError."""

    def flush(self) -> None:
        """Forget all libraries."""
