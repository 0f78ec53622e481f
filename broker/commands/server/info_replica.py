"""What INFO and ROLE show of a replica's link to its master."""

from __future__ import annotations

from collections.abc import Iterator

from broker.broker import Broker
from protocol.replies import array, bulk, integer


def replica_fields(broker: Broker) -> Iterator[tuple[str, object]]:
    """The fields of INFO replication that only a replica has, in Redis's order."""
    role, config = broker.role, broker.config
    link, master = role.link, role.master
    if master is None:
        return
    offset = broker.history.offset
    yield "master_host", master.host
    yield "master_port", master.port
    yield "master_link_status", "up" if link.is_up else "down"
    yield "master_last_io_seconds_ago", link.seconds_since(link.heard) if link.is_up else -1
    yield "master_sync_in_progress", int(link.state == "sync")
    yield "slave_read_repl_offset", offset + link.unapplied
    yield "slave_repl_offset", offset
    # Redis receives the stream during a full synchronization here; we have the master keep it.
    yield "replica_full_sync_buffer_size", 0
    yield "replica_full_sync_buffer_peak", 0
    yield "master_current_sync_attempts", link.attempts
    yield "master_total_sync_attempts", link.all_attempts
    if link.state == "sync":
        share = 100 * link.payload_read / link.payload if link.payload else 0
        yield "master_sync_total_bytes", link.payload
        yield "master_sync_read_bytes", link.payload_read
        yield "master_sync_left_bytes", link.payload - link.payload_read
        yield "master_sync_perc", f"{share:.2f}"
        yield "master_sync_last_io_seconds_ago", link.seconds_since(link.heard)
    if link.is_up:
        yield "master_link_up_since_seconds", link.seconds_since(link.up_since)
        yield "master_client_io_thread", 0
    else:
        yield "master_link_down_since_seconds", link.seconds_since(link.down_since)
    yield "total_disconnect_time_sec", link.seconds_down()
    # Data that have diverged must not become the master's, which is what 0 means to Sentinel.
    yield "slave_priority", 0 if link.diverged else config.replica_priority
    yield "slave_read_only", int(config.replica_read_only)
    yield "replica_announced", int(config.replica_announced)


def replica_role(broker: Broker) -> bytes:
    """ROLE's reply of a replica."""
    role = broker.role
    assert role.master is not None
    offset = broker.history.offset if role.link.is_up else -1
    host = role.master.host.encode("utf-8", "surrogateescape")
    state = role.link.state.encode()
    return array([bulk(b"slave"), bulk(host), integer(role.master.port), bulk(state), integer(offset)])
