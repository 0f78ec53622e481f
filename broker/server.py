"""The broker as a running program: start-up order, listeners, periodic work, shutdown order.

`open_broker` is the one way to run a broker: in a program or a test it is used as it is, and `serve` (the
command line) wraps it with signals and a log.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from broker.clock import Clock
from broker.config import Config
from broker.config.directives import BY_NAME
from broker.connection import Connection, format_address, is_loopback
from broker.core import Broker
from broker.deadlines import Timer
from broker.keyspace import NEVER
from broker.log import Log
from broker.memory_tuning import tune_collector
from broker.tick import Tick
from broker.version import REDIS_VERSION, VERSION
from protocol.errors import MAX_CLIENTS, PROTECTED_MODE
from protocol.replies import error

ACCEPTS_A_TICK: Final = 128
"""Connections taken from one listener a tick; the rest waits in the kernel's queue."""


class StartError(Exception):
    """The broker can't start; the text says why, in one line."""


class Server:
    """A running broker: its parts, its tick, and the sockets it listens on.

    `port` is the TCP port in use (the one the kernel chose where the directive says 0 and `listen_tcp` was asked
    for any), 0 without TCP.
    """

    def __init__(self, config: Config, log: Log, clock: Clock | None = None, stop: trio.Event | None = None) -> None:
        self.broker = Broker(config, log, clock)
        self.tick = Tick(self.broker)
        self._listeners: list[socket.socket] = []
        self._tcp_listeners: list[socket.socket] = []
        self._unix_path = ""
        self.stopping = trio.Event() if stop is None else stop
        self.broker.request_shutdown = self.stopping.set
        self.broker.deadlines.before = self.tick.begin
        self.broker.deadlines.after_actions = self.tick.finish
        self.broker.keyspace.deadline_moved = self._expiry_moved
        self._expiry_timer: Timer | None = None
        for name in ("proto-max-bulk-len", "client-query-buffer-limit"):
            config.on_change(name, self._limits_changed)
        config.on_change("port", self._move_tcp)
        config.on_change("bind", self._move_tcp)

    @property
    def port(self) -> int:
        """The TCP port in use, 0 without one."""
        return self.broker.tcp_port

    # Clients

    async def connect(self) -> trio.SocketStream:
        """A client of this broker in the same process: a byte stream that speaks RESP, without any port."""
        ours, theirs = socket.socketpair()
        self._admit(ours, b"127.0.0.1:0")
        theirs.setblocking(False)
        return trio.SocketStream(trio.socket.from_stdlib_socket(theirs))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_A_TICK):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                # Out of descriptors, or a client that has gone already: the others are served on.
                self.broker.log.warning("accepting a client failed", reason=problem.strerror)
                return
            if listener.family == socket.AF_UNIX:
                self._admit(sock, self._unix_path.encode() + b":0")
            else:
                self._set_options(sock)
                self._admit(sock, format_address(address, listener.family))

    def _set_options(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        seconds = self.broker.config.tcp_keepalive
        if seconds:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (
                ("TCP_KEEPIDLE", seconds),
                ("TCP_KEEPINTVL", max(1, seconds // 3)),
                ("TCP_KEEPCNT", 3),
            ):
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _admit(self, sock: socket.socket, peer: bytes) -> None:
        broker = self.broker
        refusal = None
        if len(broker.sessions) >= broker.config.maxclients:
            refusal = MAX_CLIENTS
        elif (
            broker.config.protected_mode
            and not broker.config.requirepass
            and sock.family != socket.AF_UNIX
            and not is_loopback(peer)
        ):
            refusal = PROTECTED_MODE
        if refusal is None:
            self.tick.adopt(sock, peer)
            return
        broker.stats.clients_refused += 1
        sock.setblocking(False)
        with suppress(OSError):
            sock.send(error(refusal))
        sock.close()

    # Listeners

    def listen(self) -> None:
        """Open the listeners that the configuration asks for; raises StartError."""
        config = self.broker.config
        if config.port:
            self._tcp_listeners = self._open_tcp(config.port, config.bind)
        if config.unixsocket:
            self._listen_unix(config.unixsocket, config.unixsocketperm)

    def listen_tcp(self, host: str, port: int) -> int:
        """Listen on one address; port 0 lets the kernel choose. Returns the port."""
        listeners = self._open_tcp(port, (host,))
        self._tcp_listeners += listeners
        return self.broker.tcp_port

    def _open_tcp(self, port: int, addresses: tuple[str, ...]) -> list[socket.socket]:
        opened: list[socket.socket] = []
        try:
            for address in addresses:
                optional = address.startswith("-")
                try:
                    opened += self._open_address(address.removeprefix("-"), port)
                except OSError as problem:
                    if not optional:
                        raise StartError(
                            f"can't listen on {address} port {port}: {problem.strerror or problem}"
                        ) from None
        except StartError:
            for sock in opened:
                sock.close()
            raise
        for sock in opened:
            self.tick.listen(sock, self._accept)
        if opened:
            self.broker.tcp_port = opened[0].getsockname()[1]
        return opened

    def _open_address(self, host: str, port: int) -> list[socket.socket]:
        name, family = {"*": ("0.0.0.0", socket.AF_INET), "::*": ("::", socket.AF_INET6)}.get(host, (host, 0))
        found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets = []
        for kind, _, _, _, address in found:
            sock = socket.socket(kind, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if kind == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setblocking(False)
                sock.bind(address)
                sock.listen(self.broker.config.tcp_backlog)
            except OSError:
                sock.close()
                raise
            sockets.append(sock)
        return sockets

    def _listen_unix(self, path: str, mode: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.bind(path)
            if mode:
                os.chmod(path, mode)
            sock.listen(self.broker.config.tcp_backlog)
        except OSError as problem:
            sock.close()
            raise StartError(f"can't listen on the Unix socket {path}: {problem.strerror}") from None
        self._unix_path = path
        self._listeners.append(sock)
        self.tick.listen(sock, self._accept)

    def _move_tcp(self, _: object) -> None:
        """CONFIG SET port or bind: listen anew; the old listeners stay if that fails."""
        config = self.broker.config
        old = self._tcp_listeners
        same_port = bool(old) and old[0].getsockname()[1] == config.port
        if same_port:
            self._close_tcp(old)
        try:
            self._tcp_listeners = self._open_tcp(config.port, config.bind) if config.port else []
        except StartError as problem:
            if same_port:
                self._tcp_listeners = []
            raise ValueError(f"Unable to listen on this port: {problem}") from None
        if not same_port:
            self._close_tcp(old)
        self.broker.tcp_port = config.port

    def _close_tcp(self, listeners: list[socket.socket]) -> None:
        for sock in listeners:
            self.tick.stop_listening(sock)
            sock.close()

    def _limits_changed(self, _: object) -> None:
        for connection in self.tick.connections():
            connection.limits_changed()

    # Tasks

    def _expiry_moved(self) -> None:
        """An earlier key deadline was set: have the timer task remove keys on time, though no client asks."""
        when = self.broker.clock.trio_deadline(self.broker.keyspace.next_deadline + 1)
        if self._expiry_timer is not None:
            if self._expiry_timer.when <= when:
                return
            self._expiry_timer.cancel()
        self._expiry_timer = self.broker.deadlines.at(when, self._expiry_due)

    def _expiry_due(self) -> None:
        # The timer's bracket has removed what is due (Tick.begin); what is left or comes next sets it again.
        self._expiry_timer = None
        if self.broker.keyspace.next_deadline < NEVER:
            self._expiry_moved()

    async def _cron(self) -> None:
        """Once a second: close idle clients, and those that stay over a soft output limit."""
        while True:
            await trio.sleep(1)
            self.tick.begin()
            idle_ms = self.broker.config.timeout * 1000
            now = self.broker.clock.now
            for connection in self.tick.connections():
                idle = idle_ms and self._is_idle(connection, now - idle_ms)
                if idle or not connection.check_soft_limit():
                    self.tick.close(connection)
            self.tick.finish()

    def _is_idle(self, connection: Connection, since: int) -> bool:
        session = connection.session
        subscribed = session.channels or session.patterns or session.shard_channels
        return session.last_active < since and session.waiting is None and not subscribed

    async def run(self) -> None:
        """Serve until `stopping` is set, then shut down in order."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick.run)
            nursery.start_soon(self.broker.deadlines.run)
            nursery.start_soon(self._cron)
            await self.stopping.wait()
            nursery.cancel_scope.cancel()

    def close(self) -> None:
        """Close listeners and connections; queued replies are sent as far as the sockets take them."""
        self._close_tcp(self._tcp_listeners)
        for sock in self._listeners:
            self.tick.stop_listening(sock)
            sock.close()
        if self._unix_path:
            with suppress(OSError):
                os.unlink(self._unix_path)
        self.tick.shutdown()


@asynccontextmanager
async def open_broker(
    directives: Mapping[str, str] | None = None,
    *,
    config: Config | None = None,
    log: Log | None = None,
    clock: Clock | None = None,
    stop: trio.Event | None = None,
) -> AsyncIterator[Server]:
    """Run a broker inside a Trio program:

        async with broker.open_broker({"maxclients": "100"}) as server:
            stream = await server.connect()

    `directives` are redis.conf's, names and values as texts. Without `config` no port is opened; `connect()`
    needs none, and `listen_tcp` opens one. Setting `stop` shuts the broker down, as leaving the block does. Raises
    StartError, or ValueError for a directive that is refused.
    """
    if config is None:
        config = Config()
        config.port = 0
    for name, value in (directives or {}).items():
        directive = BY_NAME[name]
        config.assign(directive, value.encode().split(b" ") if directive.several else [value.encode()])
    server = Server(config, log or Log("nothing"), clock, stop)
    try:
        server.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            try:
                yield server
            finally:
                server.stopping.set()
    finally:
        server.close()


def serve(config: Config, log: Log) -> int:
    """Run a broker as a program until SIGTERM, SIGINT or SHUTDOWN; returns the exit status."""
    tune_collector()
    return trio.run(_serve, config, log)


async def _serve(config: Config, log: Log) -> int:
    status = 0
    async with trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(_obey_signals, stop, log)
        try:
            await _serve_until(stop, config, log)
        except* StartError as problems:
            for problem in problems.exceptions:
                log.warning(str(problem))
            status = 1
        nursery.cancel_scope.cancel()
    return status


async def _serve_until(stop: trio.Event, config: Config, log: Log) -> None:
    async with open_broker(config=config, log=log, stop=stop) as server:
        log.notice(
            f"trimaran {VERSION} is ready to accept connections",
            port=server.port,
            dir=config.dir,
            redis_version=REDIS_VERSION,
        )
        await server.stopping.wait()
        log.notice("shutting down")
    log.notice("bye")


async def _obey_signals(stop: trio.Event, log: Log) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stop.is_set():
                os._exit(1)
            log.notice(f"{signal.Signals(number).name} received, shutting down; the same again stops at once")
            stop.set()
