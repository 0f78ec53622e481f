"""The broker as a running program: start-up order, tasks, shutdown order.

`open_broker` is the only way to run a broker: programs and tests use it directly, and `serve` (the command line) adds
signals and a log.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from broker.broker import Broker
from broker.clients.session import BLOCKED, HELD, MONITORING, POSTPONED, REPLICA, Session
from broker.commands import command_table
from broker.config import Config
from broker.config.directives import BY_NAME, PROCESS_ONLY
from broker.config.kinds import bytes_of
from broker.console_process import ConsoleProcess, console_problem
from broker.hosting import Hosting
from broker.network.activation import passed_sockets
from broker.network.connection import Connection
from broker.network.listeners import Listeners, StartError
from broker.network.outgoing import connect
from broker.network.tick import LINGER_MS, Tick
from broker.persistence.persistence import LoadError, Storage
from broker.persistence.progress import LOADING
from broker.process.clock import Clock
from broker.process.collector import tune_collector
from broker.process.log import Log
from broker.process.memory import tune_allocator
from broker.process.poller import Watches, create_poller
from broker.process.supervision import EXTENSION_SECONDS, Supervision, supervisor_of, watchdog_seconds
from broker.replication.role import Address
from broker.startup_log import log_ready, log_start, log_supervision, log_without_effect
from protocol.errors import SHUTDOWN_FAILED
from protocol.replies import NO_REPLY, error

PEAK_RESET_MS: Final = 5000
"""Milliseconds for which CLIENT LIST's `rbp` remembers the largest replies (as in Redis)."""

RESERVED_DESCRIPTORS: Final = 32
"""Descriptors reserved for files, listeners and pollers, in addition to one per client (as many as in Redis)."""


