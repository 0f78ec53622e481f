"""A connection of one's own, beside the client's pool: what subscriptions and blocking reads wait on.

They wait for hours, and they are cancelled while they wait. A pool's connections are for short requests: coredis 6
lets other tasks' requests share one, and loses a slot of the pool for good when a blocking request is cancelled. So
the connection is made of the pool's own class and settings (in-process, TLS and Sentinel connections come along), and
runs in a nursery of ours.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import coredis
import trio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis.connection import BaseConnection, ClusterConnection, TCPLocation
from coredis.connection._sentinel import SentinelManagedConnection
from coredis.exceptions import ConnectionError, RedisClusterError
from coredis.pool import ClusterConnectionPool, SentinelConnectionPool
from coredis.typing import Key

from consumers.errors import transient

Client: TypeAlias = "coredis.Redis[Any] | coredis.RedisCluster[Any]"

CONNECT_SECONDS = 5.0
"""How long connecting and the handshake may take, where the client names no `connect_timeout`."""


NOT_OURS = frozenset(("noreply", "max_idle_time", "stream_timeout", "processing_budget"))
"""Settings of a client's connections that are wrong for one that mostly waits, and shares nothing with the others."""


async def connect(
    client: Client, nursery: trio.Nursery, *, slot: int | None = None, shielded: bool = False
) -> BaseConnection:
    """A new connection to the server that a coredis client (Redis, RedisCluster, one of a Sentinel) talks to.

    It runs in the nursery until that is cancelled or `invalidate()` is called; with `shielded`, once it stands, only
    the latter ends it, so that something can still be said when all has been cancelled. In a cluster it goes to the
    primary that serves the hash `slot`, or to any primary without one. Replies come as bytes, whatever the client
    decodes.

    Raises a RedisError, OSError or TimeoutError when the server is not to be had.
    """
    connection = await _construct(client, slot)
    seconds = client.connection_pool.connection_kwargs.get("connect_timeout") or CONNECT_SECONDS
    try:
        with trio.move_on_after(seconds):
            try:
                await nursery.start(_run_shielded if shielded else _run, connection)
                # a cancellation that came with the connection has ended its reader, shield or not
                await trio.lowlevel.checkpoint_if_cancelled()
                return connection
            except Exception as error:
                # coredis makes a ConnectionError even of being cancelled in the handshake
                await trio.lowlevel.checkpoint_if_cancelled()
                report(client, connection, error)
                raise
        late = TimeoutError(f"no connection to {connection.location} within {seconds:g} seconds")
        report(client, connection, ConnectionError(str(late)))
        raise late
    except BaseException:
        connection.invalidate()
        discard(connection)
        raise


def discard(connection: BaseConnection) -> None:
    """Close what a connection holds that has never stood; else Python warns of it (ResourceWarning) at some time."""
    for part in vars(connection).values():
        if isinstance(part, MemoryObjectSendStream | MemoryObjectReceiveStream):
            part.close()


async def _run(connection: BaseConnection, *, task_status: trio.TaskStatus[None]) -> None:
    await connection.run(task_status=task_status)


async def _run_shielded(connection: BaseConnection, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.CancelScope() as scope:
        await connection.run(task_status=_Shielding(scope, task_status))


class _Shielding:
    """Shields a scope once its task has started: a connection that is still being made can be cancelled."""

    def __init__(self, scope: trio.CancelScope, status: trio.TaskStatus[None]) -> None:
        self._scope = scope
        self._status = status

    def started(self, value: None = None) -> None:
        self._scope.shield = True
        self._status.started(value)


async def _construct(client: Client, slot: int | None) -> BaseConnection:
    pool: Any = client.connection_pool
    settings = {name: value for name, value in pool.connection_kwargs.items() if name not in NOT_OURS}
    settings["decode_responses"] = False
    if isinstance(pool, ClusterConnectionPool):
        node = pool.cluster_layout.random_node() if slot is None else pool.cluster_layout.node_for_slot(slot)
        return ClusterConnection(TCPLocation(node.host, node.port), **settings)
    if isinstance(pool, SentinelConnectionPool):
        location = await (pool.get_primary_location() if pool.is_primary else pool.get_replica())
        return SentinelManagedConnection(location, pool.service_name, pool.is_primary, **settings)
    connection: BaseConnection = pool.connection_class(pool.location, **settings)
    return connection


def slot_of(client: Client, name: bytes) -> int | None:
    """The hash slot of a key or shard channel; None where there is no cluster, and any connection will do."""
    return Key(name).slot if isinstance(client.connection_pool, ClusterConnectionPool) else None


def serves(client: Client, connection: BaseConnection, slot: int | None) -> bool:
    """Whether the connection leads to the node that serves a hash slot."""
    pool = client.connection_pool
    if slot is None or not isinstance(pool, ClusterConnectionPool):
        return True
    node = pool.cluster_layout.node_for_slot(slot)
    return connection.location == TCPLocation(node.host, node.port)


def report(client: Client, connection: BaseConnection, error: Exception) -> None:
    """Have the client correct its picture of the cluster: its slot has moved, or its node is not there.

    A service that only subscribes sends nothing else by which the client would notice.
    """
    pool = client.connection_pool
    if isinstance(pool, ClusterConnectionPool) and isinstance(connection.location, TCPLocation):
        pool.cluster_layout.report_errors(pool.cluster_layout.node_for_location(connection.location), error)


def is_passing(error: Exception) -> bool:
    """Whether connecting again may help; in a cluster also that no node is known for a slot at the moment."""
    return transient(error) or isinstance(error, RedisClusterError)
