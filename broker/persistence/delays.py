"""Slowing down on purpose: tests of what happens during a save or while loading make both take long."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.config import Config
    from broker.persistence.background import Progress

_MICROSECOND = 1e-6


def delay_seconds(directive: int, keys: int) -> float:
    """The time that a directive adds for so many keys: microseconds for each, or, if negative, one for so many keys."""
    if directive >= 0:
        return directive * keys * _MICROSECOND
    return keys / -directive * _MICROSECOND


def delayed(progress: Progress, config: Config) -> Progress:
    """`progress` that takes as long as rdb-key-save-delay says."""
    if not config.rdb_key_save_delay:
        return progress
    done = 0

    def report(keys: int) -> None:
        nonlocal done
        time.sleep(delay_seconds(config.rdb_key_save_delay, keys - done))
        done = keys
        progress(keys)

    return report
