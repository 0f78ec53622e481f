"""A shutdown waits until the replicas have everything (shutdown-timeout), while clients' writes are paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.config import Config
    from broker.execution.state import State
    from broker.process.log import Log
    from broker.process.timers import Deadlines
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.replicas import Replicas

_LOOK_MS: Final = 50
"""How often to look whether the replicas have reported."""


class Farewell:
    """The wait of a shutdown for the replicas; `waiting` is whether one is under way."""

    def __init__(
        self,
        config: Config,
        log: Log,
        state: State,
        deadlines: Deadlines,
        history: History,
        feed: Feed,
        replicas: Replicas,
    ) -> None:
        self._config = config
        self._log = log
        self._state = state
        self._deadlines = deadlines
        self._history = history
        self._feed = feed
        self._replicas = replicas
        self._target = 0
        self._until = 0.0
        self._has_paused = False
        self._ended: Callable[[bool], None] | None = None

    @property
    def waiting(self) -> bool:
        return self._ended is not None

    def begin(self, ended: Callable[[bool], None]) -> bool:
        """Wait for the replicas, if that is necessary; returns whether it is.

        `ended` is called within a tick: with True once the replicas are in sync or the time is over, with False if the
        shutdown is aborted.
        """
        seconds = self._config.shutdown_timeout
        self._feed.flush()
        self._target = self._history.offset
        if not seconds or self._are_in_sync():
            return False
        self._log.notice("Waiting for replicas before shutting down.")
        self._ended = ended
        self._until = trio.current_time() + seconds
        if not self._state.paused:
            self._has_paused = True
            self._state.pause("write", 1000 * (seconds + 1))
        if not self._feed.following:
            self._feed.command(b"REPLCONF", b"GETACK", b"*")
        self._deadlines.after(_LOOK_MS, self._look)
        return True

    def abort(self) -> None:
        """Wait no longer, and don't shut down (SHUTDOWN ABORT)."""
        self._log.warning("Shutdown manually aborted.")
        self._end(False)

    def cut_short(self) -> None:
        """Wait no longer, and shut down."""
        self._end(True)

    def report(self) -> None:
        """Log which replicas have everything, when the broker ends."""
        replicas = self._replicas.online
        if not replicas:
            return
        target = self._target or self._history.offset
        in_sync = 0
        for replica in replicas:
            if replica.acknowledged >= target:
                in_sync += 1
                continue
            behind = self._history.offset - max(0, replica.acknowledged)
            self._log.notice(
                f"Lagging replica {replica.name} reported offset {behind} behind master, lag={replica.lag()},"
                f" state={replica.state}."
            )
        self._log.notice(f"{in_sync} of {len(replicas)} replicas are in sync when shutting down.")

    def _are_in_sync(self) -> bool:
        return all(replica.acknowledged >= self._target for replica in self._replicas.online if not replica.silent)

    def _look(self) -> None:
        if self._ended is None:
            return
        if self._are_in_sync() or trio.current_time() >= self._until:
            self._end(True)
        else:
            self._deadlines.after(_LOOK_MS, self._look)

    def _end(self, shut_down: bool) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        ended(shut_down)

    def resume(self) -> None:
        """Let clients write again: the broker keeps running."""
        if self._has_paused:
            self._has_paused = False
            self._state.unpause()
