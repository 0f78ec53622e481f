"""The names under which entries are in a group's pending entries list: their consumer, and what is known about them.

A server knows which consumer has a pending entry and how often it was delivered. It does not know whether the entry's
handler was running when the consumer died, so the names record it. A consumer `c` holds entries under four names:

    c             entries that it has read
    c (again)     entries that were in hand at one crash, whose cause is unknown
    c (held)      entries that were in hand at two: suspects, which wait until nothing else runs in their consumer
    c (alone)     the suspect whose handler is running, with nothing else in hand

A consumer that dies leaves its entries under these names, whatever killed it, even kill -9. Only an entry found under
`c (alone)` is known to have been begun and to have killed its consumer, so only that one is ever given up because of a
crash. All others lose nothing: a delivery that ended in a shared crash is not counted against any of them.

Two names belong to no consumer: `(again)` and `(held)` hold entries that were given back unbegun, under the same
suspicion.
"""

import os
import socket
from enum import Enum

__all__ = ["DELAYED", "PARKED", "SHELVES", "Phase", "is_reserved", "owner_of", "read_owner", "unique_name"]

DELAYED = "(delayed)"
"""The name under which entries wait for their next attempt. No process reads with it."""


PARKED = "~parked"
"""The name under which a server with policies keeps entries that wait for others (XGROUP CFGSET ORDERBY)."""


class Phase(Enum):
    """What is known about an entry in hand, as the suffix of the name under which it is pending."""

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
    return consumer in (DELAYED, PARKED) or read_owner(consumer)[1] is not Phase.CLEAN


def unique_name() -> str:
    """Return a consumer name that no other process or consumer has: host, process ID and random characters."""
    return f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
