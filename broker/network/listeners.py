"""Listening sockets (TCP on several addresses, a Unix socket), and which connections are let in.

Clients are accepted within the tick, where all client work happens.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from broker.broker import Broker
from broker.network.connection import format_address, is_loopback
from broker.network.tick import Tick
from protocol.errors import MAX_CLIENTS, PROTECTED_MODE
from protocol.replies import error

PAUSE_MS: Final = 200
"""Milliseconds to stop accepting when the process is out of descriptors: the listener stays readable and would keep
the tick spinning."""


class StartError(Exception):
    """The broker can't start; the message says why, in one line."""


class Listeners:
    """A broker's listening sockets."""

    def __init__(self, broker: Broker, tick: Tick) -> None:
        self.broker = broker
        self.tick = tick
        self._tcp: list[socket.socket] = []
        self._unix: socket.socket | None = None
        self._unix_path = ""
        self._unix_is_ours = False
        broker.config.on_change("port", self._move_tcp)
        broker.config.on_change("bind", self._move_tcp)

    def open(self, passed: Sequence[socket.socket] = ()) -> None:
        """Open the listeners that the configuration asks for; raises StartError.

        `passed` are sockets that listen already: TCP ones replace `port` and `bind`, a Unix one `unixsocket`.
        """
        config = self.broker.config
        for sock in passed:
            self._adopt(sock)
        if config.port and not self._tcp:
            self._tcp = self._open_tcp(config.port, config.bind)
        if config.unixsocket and self._unix is None:
            self._open_unix(config.unixsocket, config.unixsocketperm)

    def addresses(self) -> list[str]:
        """Where clients connect: `127.0.0.1:6379`, `[::1]:6379`."""
        return [format_address(sock.getsockname(), sock.family).decode() for sock in self._tcp]

    def open_tcp(self, host: str, port: int) -> int:
        """Listen on one address; port 0 lets the kernel choose. Returns the port; raises StartError."""
        self._tcp += self._open_tcp(port, (host,))
        return self.broker.tcp_port

    def close(self) -> None:
        """Close all listeners and remove the Unix socket's file."""
        self._close_tcp(self._tcp)
        self._tcp = []
        if self._unix is not None:
            self.tick.stop_listening(self._unix)
            self._unix.close()
            self._unix = None
            if self._unix_is_ours:
                with suppress(OSError):
                    os.unlink(self._unix_path)

    # Letting clients in

    def admit(self, sock: socket.socket, peer: bytes) -> None:
        """Serve a connected socket, unless maxclients or protected mode forbids it."""
        broker = self.broker
        config = broker.config
        exposed = config.protected_mode and broker.users.default.nopass and sock.family != socket.AF_UNIX
        if len(broker.sessions) >= config.maxclients:
            refusal = MAX_CLIENTS
        elif exposed and not is_loopback(peer):
            refusal = PROTECTED_MODE
        else:
            connection = self.tick.adopt(sock, peer)
            broker.log.verbose("Accepted a client", id=connection.session.id, addr=peer)
            return
        broker.stats.clients_refused += 1
        broker.log.verbose("Error accepting a client connection", addr=peer, reason=refusal)
        sock.setblocking(False)
        with suppress(OSError):
            sock.send(error(refusal))
        sock.close()

    def _accept(self, listener: socket.socket) -> None:
        # The rest wait in the kernel's queue until the next tick.
        for _ in range(self.broker.config.max_new_connections_per_cycle):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                self.broker.log.warning("accepting a client failed", reason=problem.strerror)
                if problem.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause_accepting(listener)
                    return
                continue
            if listener.family == socket.AF_UNIX:
                self.admit(sock, self._unix_path.encode() + b":0")
            else:
                self._set_options(sock)
                self.admit(sock, format_address(address, listener.family))

    def _pause_accepting(self, listener: socket.socket) -> None:
        self.tick.stop_listening(listener)
        self.broker.deadlines.after(PAUSE_MS, partial(self._resume_accepting, listener))

    def _resume_accepting(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            self.tick.listen(listener, self._accept)

    def _set_options(self, sock: socket.socket) -> None:
        config = self.broker.config
        seconds, count = config.tcp_keepalive, config.tcp_keepalive_probes
        probes = (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", max(1, seconds // 3)), ("TCP_KEEPCNT", count))
        with suppress(OSError):  # on some systems a connection that has already been reset takes no options
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if not seconds:
                return
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in probes:
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    # Opening

    def _adopt(self, sock: socket.socket) -> None:
        """Listen on a socket that was opened by someone else, who keeps the file of a Unix socket."""
        config = self.broker.config
        if sock.family == socket.AF_UNIX:
            if self._unix is not None:
                raise StartError("only one Unix socket can be passed (LISTEN_FDS)")
            self._unix = sock
            self._unix_path = config.unixsocket = os.fsdecode(sock.getsockname())
        else:
            if not self._tcp:
                self.broker.tcp_port = config.port = sock.getsockname()[1]
            self._tcp.append(sock)
        self.tick.listen(sock, self._accept)

    def _open_tcp(self, port: int, addresses: tuple[str, ...]) -> list[socket.socket]:
        opened: list[socket.socket] = []
        for address in addresses:
            try:
                opened += self._open_address(address.removeprefix("-"), port)
            except OSError as problem:
                if address.startswith("-"):
                    continue  # "-" marks an address that may be unavailable
                for sock in opened:
                    sock.close()
                reason = problem.strerror or str(problem)
                text = f"Could not create server TCP listening socket {address}:{port}: {reason}"
                raise StartError(f"{text}. Failed listening on port {port} (tcp)") from None
        for sock in opened:
            self.tick.listen(sock, self._accept)
        if opened:
            self.broker.tcp_port = opened[0].getsockname()[1]
        return opened

    def _open_address(self, host: str, port: int) -> list[socket.socket]:
        name, family = {"*": ("0.0.0.0", socket.AF_INET), "::*": ("::", socket.AF_INET6)}.get(host, (host, 0))
        found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets: list[socket.socket] = []
        for kind, _, _, _, address in found:
            sock = socket.socket(kind, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if kind == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setblocking(False)
                self._mark(sock)
                sock.bind(address)
                sock.listen(self.broker.config.tcp_backlog)
            except OSError:
                for opened in (sock, *sockets):
                    opened.close()
                raise
            sockets.append(sock)
        return sockets

    def _mark(self, sock: socket.socket) -> None:
        """Mark a socket for the firewall and routing (`socket-mark-id`), which needs the right to administer them."""
        mark = self.broker.config.socket_mark_id
        if not mark:
            return
        try:
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_MARK", 0), mark)
        except OSError as problem:
            self.broker.log.warning("sockets can't be marked", id=mark, reason=problem.strerror)

    def _open_unix(self, path: str, mode: int) -> None:
        with suppress(FileNotFoundError):
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.bind(path)
            if group := self.broker.config.unixsocketgroup:
                shutil.chown(path, group=group)
            if mode:
                os.chmod(path, mode)
            sock.listen(self.broker.config.tcp_backlog)
        except (OSError, LookupError) as problem:
            sock.close()
            reason = getattr(problem, "strerror", None) or problem
            raise StartError(f"Failed opening Unix socket {path}: {reason}") from None
        self._unix = sock
        self._unix_path = path
        self._unix_is_ours = True
        self.tick.listen(sock, self._accept)

    def _move_tcp(self, _: object) -> None:
        """CONFIG SET port or bind: listen on the new addresses, or keep to the old ones if that fails."""
        config = self.broker.config
        old = self._tcp
        # A port can't be bound twice: close first, and go back to the old addresses on failure.
        addresses = [sock.getsockname()[:2] for sock in old]
        self._close_tcp(old)
        self._tcp = []
        try:
            self._tcp = self._open_tcp(config.port, config.bind) if config.port else []
            self.broker.tcp_port = config.port
        except StartError as problem:
            for host, port in addresses:
                with suppress(StartError):
                    self._tcp += self._open_tcp(port, (host,))
            raise ValueError(f"Unable to listen on this port: {problem}") from None

    def _close_tcp(self, listeners: list[socket.socket]) -> None:
        for sock in listeners:
            self.tick.stop_listening(sock)
            sock.close()
