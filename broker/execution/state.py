"""Broker-wide states in which some requests are refused or delayed, mirrored in every session's flags.

The hot path knows nothing about them: the session flag BROKER_STATE sends requests down the checked path, where the
dispatcher consults this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import trio

from broker.clients.blocking import Blocking
from broker.clients.session import BROKER_STATE, POSTPONED, Session
from broker.keyspace.keyspace import Keyspace
from broker.process.timers import Deadlines, Timer


class State:
    """What the broker can't do at the moment.

    `paused` is CLIENT PAUSE's state and `postponed` the sessions whose requests it holds back. `loading` and
    `out_of_memory` refuse commands by their flags, `write_refusal` refuses writes with that text, `too_few_replicas`
    (min-replicas-to-write) with one of its own. `busy` is the error that clients get while a slow script runs.
    `monitored` is whether requests are to be shown to clients, `measured` whether their costs are attributed to keys,
    `importing` is import-mode.
    `replica` is whether this broker follows a master, which alone expires keys; `read_only` whether clients' writes are
    refused for that reason, and `stale` whether most commands are, because the link to the master is down.
    `async_loading` is whether a new dataset is being loaded while the old one is served.
    Call `restrict` after changing any of these. `applying` is set while the master's commands are executed.
    `checksums_ignored`, `scripts_may_all` and `cron_paused` are DEBUG's switches for tests.
    """

    def __init__(
        self,
        sessions: Mapping[int, Session],
        resume: Callable[[Session], None],
        blocking: Blocking,
        keyspace: Keyspace,
        timers: Deadlines,
    ) -> None:
        """`sessions` are all open sessions; `resume` continues one whose request a pause held back."""
        self._sessions = sessions
        self._resume = resume
        self._blocking = blocking
        self._keyspace = keyspace
        self._timers = timers
        self.paused: Literal["", "write", "all"] = ""
        self.postponed: list[Session] = []
        self.loading = False
        self.out_of_memory = False
        self.write_refusal: bytes | None = None
        self.too_few_replicas = False
        self.busy: bytes | None = None
        self.monitored = False
        self.importing = False
        self.measured = False
        self.replica = False
        self.read_only = False
        self.stale = False
        self.async_loading = False
        self.applying = False
        self.checksums_ignored = False
        self.scripts_may_all = False
        self.cron_paused = False
        self._pause_ends: Timer | None = None
        self._pause_of_clients: Literal["", "write", "all"] = ""
        self._pauses_for_failover = False

    def restricted(self) -> bool:
        """Whether some requests are refused, delayed, shown to others, or measured by key."""
        return (
            bool(self.paused)
            or self.loading
            or self.out_of_memory
            or self.write_refusal is not None
            or self.too_few_replicas
            or self.busy is not None
            or self.monitored
            or self.importing
            or self.measured
            or self.stale
            or self.async_loading
            or self._accepts_writes_as_replica()
        )

    def _accepts_writes_as_replica(self) -> bool:
        # What clients write to such a replica must not meet keys that are due (see broker.keyspace.importing).
        return self.replica and not self.read_only

    def is_replaying(self) -> bool:
        """Whether the commands being executed have been executed before, elsewhere or before a restart.

        They had no error then, so limits and times of the present must not cause one.
        """
        return self.loading or self.applying

    def acts_by_itself(self) -> bool:
        """Whether the broker may change keys without a client's request now, as the policies of streams do."""
        waits = self.loading or self.replica or self.importing or bool(self.paused)
        return not waits and self.write_refusal is None

    def restrict(self) -> None:
        """Bring every session's flags up to date after a change."""
        restricted = self.restricted()
        self._blocking.suspended = bool(self.paused) or self.busy is not None
        # Not while loading: the commands being loaded must find every key.
        importing = (self.importing or self._accepts_writes_as_replica()) and not self.loading
        suspended = importing or ((bool(self.paused) or self.replica) and not self.loading)
        self._keyspace.suspend_expiry(suspended, importing)
        self._keyspace.collect_writes(self._accepts_writes_as_replica())
        for session in self._sessions.values():
            if restricted:
                session.flags |= BROKER_STATE
            else:
                session.flags &= ~BROKER_STATE

    def set_importing(self, on: bool) -> None:
        """Keep what is due, and evict nothing, while another server's data is copied (import-mode)."""
        self.importing = on
        self.restrict()

    def set_busy(self, busy: bytes | None) -> None:
        """Answer clients with this error while a slow script runs; None once it has ended."""
        self.busy = busy
        self.restrict()

    def pause(self, kind: Literal["write", "all"], milliseconds: int) -> None:
        """CLIENT PAUSE; a pause in progress can be extended or made stricter, never the reverse."""
        ends = trio.current_time() + milliseconds / 1000
        if self._pause_ends is not None:
            if self._pause_of_clients == "all":
                kind = "all"
            ends = max(ends, self._pause_ends.when)
            self._pause_ends.cancel()
        self._pause_of_clients = kind
        self._pause_ends = self._timers.at(ends, self.unpause)
        self._pause_again()

    def unpause(self) -> None:
        """End CLIENT PAUSE's pause, and execute the requests held back, in order of arrival."""
        if self._pause_ends is not None:
            self._pause_ends.cancel()
        self._pause_ends = None
        self._pause_of_clients = ""
        self._pause_again()

    def pause_for_failover(self, on: bool) -> None:
        """Hold writes back, or no longer, whatever CLIENT PAUSE and UNPAUSE say."""
        self._pauses_for_failover = on
        self._pause_again()

    @property
    def failing_over(self) -> bool:
        """Whether writes are held back until a replica has everything: the stream must not grow meanwhile."""
        return self._pauses_for_failover

    def _pause_again(self) -> None:
        """Follow a change of what causes pauses; what is held back is tried again."""
        before = self.paused
        self.paused = self._pause_of_clients or ("write" if self._pauses_for_failover else "")
        self.restrict()
        if self.paused in (before, "all"):
            return
        postponed, self.postponed = self.postponed, []
        for session in postponed:
            session.flags &= ~POSTPONED
            self._resume(session)
        self._blocking.serve()
