"""`oom-score-adj`: which process the kernel ends first when memory runs out.

A child that saves shares its memory with the broker, and losing it costs nothing, so it is to be ended first.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

BROKER: Final = 0
CHILD: Final = 2
"""Which of the three numbers of `oom-score-adj-values` is whose; the second is a replica's."""

REFUSED: Final = "Failed to set current oom_score_adj. Check server logs."

_MOST: Final = 1000


class OomScore:
    """The process's adjustment, with the one that it started with, which it gets back when the directive is off."""

    def __init__(self, warn: Callable[..., None], file: Path = Path("/proc/self/oom_score_adj")) -> None:
        self._warn = warn
        self._file = file
        self._base: int | None = None

    def apply(self, mode: str, values: tuple[int, ...], role: int) -> bool:
        """Follow the directives; False if the system refuses."""
        if self._base is None:
            if mode == "no":
                return True
            try:
                self._base = int(self._file.read_text())
            except (OSError, ValueError) as problem:
                self._warn("Unable to read oom_score_adj", error=str(problem))
                return False
        score = self._base if mode == "no" else values[role] + (self._base if mode == "yes" else 0)
        try:
            self._file.write_text(str(max(-_MOST, min(score, _MOST))))
        except OSError as problem:
            self._warn("Unable to write oom_score_adj", error=problem.strerror)
            return False
        return True
