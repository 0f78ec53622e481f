"""The garbage collector, set up for one large and long-lived heap.

CPython's defaults scan the young generation every 700 allocations and all of the heap ever again; a keyspace of
millions of objects makes each full scan a pause of seconds. Keys, values and requests are freed by reference
counting and form no cycles, so the collector only has to find what libraries and tracebacks leave.
"""

import gc
from typing import Final

YOUNG_THRESHOLD: Final = 50_000
"""Allocations between scans of the young generation."""


def tune_collector() -> None:
    """Move what exists now out of the collector's sight, and make it look rarely at the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_THRESHOLD, 100, 1000)