class Server:
    """A running broker: its parts, its tick, and the sockets it listens on.

    `listeners.open_tcp` opens another port; `connect` needs none.
    """

    def __init__(
        self,
        config: Config,
        log: Log,
        clock: Clock | None = None,
        stop: trio.Event | None = None,
        storage: Storage | None = None,
        supervision: Supervision | None = None,
        linger_ms: int = 0,
    ) -> None:
        """For `linger_ms` see Tick."""
        self._supervision = supervision or Supervision()
        watches = Watches(create_poller())
        commands = command_table(config.renamed_commands, extensions=config.stream_extensions)
        self.broker = Broker(config, log, commands, watches, self._serve_while_busy, self.try_to_stop, clock, storage)
        self.tick = Tick(self.broker, watches, linger_ms)
        self.listeners = Listeners(self.broker, self.tick)
        self.stopping = trio.Event() if stop is None else stop
        self._prepared = False
        self.persistence = self.broker.persistence
        self.broker.keyspace.timer.start()
        self.broker.delayed.start()
        self.broker.eviction.start()
        for name in ("proto-max-bulk-len", "client-query-buffer-limit"):
            config.on_change(name, self._limits_changed)

    @property
    def port(self) -> int:
        """The TCP port in use, 0 without one."""
        return self.broker.tcp_port

    # Clients

    async def connect(self) -> trio.SocketStream:
        """Connect a client in the same process, without a port; returns a byte stream that speaks RESP."""
        ours, theirs = socket.socketpair()
        self.listeners.admit(ours, b"127.0.0.1:0")
        theirs.setblocking(False)
        return trio.SocketStream(trio.socket.from_stdlib_socket(theirs))

    def _serve_while_busy(self, caller: Session) -> None:
        self._supervision.alive()
        self.tick.serve_while_busy(caller)  # looked up on each call, because the tick is created after the broker

    def _limits_changed(self, _: object) -> None:
        for connection in self.tick.connections():
            connection.limits_changed()

    # Persistence

    async def recover(self) -> None:
        """Load the data on the disk. Raises StartError."""
        # Loading is a task that is never idle.
        linger_ms, self.tick.linger_ms = self.tick.linger_ms, 0
        try:
            await self.persistence.recover()
            self.broker.policies.reload()
        except (LoadError, OSError) as problem:
            raise StartError(str(problem)) from problem
        finally:
            self.tick.linger_ms = linger_ms

    def try_to_stop(self, options: frozenset[bytes] = frozenset()) -> bool | None:
        """Stop as SHUTDOWN does with these options (b"SAVE", b"NOSAVE", b"FORCE", b"NOW").

        False if that would lose data. None if replicas are waited for first; the clients that have sent SHUTDOWN are
        told what becomes of it.
        """
        farewell = self.broker.farewell
        if not farewell.waiting:
            self.broker.log.notice("User requested shutdown")
        if b"NOW" in options or self.broker.state.loading:
            farewell.cut_short()
        elif farewell.waiting or farewell.begin(lambda stop: self._replicas_waited_for(options, stop)):
            self._supervision.status("Waiting for replicas before shutting down")
            return None
        return self.stopping.is_set() or self._stop(options)

    def _replicas_waited_for(self, options: frozenset[bytes], stop: bool) -> None:
        """Stop now, or tell the clients that have sent SHUTDOWN that the broker keeps running."""
        stopped = stop and self._stop(options)
        if not stopped:
            self.broker.farewell.resume()
        for session in list(self.broker.blocking.sessions):
            if session.last_command is not None and session.last_command.name == b"shutdown":
                self.broker.blocking.finish(session, NO_REPLY if stopped else error(SHUTDOWN_FAILED))
                if stopped:
                    session.close()

    def _stop(self, options: frozenset[bytes]) -> bool:
        """Save as configured, and stop; False if that would lose data."""
        self.broker.farewell.report()
        self._supervision.status("Saving data and shutting down")
        if not self.persistence.prepare_shutdown(
            save=b"SAVE" in options, no_save=b"NOSAVE" in options, force=b"FORCE" in options
        ):
            self._supervision.status("Errors trying to shut down, see the log; still serving clients")
            return False
        self._prepared = True
        self.stopping.set()
        return True

    async def _connect(self, master: Address) -> trio.abc.Stream:
        return await connect(master.host, master.port, self.broker.config, self.broker.tls_contexts)

    # Tasks

    async def _cron(self) -> None:
        """Once a second, close clients that are idle or stay over a soft output limit, and start saves that are due."""
        while True:
            await trio.sleep(1)
            if self.broker.state.cron_paused:
                continue
            self.tick.begin()
            idle_ms = self.broker.config.timeout * 1000
            now = self.broker.clock.now
            for connection in self.tick.connections():
                idle = idle_ms and self._is_idle(connection, now - idle_ms)
                if idle:
                    self.broker.log.verbose("Closing idle client", id=connection.session.id)
                if idle or not connection.check_soft_limit():
                    self.tick.close(connection)
                elif now - connection.peak_since > PEAK_RESET_MS:
                    connection.reset_peak()
            self.broker.keyspace.expire_written_here()
            self.persistence.cron()
            self.broker.policies.check()
            self.broker.snapshot_transfers.cron()
            self.broker.full_syncs.cron()
            self.broker.stream_upkeep.cron()
            self.broker.tls_contexts.cron()
            self.broker.stats.sample(trio.current_time())
            self.broker.stats.sample_memory(now // 1000)
            self.broker.access.sample()
            self.tick.finish()

    def _is_idle(self, connection: Connection, since: int) -> bool:
        """Whether the client has neither sent nor taken anything since; a client waiting for the broker isn't idle."""
        session = connection.session
        subscribed = session.channels or session.patterns or session.shard_channels
        waits = session.flags & (BLOCKED | POSTPONED | HELD | MONITORING | REPLICA)
        return session.last_active < since and not waits and not subscribed

    async def run(self) -> None:
        """Serve until `stopping` is set, then shut down in order."""
        with self.broker.stats.collector.measured():
            await self._run()

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick.run)
            nursery.start_soon(self.broker.deadlines.run, self.tick.begin, self.tick.finish)
            nursery.start_soon(self._cron)
            nursery.start_soon(self.persistence.run)
            nursery.start_soon(self.broker.migrations.run)
            nursery.start_soon(self.broker.master_link.run, self.tick.begin, self.tick.finish, self._connect)
            await self.stopping.wait()
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        """Close listeners, files and connections; queued replies are sent if the sockets take them."""
        self.listeners.close()
        self.broker.snapshot_transfers.close()
        self.broker.full_syncs.close()
        self.broker.scripting.debugging.close()
        if not self._prepared:
            self.persistence.prepare_shutdown(save=False, no_save=False, force=True)
        if not self.persistence.close():
            self.tick.abandon()
        self.tick.release()
        self.tick.shutdown()


