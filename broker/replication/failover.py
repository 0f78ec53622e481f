"""FAILOVER: handing the role of the master over to a replica, without losing a write.

Clients' writes are held back until a replica has acknowledged everything. Replicas do that once a second, so they are
asked. An answer does not count the question, though: they are asked twice, and whoever has answered the second question
has everything. Nothing else may be added to the stream meanwhile, no PING and no question for WAIT. Then this broker
becomes its replica, and asks it to take over along with the request for the stream (PSYNC ... FAILOVER). What was held
back is then refused, as by any replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from broker.replication.role import Address

if TYPE_CHECKING:
    from broker.execution.state import State
    from broker.process.clock import Clock
    from broker.process.log import Log
    from broker.process.timers import Deadlines
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.replicas import Replica, Replicas
    from broker.replication.role import Role

FailoverState = Literal["no-failover", "waiting-for-sync", "failover-in-progress"]

CHECK_MS: Final = 10
"""How often to look whether a replica has caught up."""

REJECTED: Final = "Failover target rejected psync request"


class Failover:
    """A failover: its `state`, and the `target`, None while any replica will do."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        state: State,
        deadlines: Deadlines,
        history: History,
        feed: Feed,
        replicas: Replicas,
        role: Role,
    ) -> None:
        self._log = log
        self._clock = clock
        self._broker_state = state
        self._deadlines = deadlines
        self._history = history
        self._feed = feed
        self._replicas = replicas
        self._role = role
        self.state: FailoverState = "no-failover"
        self.target: Address | None = None
        self._ends = 0
        self._forced = False
        self._second_question = 0
        """The offset at which it is."""
        self._after_questions = 0

    @property
    def active(self) -> bool:
        """Whether a failover is going on."""
        return self.state != "no-failover"

    @property
    def in_progress(self) -> bool:
        """Whether the target has been chosen, and is being asked to take over."""
        return self.state == "failover-in-progress"

    def begin(self, target: Address | None, timeout_ms: int, forced: bool) -> None:
        """Hold writes back until a replica has caught up; within a tick.

        After `timeout_ms` (0: never), give up, or go on without if it is `forced`.
        """
        self._log.notice(f"FAILOVER requested to {target or 'any replica'}.")
        self.target = target
        self._ends = self._clock.now + timeout_ms if timeout_ms else 0
        self._forced = forced
        self.state = "waiting-for-sync"
        self._broker_state.pause_for_failover(True)
        self._feed.command(b"REPLCONF", b"GETACK", b"*")
        self._second_question = self._history.offset
        self._feed.command(b"REPLCONF", b"GETACK", b"*")
        self._after_questions = self._history.offset
        self._deadlines.after(0, self._check)

    def abort(self, reason: str) -> None:
        """Give up, and be a master again."""
        whom = self.target or "any replica"
        self._log.notice(f"FAILOVER to {whom} aborted: {reason}")
        if self.in_progress:
            self._role.promote()
        self.end()

    def end(self) -> None:
        """The target has taken over, or the failover was given up: clients' writes go on, or are refused."""
        self.state = "no-failover"
        self.target = None
        self._broker_state.pause_for_failover(False)

    def _check(self) -> None:
        if self.state != "waiting-for-sync":
            return
        if self._ends and self._clock.now >= self._ends:
            if self._forced and self.target is not None:
                self._log.notice(f"FAILOVER to {self.target} time out exceeded, failing over.")
                self._go_on(self.target)
            else:
                self.abort("Replica never caught up before timeout")
            return
        self._feed.flush()
        for replica in self._replicas.online:
            address = address_of(replica)
            if self._has_everything(replica) and self.target in (None, address):
                self._log.notice(f"Failover target {address} is synced, failing over.")
                self._go_on(address)
                return
        self._deadlines.after(CHECK_MS, self._check)

    def _has_everything(self, replica: Replica) -> bool:
        offset = self._history.offset
        if offset == self._after_questions:
            offset = self._second_question
        return replica.acknowledged >= offset

    def _go_on(self, target: Address) -> None:
        self.target = target
        self.state = "failover-in-progress"
        self._role.follow(target)


def address_of(replica: Replica) -> Address:
    """Where a replica listens, as it has said."""
    return Address(replica.host, replica.settings.port)
