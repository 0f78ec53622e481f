"""What LATENCY DOCTOR says: the spikes that were seen, and what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.observation.latency import Spikes

_OFF: Final = (
    "Latency spikes are not recorded. To record those of so many milliseconds and more, set a threshold: CONFIG SET"
    " latency-monitor-threshold <milliseconds>."
)
_NONE: Final = "No latency spikes have been seen since the broker started, or since LATENCY RESET."

_SLOW_COMMANDS: Final = (
    "Commands over many elements keep all clients waiting: SLOWLOG GET names those that took long, and the arguments.",
    "Large values take long to read and to change as a whole: divide them among several keys.",
)
_SLOW_SYSTEM: Final = (
    "Commands that never take long did: the process did not get the processor. Lower the machine's load, or find the"
    " neighbour that has it; redis-cli --intrinsic-latency 100 shows what the machine alone adds.",
)
_SLOW_DISK: Final = (
    "The disk takes long to write or to sync. Where the last second may be lost, appendfsync everysec syncs in the"
    " background; no-appendfsync-on-rewrite keeps rewrites out of its way; a faster disk helps in any case.",
)
_ADVICE: Final = {
    "command": _SLOW_COMMANDS,
    "fast-command": _SLOW_SYSTEM,
    "fork": (
        "Forking takes long because the process is large: save and rewrite less often, or divide the data among"
        " brokers. On virtual machines it depends on their kind.",
    ),
    "aof-write": _SLOW_DISK,
    "aof-fsync-always": _SLOW_DISK,
    "expire-cycle": ("Many keys expire at once: spread their deadlines.",),
    "eviction-cycle": ("Evicting takes long: more memory, or smaller values, let the broker keep its limit in time.",),
    "garbage-collection": (
        "The garbage collector stops the process to look for objects in cycles: it takes longer the more there are.",
    ),
}


def diagnose(events: Mapping[str, Spikes], threshold: int) -> str:
    """The report on all events' spikes; `threshold` is in milliseconds, 0 while nothing is recorded."""
    if not events:
        return f"{_NONE if threshold else _OFF}\n"
    lines = ["Latency spikes have been seen.", ""]
    lines += [f"{number}. {name}: {_figures(spikes)}" for number, (name, spikes) in enumerate(events.items(), 1)]
    advice = dict.fromkeys(line for name in events for line in _ADVICE.get(name, ()))
    if advice:
        lines += ["", "What may help:", "", *(f"- {line}" for line in advice)]
    return "\n".join(lines) + "\n"


def _figures(spikes: Spikes) -> str:
    times = [milliseconds for _, milliseconds in spikes.samples]
    mean = sum(times) // len(times)
    deviation = sum(abs(time - mean) for time in times) // len(times)
    first, last = spikes.samples[0][0], spikes.samples[-1][0]
    period = max(1, last - first) / len(times)
    return (
        f"{len(times)} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period:.2f} sec)."
        f" Worst all time event {spikes.worst}ms."
    )