@asynccontextmanager
async def open_broker(
    directives: Mapping[str, str] | None = None,
    *,
    config: Config | None = None,
    log: Log | None = None,
    clock: Clock | None = None,
    stop: trio.Event | None = None,
    started: Callable[[Server], None] | None = None,
    storage: Storage | None = None,
    supervision: Supervision | None = None,
    sockets: Sequence[socket.socket] = (),
    linger_ms: int = 0,
) -> AsyncIterator[Server]:
    """Run a broker inside a Trio program:

        async with broker.open_broker({"maxclients": "100"}) as server:
            stream = await server.connect()

    `directives` are redis.conf's, with names and values as strings, but for those that concern a process of its own
    (`daemonize`, `logfile`, `http-port` and the like). Without `config` no port is opened (`connect()`
    needs none), and nothing is loaded from or saved to the disk, unless `directives` contains `dir` or `appendonly`.
    Setting `stop` shuts the broker down, as leaving the block does. The block is entered once the keys are loaded;
    `started` is called before that. `storage` is the disk (tests substitute another), `supervision` notifies an init
    system, `sockets` listen already (see broker.network.activation), and `linger_ms` is for programs that do nothing
    else (see broker.network.tick). Raises StartError, or ValueError if a directive is refused.
    """
    keeps_files = config is not None or bool({"dir", "appendonly"} & {*(directives or {})})
    if config is None:
        config = Config()
        config.port = 0
        config.save = ()
    for name, value in (directives or {}).items():
        _assign(config, name, value)
    log = log or Log("nothing")
    log.hide_user_data(config.hide_user_data_from_log)
    config.on_change("hide-user-data-from-log", log.hide_user_data)
    log_without_effect(config, log)
    try:
        server = Server(config, log, clock, stop, storage, supervision, linger_ms)
    except ValueError as problem:
        raise StartError(str(problem)) from None
    if started is not None:
        started(server)
    try:
        server.listeners.open(sockets)
        server.broker.log.notice("Server initialized")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            try:
                if keeps_files:
                    await server.recover()
                server.broker.role.resume()
                server.broker.master_link.begin()
                yield server
            finally:
                server.stopping.set()
    finally:
        server.close()


def _assign(config: Config, name: object, value: object) -> None:
    """Set a directive to the value given by a program. Raises ValueError with the directive's name."""
    directive = BY_NAME.get(name) if isinstance(name, str) else None
    if directive is None:
        raise ValueError(f"there is no directive {name!r}{_suggestion(name)}")
    if directive.name in PROCESS_ONLY:
        raise ValueError(f"{name}: only a broker that is a process of its own has this, not one inside a program")
    if not isinstance(value, str):
        raise ValueError(f"the value of {name} must be a string as in redis.conf, not {value!r}")
    # As in CONFIG SET and in files, a path may contain any byte.
    words = bytes_of(value)
    try:
        config.assign(directive, words.split(b" ") if directive.several else [words])
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None


def _suggestion(name: object) -> str:
    dashed = str(name).replace("_", "-").lower()
    return f"; did you mean {dashed}?" if dashed != name and dashed in BY_NAME else ""


def serve(config: Config, log: Log) -> int:
    """Run a broker as a program until SIGTERM, SIGINT or SHUTDOWN; returns the exit status."""
    _raise_descriptor_limit(config, log)
    tune_collector()
    tune_allocator()
    environment, pid = os.environ, os.getpid()
    supervisor = supervisor_of(config.supervised, environment)
    log_supervision(config, supervisor, log)
    supervision = Supervision(
        supervisor,
        environment.get("NOTIFY_SOCKET", ""),
        watchdog_seconds(environment, pid),
    )
    try:
        sockets = passed_sockets(environment, pid)
    except ValueError as problem:
        log.warning(str(problem))
        return 1
    hosting = Hosting(config, log)
    hosting.begin()
    try:
        return trio.run(_serve, config, log, supervision, hosting, sockets)
    except Exception as defect:
        # The log hides what clients have sent, if it must; the interpreter's own report would not.
        log.failure("the broker has failed unexpectedly", defect)
        return 1
    finally:
        hosting.end()


