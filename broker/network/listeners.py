"""Listening sockets (TCP on several addresses, with and without TLS, a Unix socket), and which connections are let in.

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

from broker.acl.log import TLS_CERTIFICATE, TOP_LEVEL
from broker.broker import Broker
from broker.clients.describing import client_line
from broker.network.connection import Connection, format_address, is_loopback
from broker.network.endpoint import Endpoint
from broker.network.handshakes import Handshakes
from broker.network.tick import Tick
from broker.network.tls import TlsEndpoint
from broker.tls.contexts import NOT_CONFIGURED
from protocol.errors import MAX_CLIENTS, PROTECTED_MODE
from protocol.replies import error

PAUSE_MS: Final = 200
"""Milliseconds to stop accepting when the process is out of descriptors: the listener stays readable and would keep
the tick spinning."""

PORT_REFUSED: Final = "Unable to listen on this port. Check server logs."
BIND_REFUSED: Final = "Failed to bind to specified addresses."
"""Redis's answers to CONFIG SET port, tls-port and bind."""


class StartError(Exception):
    """The broker can't start; the message says why, in one line."""


class Listeners:
    """A broker's listening sockets."""

    def __init__(self, broker: Broker, tick: Tick) -> None:
        self.broker = broker
        self.tick = tick
        self._tcp: list[socket.socket] = []
        self._tls: list[socket.socket] = []
        self._tls_contexts = broker.tls_contexts
        self.handshakes = Handshakes(broker, tick, self.admit)
        self._unix: socket.socket | None = None
        self._unix_path = ""
        self._unix_is_ours = False
        config = broker.config
        config.on_change("port", partial(self._move_tcp, PORT_REFUSED))
        config.on_change("tls-port", partial(self._move_tls, PORT_REFUSED))
        config.on_change("bind", partial(self._move_tcp, BIND_REFUSED))
        config.on_change("bind", self._rebind_tls)

    def open(self, passed: Sequence[socket.socket] = ()) -> None:
        """Open the listeners that the configuration asks for; raises StartError.

        `passed` are sockets that listen already: TCP ones replace `port` and `bind`, a Unix one `unixsocket`.
        """
        config = self.broker.config
        for sock in passed:
            self._adopt(sock)
        if config.port and not self._tcp:
            self._tcp = self._open_tcp(config.port, config.bind)
        if self._tls_contexts.needed() and not self._tls_contexts.configure():
            raise StartError("Failed to configure TLS. Check logs for more info.")
        if config.tls_port:
            self._tls = self._open_tcp(config.tls_port, config.bind, tls=True)
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
        self._close_tcp(self._tcp + self._tls)
        self._tcp, self._tls = [], []
        self.handshakes.close()
        if self._unix is not None:
            self.tick.stop_listening(self._unix)
            self._unix.close()
            self._unix = None
            if self._unix_is_ours:
                with suppress(OSError):
                    os.unlink(self._unix_path)

    # Letting clients in

    def admit(self, sock: socket.socket, peer: bytes, endpoint: TlsEndpoint | None = None) -> None:
        """Serve a connected socket, unless maxclients or protected mode forbids it.

        `endpoint` is given if it is encrypted, and the handshake complete.
        """
        broker = self.broker
        config = broker.config
        exposed = config.protected_mode and broker.users.default.nopass and sock.family != socket.AF_UNIX
        if self._is_full():
            refusal = MAX_CLIENTS
        elif exposed and not is_loopback(peer):
            refusal = PROTECTED_MODE
        else:
            connection = self.tick.adopt(sock, peer, endpoint)
            broker.log.verbose("Accepted a client", id=connection.session.id, addr=peer)
            if endpoint is not None:
                self._log_in(connection, endpoint)
                self.tick.serve_received(connection)
            return
        broker.stats.clients_refused += 1
        broker.log.verbose("Error accepting a client connection", addr=peer, reason=refusal)
        sock.setblocking(False)
        refused = endpoint or Endpoint(sock)
        with suppress(OSError):
            refused.send(error(refusal))
        refused.close()

    def _admit_encrypted(self, sock: socket.socket, peer: bytes) -> None:
        """Let an accepted socket begin its handshake. Who is one too many gets no reason: it could not be encrypted."""
        context = self._tls_contexts.server
        if self._is_full() or context is None:
            self.broker.stats.clients_refused += 1
            sock.close()
            return
        sock.setblocking(False)
        self.handshakes.begin(sock, peer, TlsEndpoint(sock, context))

    def _log_in(self, connection: Connection, endpoint: TlsEndpoint) -> None:
        """With tls-auth-clients-user, log the client in as the user whom its certificate names."""
        if self.broker.config.tls_auth_clients_user != "CN":
            return
        common_name = endpoint.common_name()
        name = common_name.encode()
        session = connection.session
        users = self.broker.users
        log = self.broker.log
        user = users.get(name) if name else None
        if user is not None and user.enabled:
            session.become_user(user, True)
            log.verbose("TLS: Auto-authenticated client as %s", log.user_data(common_name), id=session.id)
        elif name:
            users.log.add(TLS_CERTIFICATE, TOP_LEVEL, b"", name, client_line(session))
            log.verbose("TLS: the certificate names no user", user=log.user_data(common_name), id=session.id)

    def _is_full(self) -> bool:
        return len(self.broker.sessions) + len(self.handshakes) >= self.broker.config.maxclients

    def _accept(self, listener: socket.socket) -> None:
        encrypted = listener in self._tls
        config = self.broker.config
        most = config.max_new_tls_connections_per_cycle if encrypted else config.max_new_connections_per_cycle
        # The rest wait in the kernel's queue until the next tick.
        for _ in range(most):
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
                admit = self._admit_encrypted if encrypted else self.admit
                admit(sock, format_address(address, listener.family))

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

    def _open_tcp(self, port: int, addresses: tuple[str, ...], *, tls: bool = False) -> list[socket.socket]:
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
                raise StartError(f"{text}. Failed listening on port {port} ({'tls' if tls else 'tcp'})") from None
        for sock in opened:
            self.tick.listen(sock, self._accept)
        if opened and not tls:
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

    def _move_tcp(self, refusal: str, _: object) -> None:
        """CONFIG SET port or bind: listen on the new addresses, or keep to the old ones if that fails."""
        self._tcp = self._move(self._tcp, self.broker.config.port, refusal)
        self.broker.tcp_port = self.broker.config.port

    def _move_tls(self, refusal: str, _: object) -> None:
        """CONFIG SET tls-port or bind, likewise."""
        contexts = self._tls_contexts
        if contexts.server is None and not contexts.configure():
            raise ValueError(NOT_CONFIGURED)
        self._tls = self._move(self._tls, self.broker.config.tls_port, refusal, tls=True)

    def _rebind_tls(self, value: object) -> None:
        if self._tls:
            self._move_tls(BIND_REFUSED, value)

    def _move(self, old: list[socket.socket], port: int, refusal: str, *, tls: bool = False) -> list[socket.socket]:
        # A port can't be bound twice: close first, and go back to the old addresses on failure.
        addresses = [sock.getsockname()[:2] for sock in old]
        self._close_tcp(old)
        old.clear()
        try:
            return self._open_tcp(port, self.broker.config.bind, tls=tls) if port else []
        except StartError as problem:
            for host, old_port in addresses:
                with suppress(StartError):
                    old += self._open_tcp(old_port, (host,), tls=tls)
            self.broker.log.warning("%s", problem)
            raise ValueError(refusal) from None

    def _close_tcp(self, listeners: list[socket.socket]) -> None:
        for sock in listeners:
            self.tick.stop_listening(sock)
            sock.close()
