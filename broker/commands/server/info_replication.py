"""INFO's section Replication, and ROLE: this broker's stream, and who receives it."""

from __future__ import annotations

from collections.abc import Iterator

from broker.broker import Broker, Client
from broker.commands.server.info_replica import replica_fields, replica_role
from broker.replication.replicas import ONLINE
from broker.table.command import FAST, LOADING, NOSCRIPT, STALE, command
from protocol.replies import array, bulk, bulks, integer


def replication(broker: Broker) -> Iterator[tuple[str, object]]:
    """The fields of the section."""
    yield "role", "slave" if broker.role.is_replica else "master"
    yield from replica_fields(broker)
    yield from _replicas(broker)
    yield "master_failover_state", broker.failover.state
    yield from _stream(broker)


def _replicas(broker: Broker) -> Iterator[tuple[str, object]]:
    replicas, config = broker.replicas, broker.config
    yield "connected_slaves", len(replicas.by_session)
    if config.min_replicas_to_write and config.min_replicas_max_lag:
        yield "min_slaves_good_slaves", replicas.good()
    for number, replica in enumerate(replicas.by_session.values()):
        lag = replica.lag() if replica.state == ONLINE else 0
        place = f"ip={replica.host},port={replica.settings.port}"
        progress = f"state={replica.state},offset={max(0, replica.acknowledged)},lag={lag}"
        yield f"slave{number}", f"{place},{progress},io-thread=0"


def _stream(broker: Broker) -> Iterator[tuple[str, object]]:
    broker.feed.flush()
    history = broker.history
    backlog = history.backlog
    yield "master_replid", history.id
    yield "master_replid2", history.second_id
    yield "master_repl_offset", history.offset
    yield "second_repl_offset", history.second_offset
    yield "repl_backlog_active", int(backlog is not None)
    yield "repl_backlog_size", broker.config.repl_backlog_size
    yield "repl_backlog_first_byte_offset", 0 if backlog is None else backlog.start + 1
    yield "repl_backlog_histlen", 0 if backlog is None else backlog.length


@command("ROLE", arity=1, flags=NOSCRIPT | LOADING | STALE | FAST, group="server", since="2.8.12",
         summary="Returns the replication role, and the replicas.", complexity="O(1)",
         categories=("admin", "dangerous"))  # fmt: skip
def role(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    if broker.role.is_replica:
        return replica_role(broker)
    broker.feed.flush()
    places = [
        (replica.host.encode(), b"%d" % replica.settings.port, b"%d" % max(0, replica.acknowledged))
        for replica in broker.replicas.online
    ]
    return array([bulk(b"master"), integer(broker.history.offset), array([bulks(place) for place in places])])
