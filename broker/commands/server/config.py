"""CONFIG: reading and changing directives, and resetting the statistics."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.config import rewrite
from broker.config.directives import BY_NAME
from broker.config.kinds import text_of
from broker.table.command import ADMIN, LOADING, NOSCRIPT, STALE, command, container
from protocol.errors import SYNTAX, CommandError
from protocol.replies import OK

NO_FILE: Final = b"ERR The server is running without a config file"

_ADMIN: Final = ADMIN | NOSCRIPT | LOADING | STALE
_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")

container("CONFIG", group="server", since="2.0.0", summary="A container for commands about the broker's configuration.")

declare_help(
    "CONFIG",
    group="server",
    since="5.0.0",
    usage={"GET": "<pattern> [<pattern> ...]", "SET": "<directive> <value> [<directive> <value> ...]"},
)


@command("CONFIG|GET", arity=-3, flags=_ADMIN, group="server", since="2.0.0",
         syntax="parameter ...", summary="Returns the directives that match glob patterns, with their values.",
         complexity="O(N) when N is the number of configuration parameters provided")  # fmt: skip
def config_get(session: Client, args: list[bytes]) -> bytes:
    return session.resp.bulk_map(session.broker.config.get(args[2:]))


@command("CONFIG|SET", arity=-4, flags=_ADMIN, group="server", since="2.0.0",
         syntax="<parameter value> ...", summary="Changes directives while the broker runs, all of them or none.",
         complexity="O(N) when N is the number of configuration parameters provided", tips=_ALL_NODES)  # fmt: skip
def config_set(session: Client, args: list[bytes]) -> bytes:
    if len(args) % 2:
        raise CommandError(SYNTAX)
    pairs = list(zip(args[2::2], args[3::2], strict=True))
    broker = session.broker
    broker.config.set(pairs, local=session.transport.is_local(), loading=broker.state.loading)
    named = {BY_NAME[text_of(name.lower())].name for name, _ in pairs}
    for name in sorted(named.intersection(broker.config.without_effect())):
        broker.log.warning(f"CONFIG SET: {name} has no effect here")
    return OK


@command("CONFIG|REWRITE", arity=2, flags=_ADMIN, group="server", since="2.8.0",
         summary="Writes the current directives to the configuration file.", complexity="O(1)",
         tips=_ALL_NODES)  # fmt: skip
def config_rewrite(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    if broker.config.file is None:
        raise CommandError(NO_FILE)
    try:
        users = [] if broker.users.path() else [b"%b %b" % (user.name, user.describe()) for user in broker.users]
        rewrite(broker.config, broker.config.file, users)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        broker.log.warning("CONFIG REWRITE failed", file=broker.config.file, reason=reason)
        raise CommandError(b"ERR Rewriting config file: " + reason.encode()) from None
    broker.log.notice("CONFIG REWRITE done", file=broker.config.file)
    return OK


@command("CONFIG|RESETSTAT", arity=2, flags=_ADMIN, group="server", since="2.0.0",
         summary="Resets the counters that INFO shows.", complexity="O(1)", tips=_ALL_NODES)  # fmt: skip
def config_resetstat(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    broker.stats.reset()
    keyspace = broker.keyspace
    keyspace.access.forget_hits()
    keyspace.expired = keyspace.expired_fields = 0
    keyspace.expired_on_access = keyspace.expired_fields_on_access = keyspace.expiry_batches_full = 0
    keyspace.expiry_seconds = 0.0
    broker.reclaimer.freed = 0
    persistence = broker.persistence
    persistence.background.forks = 0
    persistence.background.fork_seconds = 0.0
    persistence.snapshots.saves = persistence.snapshots.failures = 0
    persistence.rewrites.count = persistence.rewrites.failures = 0
    persistence.journal.delayed_syncs = 0
    syncs = broker.full_syncs
    syncs.count = syncs.continued = syncs.refused = broker.snapshot_transfers.count = 0
    broker.slowlog.reset_counters()
    for each in broker.commands:
        each.calls = each.rejected = each.failed = 0
        each.seconds = 0.0
        each.histogram = None
    return OK
