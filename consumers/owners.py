"""The names under which entries stand in a group's pending entries list: who has an entry, and what is known of it.

A server says of a pending entry who has it and how often it was delivered. Whether its handler was running when its
consumer died, it can't say, so the names do. A consumer `c` holds entries under four names:

    c             what it reads
    c (again)     what was in hand at one crash. Whose fault that was, nobody knows
    c (held)      what was in hand at two. A suspect: it waits until nothing else runs in its consumer
    c (alone)     the suspect whose handler runs, with nothing else in hand

A consumer that dies leaves its entries under these names, whatever killed it, kill -9 included. Only an entry found
under `c (alone)` is known to have been begun, and to be what its consumer died of, so only that is ever given up for
a crash. All others lose nothing by it: a delivery that ended in a crash they shared counts for none of them.

Two names belong to no consumer. `(again)` and `(held)` hold what was given back unbegun, under the same suspicion.
"""

import os
import socket
from enum import Enum

__all__ = ["DELAYED", "SHELVES", "Phase", "is_reserved", "owner_of", "read_owner", "unique_name"]

DELAYED = "(delayed)"
"""The name under which entries wait for their next attempt. No process reads with it."""


class Phase(Enum):
    """What is known of an entry in hand, by the suffix of the name under which it stands."""

    CLEAN = ""
    AGAIN = "(again)"
    HELD = "(held)"
    ALONE = "(alone)"


SHELVES = (Phase.AGAIN.value, Phase.HELD.value)


def owner_of(consumer: str, phase: Phase) -> str:
    """The name for entries of this phase; consumer "": a shelf's."""
    return f"{consumer} {phase.value}".strip() if phase is not Phase.CLEAN else consumer


def read_owner(owner: str) -> tuple[str, Phase]:
    """The consumer (for a shelf "") and the phase in such a name."""
    for phase in (Phase.AGAIN, Phase.HELD, Phase.ALONE):
        if owner == phase.value:
            return "", phase
        if owner.endswith(f" {phase.value}"):
            return owner[: -len(phase.value) - 1], phase
    return owner, Phase.CLEAN


def is_reserved(consumer: str) -> bool:
    """Whether a consumer can't have this name."""
    return consumer == DELAYED or read_owner(consumer)[1] is not Phase.CLEAN


def unique_name() -> str:
    """A consumer's name that no other process has, and no other consumer of this one: host, process and chance."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
