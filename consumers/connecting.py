"""Dedicated connections outside the client's pool, for links, subscriptions and blocking reads.

These wait for hours, and are cancelled while they wait. A pool's connections are for short requests: coredis 6 lets
other tasks' requests share one, and permanently loses a slot of the pool when a blocking request is cancelled. So the
connection is built from the pool's own class and settings (which also covers in-process, TLS and Sentinel
connections), and runs in a task group of ours.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Any, TypeAlias

import anyio
import coredis
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import (
    AuthenticationError,
    AuthenticationRequiredError,
    ConnectionError,
    MovedError,
    RedisClusterError,
    SentinelError,
)
from coredis.pool import ClusterConnectionPool, ConnectionPool, SentinelConnectionPool
from coredis.typing import Key

from consumers.errors import ServerUnavailable

__all__ = [
    "Argument",
    "Client",
    "Command",
    "Reply",
    "connect",
    "discard",
    "login_error",
    "report",
    "root_reason",
    "serves",
    "slot_of",
]

Client: TypeAlias = "coredis.Redis[Any] | coredis.RedisCluster[Any]"
Argument: TypeAlias = str | bytes | int | float
Command: TypeAlias = Sequence[Argument]
"""A command's name and arguments, e.g. (b"XACK", "orders", "billing", "1-1")."""
Reply: TypeAlias = Any
"""A decoded RESP3 reply: bytes, int, None, lists and dicts of these; or a RedisError for an error reply."""

CONNECT_SECONDS = 5.0
"""How long connecting and the handshake may take, unless the client has a `connect_timeout`."""

ERRORS_UNTIL_REFRESH = 15
"""After this many errors coredis, by default, fetches the cluster's layout again."""

TOLD = "the server"
"""How the texts of errors begin that are written here."""

NOT_OURS = frozenset(("noreply", "max_idle_time", "stream_timeout", "processing_budget"))
"""Settings of a client's connections that are wrong for one that mostly waits and shares nothing with the others."""


async def connect(
    client: Client,
    tasks: TaskGroup,
    *,
    slot: int | None = None,
    node: TCPLocation | None = None,
    shielded: bool = False,
    primary: bool = False,
) -> BaseConnection:
    """Open a new connection to the server of a coredis client (Redis, RedisCluster, one from a Sentinel).

    It runs in the task group `tasks` until that is cancelled or `invalidate()` is called. With `shielded`, once it is
    established, only the latter ends it, so that commands can still be sent after a cancellation. In a cluster it goes
    to the primary that serves the hash `slot`, to any primary without one, or to the `node` that a redirection named.
    With Sentinel it goes to a server of the client's kind, or with `primary` always to the primary. Replies arrive as
    bytes, whatever the client decodes.

    Raises ServerUnavailable when the server can't be reached, another RedisError when it refuses, and ConnectionError
    when a cluster's layout names no node for the slot.
    """
    seconds = client.connection_pool.connection_kwargs.get("connect_timeout") or CONNECT_SECONDS
    connection: BaseConnection | None = None
    try:
        with anyio.move_on_after(seconds):
            try:
                connection = await _construct(client, slot, node, primary)
                opening = _Opening(connection, shielded=shielded)
                tasks.start_soon(opening.run)
                await opening.wait()
                # a cancellation that arrived together with the connection has ended its reader, shielded or not
                await checkpoint_if_cancelled()
                return connection
            except Exception as error:
                # coredis turns even a cancellation during the handshake into a ConnectionError
                await checkpoint_if_cancelled()
                if isinstance(error, RedisClusterError):
                    error = ConnectionError(str(error))
                elif isinstance(error, AuthenticationError):
                    error = login_error(error)
                elif type(error) is ConnectionError or isinstance(error, OSError | SentinelError):
                    error = _unavailable(client, connection, root_reason(error))
                report(client, connection, error)
                # the causes are Trio's and coredis's: a hundred lines without further information
                raise error from None
        late = _unavailable(client, connection, f"no answer within {seconds:g} seconds")
        report(client, connection, late)
        raise late
    except BaseException:
        if connection is not None:
            connection.invalidate()
            discard(connection)
        raise


def _unavailable(client: Client, connection: BaseConnection | None, reason: str) -> ServerUnavailable:
    location: Any = connection.location if connection is not None else getattr(client.connection_pool, "location", None)
    if location is None:
        return ServerUnavailable(reason, "the server", None)
    if isinstance(location, TCPLocation):
        return ServerUnavailable(reason, location.host, location.port)
    return ServerUnavailable(reason, str(location), None)