async def _serve(
    config: Config, log: Log, supervision: Supervision, hosting: Hosting, sockets: Sequence[socket.socket]
) -> int:
    status = 0
    log_start(config, log)
    if (obstacle := console_problem(config)) is not None:
        log.warning(obstacle)
        return 1
    supervision.status(LOADING)
    async with trio.open_nursery() as nursery:
        servers: list[Server] = []
        await nursery.start(_obey_signals, servers, log, supervision)
        nursery.start_soon(_report_alive, servers, supervision)
        nursery.start_soon(hosting.run)
        try:
            async with open_broker(
                config=config,
                log=log,
                started=servers.append,
                storage=Storage(child_begins=hosting.child_begins),
                supervision=supervision,
                sockets=sockets,
                linger_ms=LINGER_MS,
            ) as server:
                log_ready(config, log, server.listeners.addresses())
                if config.http_port:
                    users = server.broker.users
                    console = ConsoleProcess(config, log, server.listeners.addresses, users.login_required)
                    nursery.start_soon(console.run)
                if not server.stopping.is_set():
                    supervision.ready()
                await server.stopping.wait()
                supervision.stopping()
            log.notice("trimaran is now ready to exit, bye bye...")
        except* StartError as problems:
            for problem in problems.exceptions:
                log.warning(str(problem))
            status = 1
        nursery.cancel_scope.cancel()
    return status


async def _report_alive(servers: Sequence[Server], supervision: Supervision) -> None:
    """Notify the supervisor that the broker is alive, and while it loads, that the start goes on."""
    while True:
        if not servers or servers[0].broker.state.loading:
            supervision.starting(str(servers[0].persistence.recovery.progress) if servers else LOADING)
        supervision.alive()
        await trio.sleep(supervision.interval or EXTENSION_SECONDS / 3)


async def _obey_signals(
    servers: list[Server], log: Log, supervision: Supervision, *, task_status: trio.TaskStatus[None]
) -> None:
    """Shut down on SIGTERM and SIGINT, with the options of `shutdown-on-sigterm` and `shutdown-on-sigint`.

    SIGHUP, which log rotation and a closing terminal send, reopens the log.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                loaded = servers and not servers[0].broker.state.loading
                if loaded:
                    supervision.reloading()
                _reopen(log)
                if loaded:
                    supervision.ready()
                continue
            if not servers or servers[0].broker.state.loading:
                log.notice(f"Received {name} while loading: there is nothing to save")
                supervision.stopping()
                os._exit(0)
            if servers[0].stopping.is_set():
                log.notice(f"Received {name} again, stopping immediately")
                os._exit(1)
            log.notice(f"Received {name} scheduling shutdown; a second one stops immediately")
            config = servers[0].broker.config
            words = config.shutdown_on_sigterm if number == signal.SIGTERM else config.shutdown_on_sigint
            options = frozenset(word.upper().encode() for word in words)
            if servers[0].broker.farewell.waiting:
                servers[0].broker.farewell.cut_short()
            elif servers[0].try_to_stop(options) is False:
                log.warning("not shutting down, for the reason above; SHUTDOWN NOSAVE or FORCE may override it")


def _reopen(log: Log) -> None:
    try:
        log.reopen()
    except OSError as problem:
        log.warning("the log can't be reopened; continuing with the old file", error=str(problem))
    else:
        log.notice("Received SIGHUP: reopened the log")


def _raise_descriptor_limit(config: Config, log: Log) -> None:
    """Raise the limit of open files to what `maxclients` needs, or reduce `maxclients` and log that."""
    needed = config.maxclients + RESERVED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
        if soft < needed:
            config.maxclients = max(1, soft - RESERVED_DESCRIPTORS)
            log.warning("the limit of open files allows fewer clients", limit=soft, maxclients=config.maxclients)
