"""What a set under Sentinel may lose of what a replica has confirmed, and by what evidence in the Sentinels' logs.

A failover that is needed may lose nothing. But Sentinel may also depose a master that is up: its process had no CPU
time for as long as `down-after-milliseconds`, say. It tells the replica that it has chosen, then the other replicas,
and the old master last. Until they have heard it, the old master goes on, and its other replica confirms what is then
discarded; and the chosen one may lack what the others had confirmed, if it was not in sync. So a lost write is excused
if a promotion is in the logs that no fault has provoked, and

- it was confirmed by the master which that promotion deposed, after Sentinel had last read the replicas' offsets; or
- that promotion came while the set was not whole yet, and the write was confirmed before.

Every excuse is counted and reported, and with TRIMARAN_SENTINEL_STRICT=1 there is none.
"""

from collections.abc import Sequence

from tests.replication.acknowledged import Confirmed
from tests.replication.sentinel_logs import Promotion

__all__ = ["excuse", "unprovoked"]

OFFSETS_AGE = 1.0
"""Seconds since Sentinel has read an offset, at most: it asks for INFO each second while something is wrong."""


def unprovoked(found: Sequence[Promotion], faulty: int, moment: float) -> list[Promotion]:
    """Those that a fault of the master `faulty` at this moment does not explain: all but the first that was for it."""
    provoked = next((one for one in found if one.old == faulty and one.chosen >= moment), None)
    return [one for one in found if one is not provoked]


def excuse(write: Confirmed, needless: Sequence[Promotion], fault: float, whole: float) -> Promotion | None:
    """Which of these promotions, all of them unprovoked, may have lost this write.

    fault: when it was. whole: when the set was seen to be whole again; infinite if it has not been yet. Before, it was
    until the fault, or until the first of these promotions.
    """
    broken = min([fault, *(promotion.moment for promotion in needless)])
    for promotion in needless:
        in_the_split = write.server == promotion.old and write.moment >= promotion.chosen - OFFSETS_AGE
        not_in_sync = broken < promotion.chosen < whole and write.moment < promotion.moment
        if in_the_split or not_in_sync:
            return promotion
    return None
