"""The composition root: the parts of one broker, which commands reach through their session.

`Broker` puts the parts together, opens and closes sessions, and does nothing else. Sockets and tasks belong to the
server (broker.server).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

from broker.acl.users import Users
from broker.clients.blocking import Blocking
from broker.clients.fieldsets import Fieldsets
from broker.clients.notifications import Notifications
from broker.clients.permissions import update_sessions
from broker.clients.pubsub import PubSub
from broker.clients.session import BROKER_STATE, CLOSING, MONITORING, RESTRICTED, UNAUTHENTICATED, Session
from broker.clients.tracking import Tracking
from broker.clients.transport import CLOSED_TRANSPORT, Transport
from broker.config import Config
from broker.execution.dispatcher import Dispatcher
from broker.execution.executor import Executor
from broker.execution.state import State
from broker.keyspace.keyspace import Keyspace
from broker.memory.client_eviction import ClientEviction
from broker.memory.eviction import Eviction
from broker.memory.overview import MemoryOverview, ScriptMemory
from broker.migration.migrations import Migrations
from broker.observation.command_log import large_replies, large_requests
from broker.observation.hotkeys import Hotkeys
from broker.observation.latency import Latency
from broker.observation.monitor import Monitors
from broker.observation.observer import Observer
from broker.observation.slowlog import SlowLog
from broker.persistence.environment import Environment
from broker.persistence.persistence import Persistence, Storage
from broker.policies.calls import Calls
from broker.policies.delayed_entries import DelayedEntries
from broker.policies.policies import Policies
from broker.process.clock import Clock
from broker.process.log import Log
from broker.process.poller import Watches
from broker.process.reclaim import Reclaimer
from broker.process.stats import Stats
from broker.process.timers import Deadlines
from broker.replication.failover import Failover
from broker.replication.farewell import Farewell
from broker.replication.feed import Feed
from broker.replication.full_sync import FullSyncs
from broker.replication.handshakes import Handshakes
from broker.replication.history import History
from broker.replication.link import MasterLink, Parts
from broker.replication.loading import Loading
from broker.replication.replicas import Replicas
from broker.replication.role import Role
from broker.replication.snapshot_transfer import SnapshotTransfers
from broker.replication.upkeep import StreamUpkeep
from broker.replication.waiting import ReplicaWaits
from broker.scripting.engine import Scripting
from broker.table.command import CommandTable
from broker.tls.contexts import TlsContexts


class Broker:
    """One broker's parts.

    `sessions` maps client IDs to sessions, oldest first. `outbox` lists the sessions with queued output for the tick to
    send; `resumed` those whose held-back requests may now be executed.
    """

    def __init__(
        self,
        config: Config,
        log: Log,
        commands: CommandTable,
        watches: Watches,
        serve_while_busy: Callable[[Session], None],
        request_shutdown: Callable[[frozenset[bytes]], bool | None],
        clock: Clock | None = None,
        storage: Storage | None = None,
    ) -> None:
        """Create a broker with empty databases, whose clients can execute `commands`.

        The tick serves `watches`. `serve_while_busy(caller)` is called during slow scripts, to serve all clients except
        their caller; `request_shutdown(options)` implements SHUTDOWN, and returns False if the broker keeps running,
        None if it has to wait for replicas before it ends.
        """
        self.config = config
        self.log = log
        self.clock = clock or Clock()
        self.started = self.clock.now
        self.run_id = secrets.token_hex(20)
        self.latency = Latency(config, self.clock)
        self.stats = Stats(log.warning, lambda seconds: self.latency.add("garbage-collection", seconds * 1000))
        self.users = Users(config, self.clock)
        self.pubsub = PubSub()
        self.deadlines = Deadlines(partial(log.failure, "a timer failed unexpectedly"))
        self.reclaimer = Reclaimer(partial(self.deadlines.after, 0))
        self.keyspace = Keyspace(self.clock, config, self.deadlines, Notifications(self.pubsub), self.reclaimer.take)
        self.access = self.keyspace.access
        self.commands = commands
        self.slowlog = SlowLog(config, self.clock)
        self.monitors = Monitors(self.clock)
        self.hotkeys = Hotkeys(self.clock, self.deadlines, self._measuring_changed)
        self.large_requests = large_requests(config, self.clock)
        self.large_replies = large_replies(config, self.clock)
        observer = Observer(config, commands, self.slowlog, self.latency, self.large_requests, self.large_replies)
        self.sessions: dict[int, Client] = {}
        self.tracking = Tracking(
            self.keyspace, self.sessions, config, commands.find, partial(self.deadlines.after, 0),
            # Scripting needs the executor, which needs this.
            lambda: self.scripting.interruption.current is not None,
        )  # fmt: skip
        self.executor = Executor(
            self.keyspace, self.clock, self.stats, log, observer, self.monitors, self.hotkeys, self.tracking
        )
        self.blocking = Blocking(
            self.keyspace, self.deadlines, self.executor.run_again, self.resume, self.executor.answered,
            self.executor.refuse_again,
        )  # fmt: skip
        self.outbox: list[Session] = []
        self.resumed: list[Session] = []
        self.state = State(self.sessions, self.resume, self.blocking, self.keyspace, self.deadlines)
        self.state.set_importing(config.import_mode)
        config.on_change("import-mode", self.state.set_importing)
        self.eviction = Eviction(
            config,
            self.keyspace,
            ClientEviction(config, self.sessions, self.stats, log),
            self.state,
            timers=self.deadlines,
            reclaimer=self.reclaimer,
            stats=self.stats,
            log=log,
            latency=self.latency,
            serve=self.blocking.serve,
            # Recovery needs the scripts, which need to know whether memory is short, so the journal is created later.
            unwritten=lambda: self.persistence.journal.unwritten_bytes,
        )
        self.delayed = DelayedEntries(
            config, log, self.state, self.keyspace, self.deadlines, self.stats,
            lambda: Session(self, 0, CLOSED_TRANSPORT),
        )  # fmt: skip
        self.calls = Calls(self.state, self.keyspace, self.deadlines, self.blocking)
        self.policies = Policies(
            config, log, self.state, self.keyspace, self.deadlines, self.stats, self.blocking.serve, self.pubsub,
            self.delayed, self.calls,
        )  # fmt: skip
        self.dispatcher = Dispatcher(
            self.executor, commands, self.keyspace, self.state, self.blocking, self.clock, self.stats, config, log,
            self.eviction.refuses, self.tracking,
        )  # fmt: skip
        self.request_shutdown = request_shutdown
        config.on_change("requirepass", self._set_default_password)
        self.tcp_port = 0
        self._last_id = 0
        self.scripting = Scripting(
            self, config, commands, self.executor, self.state, self.stats, log, watches, serve=self.blocking.serve,
            memory_refuses=self.eviction.refuses, serve_while_busy=serve_while_busy,
        )  # fmt: skip
        self.functions = self.scripting.functions
        self.history = History(config.repl_backlog_size)
        config.on_change("repl-backlog-size", self.history.set_limit)
        self.replicas = Replicas(config, log, self.history)
        self.feed = Feed(self.keyspace.effects, self.history, self.replicas)
        self.persistence = Persistence(
            Environment(config, log, self.clock, self.keyspace, self.state, self.latency, self.stats, self.feed),
            storage or Storage(),
            self.functions,
            commands,
            self,
            self.blocking.retry,
            self.deadlines,
            watches,
        )
        self.fieldsets = Fieldsets()
        self.handshakes = Handshakes(self.replicas.acknowledge)
        self.replica_waits = ReplicaWaits(self.feed, self.history, self.replicas, self.state, self.blocking.retry)
        self.full_syncs = FullSyncs(
            config, log, self.keyspace, self.functions, self.persistence.background, self.deadlines, self.history,
            self.feed, self.replicas,
        )  # fmt: skip
        self.farewell = Farewell(config, log, self.state, self.deadlines, self.history, self.feed, self.replicas)
        self.stream_upkeep = StreamUpkeep(config, log, self.history, self.feed, self.replicas, self.state)
        self.role = Role(
            config, log, self.clock, self.state, self.dispatcher, self.blocking, self.keyspace.effects, self.history,
            self.feed, self.replicas, self.policies,
        )  # fmt: skip
        loading = Loading(
            config, log, self.keyspace, self.functions, self.blocking, self.tracking, self.state, self.persistence
        )
        self.failover = Failover(
            log, self.clock, self.state, self.deadlines, self.history, self.feed, self.replicas, self.role
        )
        self.master_link = MasterLink(
            self.role,
            Parts(
                config, log, commands, self.executor, self.blocking, self.keyspace, self.state,
                self.persistence.journal, self.history, self.feed, self.replicas, loading, self.failover,
                self.open_session, self.close_session,
                lambda: config.tls_port if config.tls_replication else self.tcp_port,
            ),
        )  # fmt: skip
        self.snapshot_transfers = SnapshotTransfers(
            config, log, self.keyspace, self.functions, self.blocking, self.persistence.background, self.deadlines,
            watches,
        )  # fmt: skip
        self.tls_contexts = TlsContexts(config, log)
        self.migrations = Migrations(
            config, log, self.keyspace, self.blocking, self.executor, self.deadlines, self.tls_contexts
        )

    # Sessions

    def open_session(self, transport: Transport) -> Client:
        """Create the session of a new client."""
        self._last_id += 1
        session = Session(self, self._last_id, transport)
        self.sessions[session.id] = session
        self.stats.clients_served += 1
        return session

    def close_session(self, session: Session) -> None:
        """Forget a client that has disconnected: its wait, its tracking, its subscriptions, its watched keys."""
        session.flags |= CLOSING
        self.blocking.cancel(session)
        self.replicas.forget(session)
        self.replica_waits.forget(session)
        self.handshakes.forget(session)
        self.fieldsets.forget(session)
        self.scripting.debugging.forget(session)
        self.tracking.disable(session)
        self.pubsub.unsubscribe_all(session)
        session.unwatch()
        self.stop_monitoring(session)
        self.sessions.pop(session.id, None)
        self.log.verbose("Client closed connection", id=session.id)

    def start_monitoring(self, session: Session) -> None:
        """Show the client every request from now on."""
        self.monitors.add(session)
        self.state.monitored = True
        self.state.restrict()

    def stop_monitoring(self, session: Session) -> None:
        """Show the client no more requests, if it was shown any."""
        if session.flags & MONITORING:
            self.monitors.remove(session)
            self.state.monitored = bool(self.monitors.sessions)
            self.state.restrict()

    def _measuring_changed(self, active: bool) -> None:
        self.state.measured = active
        self.state.restrict()

    def session_flags(self) -> int:
        """The flags that a new session starts with."""
        flags = UNAUTHENTICATED if self.users.login_required() else 0
        if not self.users.default.has_all_rights:
            flags |= RESTRICTED
        return flags | BROKER_STATE if self.state.restricted() else flags

    def _set_default_password(self, password: bytes) -> None:
        self.users.set_default_password(password)
        update_sessions(self.sessions.values(), self.users.default)

    def resume(self, session: Session) -> None:
        """Let the session's held-back requests be executed in this tick."""
        self.resumed.append(session)

    def memory(self) -> MemoryOverview:
        """How the broker's memory is used at the moment."""
        scripting = self.scripting
        scripts = ScriptMemory(
            scripting.scripts.memory(),
            scripting.functions.memory(),
            scripting.memory_of_scripts(),
            scripting.memory_of_functions(),
        )
        unwritten = self.persistence.journal.unwritten_bytes
        return MemoryOverview(self.eviction, self.keyspace, self.sessions.values(), unwritten, scripts)


Client = Session[Broker]
"""A session of this broker, as commands know it."""
