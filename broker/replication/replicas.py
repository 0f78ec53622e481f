"""The clients that receive the stream: this broker's replicas, how far they are, and whether they are alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from broker.clients.session import REPLICA
from broker.replication.outflow import Outflow
from protocol.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.clients.session import Session
    from broker.config import Config
    from broker.process.log import Log
    from broker.replication.handshakes import Handshake
    from broker.replication.history import History

WAITING: Final = "wait_bgsave"
"""The replica's snapshot is being written, or will be."""
LOADING: Final = "send_bulk"
"""The replica is being sent its snapshot."""
ONLINE: Final = "online"
"""The replica receives the stream."""

PENDING_OUTPUT: Final = b"ERR SYNC and PSYNC are invalid with pending output"
KEEP_ALIVE: Final = b"\n"
"""Tells a replica that waits for its snapshot that there will be one."""


class Replica:
    """A client that receives the stream, or will once it has a snapshot.

    `acknowledged` and `synced` are the offsets up to which it has executed the stream, and has it on its disk, as it
    has reported, -1 before it has; `heard` is when it sent anything last, and `asked` when it asked for a snapshot, in
    seconds of Trio's clock. The snapshot for one that is `promised` is being written. One that has asked with SYNC
    reports nothing (`silent`).
    """

    def __init__(self, session: Session, settings: Handshake, outflow: Outflow, silent: bool) -> None:
        self.session = session
        self.settings = settings
        self.outflow = outflow
        self.silent = silent
        self.state = WAITING
        self.promised = False
        self.asked = self.heard = self.moved = trio.current_time()
        self.acknowledged = -1
        self.synced = -1
        self._seen = (0, 0)
        self._peer = session.transport.peer().decode(errors="replace").rpartition(":")[0].strip("[]")

    @property
    def host(self) -> str:
        """The address at which it can be reached, as it has said, or as its connection shows."""
        return self.settings.address or self._peer

    @property
    def name(self) -> str:
        """The replica's address for the log."""
        return f"{self.host}:{self.settings.port or '<unknown-replica-port>'}"

    def lag(self) -> int:
        """The seconds since it has reported; what an old replica lacks to do so doesn't count."""
        return 0 if self.silent else int(trio.current_time() - self.heard)

    def begin(self, state: str) -> None:
        """Enter a state of the synchronization."""
        self.state = state
        self.heard = self.moved = trio.current_time()

    def look(self) -> None:
        """Note whether it has sent something, be it only the line breaks of one that loads, or taken something."""
        received, sent = self._seen
        now = trio.current_time()
        if self.session.bytes_in != received:
            self.heard = now
        if self.outflow.sent != sent:
            self.moved = now
        self._seen = self.session.bytes_in, self.outflow.sent