def login_error(error: AuthenticationError) -> AuthenticationError:
    """Return the error in terms of a URL, unless it is so already: servers tell their clients how to write a HELLO."""
    if str(error).startswith(TOLD):
        return error
    if isinstance(error, AuthenticationRequiredError):
        url = "redis://:PASSWORD@HOST, or redis://USER:PASSWORD@HOST"
        return AuthenticationRequiredError(f"{TOLD} wants a password, in the URL: {url}")
    return type(error)(f"{TOLD} refuses the user or the password: {error}")


def root_reason(error: BaseException) -> str:
    """Return the text of a connection error's root cause."""
    while (deeper := error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__) is not None:
        error = deeper
    # the numbers of SSLErrors are OpenSSL's, those of failed look-ups negative
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return str(error) or type(error).__name__


def discard(connection: BaseConnection) -> None:
    """Close what a never established connection holds; otherwise Python eventually issues a ResourceWarning."""
    for part in vars(connection).values():
        if isinstance(part, MemoryObjectSendStream | MemoryObjectReceiveStream):
            part.close()


class _Opening:
    """A connection that is being opened by a task of its own, in run(); wait() is for the one that wants it.

    This is TaskGroup.start(), but for a task that shields itself once it has started. A native cancellation may reach
    the caller together with that; start() would then wait for the task to end, forever.
    """

    def __init__(self, connection: BaseConnection, *, shielded: bool) -> None:
        self._connection = connection
        self._shielded = shielded
        self._scope = anyio.CancelScope()
        self._ready = anyio.Event()
        self._ended = anyio.Event()
        self._established = False
        self._error: Exception | None = None

    async def run(self) -> None:
        try:
            with self._scope:
                await self._connection.run(task_status=self)
        except Exception as error:
            if self._established:
                raise
            self._error = error
        finally:
            self._ready.set()
            self._ended.set()

    def started(self, value: None = None) -> None:
        # a connection that is still being opened can be cancelled
        self._scope.shield = self._shielded
        self._established = True
        self._ready.set()

    async def wait(self) -> None:
        """Return once it is established. Raises what opening it has raised; ends it when cancelled."""
        try:
            await self._ready.wait()
        except BaseException:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()
            raise
        if not self._established:
            raise self._error or ConnectionError("cancelled while it was opened")


async def _construct(
    client: Client, slot: int | None, node: TCPLocation | None = None, primary: bool = False
) -> BaseConnection:
    pool: Any = client.connection_pool
    settings = {name: value for name, value in pool.connection_kwargs.items() if name not in NOT_OURS}
    settings["decode_responses"] = False
    connection: BaseConnection
    if isinstance(pool, ClusterConnectionPool):
        if node is None:
            known = pool.cluster_layout.random_node() if slot is None else pool.cluster_layout.node_for_slot(slot)
            node = TCPLocation(known.host, known.port)
        connection = pool.connection_class(location=node, **settings)
    elif isinstance(pool, SentinelConnectionPool):
        to_primary = primary or pool.is_primary
        location = await (pool.get_primary_location() if to_primary else pool.get_replica())
        connection = pool.connection_class(location, pool.service_name, to_primary, **settings)
    elif isinstance(pool, ConnectionPool) and pool.location is not None:
        connection = pool.connection_class(pool.location, **settings)
    else:
        raise TypeError(f"not a client of a known kind: {client!r}")
    return connection


def slot_of(client: Client, name: str | bytes) -> int | None:
    """The hash slot of a key or shard channel; None outside a cluster, where any connection will do."""
    return Key(name).slot if isinstance(client.connection_pool, ClusterConnectionPool) else None


def serves(client: Client, connection: BaseConnection, slot: int | None) -> bool:
    """Whether the connection leads to the node that serves a hash slot."""
    pool = client.connection_pool
    if slot is None or not isinstance(pool, ClusterConnectionPool):
        return True
    node = pool.cluster_layout.node_for_slot(slot)
    return connection.location == TCPLocation(node.host, node.port)


def report(client: Client, connection: BaseConnection | None, error: Exception) -> None:
    """Have a cluster client correct its view of the cluster: a slot has moved, or a node is unreachable.

    Code that only waits on dedicated connections sends nothing else by which the client would notice.
    """
    pool = client.connection_pool
    if isinstance(pool, ClusterConnectionPool):
        location = connection.location if connection is not None else None
        node = pool.cluster_layout.node_for_location(location) if isinstance(location, TCPLocation) else None
        # coredis applies a move immediately; for other errors it queries the cluster only after a number of them
        for _ in range(1 if isinstance(error, MovedError) else ERRORS_UNTIL_REFRESH):
            pool.cluster_layout.report_errors(node, error)
