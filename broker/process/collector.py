"""The garbage collector, tuned for one large and long-lived heap.

By default, CPython scans the young generation every 700 allocations, and the whole heap again and again; with a
keyspace of millions of objects, each full scan is a pause of seconds. Keys, values and requests are freed by reference
counting and form no cycles, so the collector only has to find what libraries and tracebacks leave behind.
"""

import gc
from typing import Final

YOUNG_THRESHOLD: Final = 50_000
"""Allocations between scans of the young generation."""


def tune_collector() -> None:
    """Exempt all existing objects from collection, and make the collector scan the rest rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_THRESHOLD, 100, 1000)