class Replicas:
    """The replicas by session, in the order in which they came.

    `acknowledgements` is not empty while reports have arrived that nobody has looked at. `sent_before` are the bytes
    sent to replicas that have left, `rate` those sent to all in the last second. `left` is since when there are none,
    in seconds of Trio's clock, None if nobody has looked yet. `changed` is called when the number of those that are
    good enough (min-replicas-to-write) may have changed.
    """

    def __init__(self, config: Config, log: Log, history: History) -> None:
        self._config = config
        self._log = log
        self._history = history
        self.by_session: dict[Session, Replica] = {}
        self.acknowledgements: list[Replica] = []
        self.changed: list[Callable[[], None]] = []
        self.sent_before = self._sampled = 0
        self.rate = 0
        self.left: float | None = None

    @property
    def online(self) -> list[Replica]:
        """Those that receive the stream."""
        return [replica for replica in self.by_session.values() if replica.state == ONLINE]

    def sent(self) -> int:
        """The bytes sent to replicas, now and before."""
        return self.sent_before + sum(replica.outflow.sent for replica in self.by_session.values())

    def memory(self) -> tuple[int, int]:
        """The bytes of the backlog, and of all blocks: replicas that lag behind may hold more."""
        backlog = self._history.backlog
        kept = 0 if backlog is None else backlog.length
        behind = max((replica.outflow.behind() for replica in self.by_session.values()), default=0)
        return kept, max(kept, behind)

    def good(self) -> int:
        """The number of those that are online and have reported lately enough (min-replicas-max-lag)."""
        most = self._config.min_replicas_max_lag
        return sum(1 for replica in self.online if replica.lag() <= most)

    # Coming and going

    def add(self, session: Session, settings: Handshake, *, silent: bool) -> Replica:
        """Make a client a replica, which gets nothing yet. Raises CommandError."""
        transport = session.transport

        def file_sent() -> None:
            self._has_snapshot(replica)

        outflow = Outflow(self._history, transport.direct_descriptor(), file_sent)
        if not transport.replace_backlog(outflow):
            raise CommandError(PENDING_OUTPUT)
        replica = Replica(session, settings, outflow, silent)
        if self._config.repl_disable_tcp_nodelay:
            transport.delay_small_packets()
        session.broker.pubsub.unsubscribe_all(session)
        session.flags |= REPLICA
        self.by_session[session] = replica
        return replica

    def _has_snapshot(self, replica: Replica) -> None:
        replica.begin(ONLINE)
        self._log.notice(f"Synchronization with replica {replica.name} succeeded")
        self.notify()

    def continue_from(self, replica: Replica, id: str, offset: int) -> int:
        """Send a replica the stream from a PSYNC's offset on, which must be possible; returns the bytes it lacks."""
        reader = self._history.missing(id, offset)
        assert reader is not None
        replica.outflow.follow(reader)
        replica.outflow.start_stream()
        replica.begin(ONLINE)
        self.notify()
        return replica.outflow.behind()

    def forget(self, session: Session) -> None:
        """Forget a client that has disconnected."""
        replica = self.by_session.pop(session, None)
        if replica is not None:
            self._log.notice(f"Connection with replica {replica.name} lost.")
            self.sent_before += replica.outflow.sent
            replica.outflow.clear()
            self.left = trio.current_time()
            self.notify()

    def disconnect_all(self) -> None:
        """Close the connections of all replicas: what they may continue with has changed."""
        for session in list(self.by_session):
            session.kill()

    def notify(self) -> None:
        """Call everybody who wants to know of a change."""
        for call in self.changed:
            call()

    # The stream

    def deliver(self) -> None:
        """Have the tick send what was added to the history."""
        for replica in self.by_session.values():
            replica.outflow.update()
            replica.session.push(b"")

    def acknowledge(self, session: Session, offset: int, synced: int | None) -> None:
        """A replica reports how far it has executed the stream, and how much of it is on its disk."""
        replica = self.by_session.get(session)
        if replica is None:
            return
        replica.acknowledged = max(replica.acknowledged, offset)
        if synced is not None:
            replica.synced = max(replica.synced, synced)
        late = replica.lag() > self._config.min_replicas_max_lag
        replica.heard = trio.current_time()
        self.acknowledgements.append(replica)
        if late:
            self.notify()

    def cron(self) -> None:
        """Called once a second: keep waiting connections alive, and close those of replicas that are lost."""
        sent = self.sent()
        self.rate, self._sampled = sent - self._sampled, sent
        now = trio.current_time()
        timeout = self._config.repl_timeout
        for session, replica in list(self.by_session.items()):
            replica.look()
            if replica.state == WAITING:
                replica.outflow.append(KEEP_ALIVE)
                session.push(b"")
            elif replica.state == ONLINE:
                if not replica.silent and now - replica.heard > timeout:
                    self._log.warning(f"Disconnecting timedout replica (streaming sync): {replica.name}")
                    session.kill()
            elif now - replica.moved > timeout:
                self._log.warning(f"Disconnecting timedout replica (full sync): {replica.name}")
                session.kill()
        self.notify()
