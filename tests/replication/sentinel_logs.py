"""What redis-sentinel writes into its log about failovers."""

import dataclasses
import re
import time
from collections.abc import Iterable, Iterator

__all__ = ["Promotion", "aborts", "promotions"]

_LINE = re.compile(
    r"^\d+:X (\d+ \w+ \d+ \d+:\d+:\d+)\.(\d+) [-.*#] ((?:[+]selected-slave|[+]promoted-slave|-failover-abort).*)$",
    re.MULTILINE,
)
_MEMBERS = re.compile(r"slave \S+ \S+ (\d+) @ \S+ \S+ (\d+)")


@dataclasses.dataclass(frozen=True)
class Promotion:
    """A replica became the master, as the Sentinel that led this failover has logged it."""

    chosen: float
    """When it was chosen, in seconds since 1970."""
    moment: float
    """When it was seen to be a master."""
    old: int
    """The port of the master before."""
    new: int


def _events(log: str) -> Iterator[tuple[float, str]]:
    for found in _LINE.finditer(log):
        moment = time.mktime(time.strptime(found[1], "%d %b %Y %H:%M:%S")) + int(found[2]) / 1000
        yield moment, found[3]


def promotions(logs: Iterable[str], since: float) -> list[Promotion]:
    """Every promotion that these Sentinels have led since then, the earliest first."""
    found: list[Promotion] = []
    for log in logs:
        chosen = 0.0
        for moment, event in _events(log):
            if event.startswith("+selected-slave "):
                chosen = moment
            elif event.startswith("+promoted-slave ") and moment >= since:
                members = _MEMBERS.search(event)
                assert members is not None, event
                found.append(Promotion(chosen, moment, int(members[2]), int(members[1])))
    return sorted(found, key=lambda promotion: promotion.moment)


def aborts(logs: Iterable[str], since: float) -> list[str]:
    """The failovers that these Sentinels have begun and given up since then."""
    return [
        event
        for log in logs
        for moment, event in _events(log)
        if moment >= since and event.startswith("-failover-abort")
    ]
