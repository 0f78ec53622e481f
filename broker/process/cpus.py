"""`server-cpulist` and its relatives: which CPUs a process may run on."""

import os
from collections.abc import Callable

_CPU_MAX = 1023


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list as taskset(1) reads it: `0,2-3`, `0-6:2`. Raises ValueError."""
    found: set[int] = set()
    for part in text.replace(" ", ",").split(","):
        if not part:
            continue
        span, _, stride = part.partition(":")
        first, dash, last = span.partition("-")
        low = int(first)
        high = int(last) if dash else low
        step = int(stride) if stride else 1
        if not 0 <= low <= high <= _CPU_MAX or step < 1:
            raise ValueError(f"{part} is not a range of CPUs")
        found.update(range(low, high + 1, step))
    return frozenset(found)


def stay_on(text: str, warn: Callable[..., None], thread: int = 0) -> None:
    """Keep this process, or one of its threads, to the CPUs of a list; an empty one changes nothing."""
    if not text or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(thread, parse_cpus(text))
    except (OSError, ValueError) as problem:
        warn("the list of CPUs can't be followed", cpus=text, error=str(problem))
