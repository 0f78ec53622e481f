"""Commands of Redis Cluster. A single broker answers them as a redis-server without cluster support does.

Clients, proxies and dashboards probe with them: the answer that cluster support is disabled makes them go on without,
whereas an unknown command would make some of them give up.
"""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.table.command import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NOSCRIPT, STALE, WRITE, command, container
from protocol.errors import CommandError

DISABLED: Final = b"ERR This instance has cluster support disabled"

_CHANGES: Final = ADMIN | STALE | NO_ASYNC_LOADING
_TELLS: Final = LOADING | STALE
_VARYING: Final = ("nondeterministic_output",)
_SLOTS: Final = "range=<start-slot:integer end-slot:integer> ..."

container("CLUSTER", group="cluster", since="3.0.0", summary="A container for commands about Redis Cluster.")


def disabled(session: Client, args: list[bytes]) -> bytes:
    raise CommandError(DISABLED)


def _declare(
    name: str,
    arity: int,
    flags: int,
    syntax: str = "",
    since: str = "3.0.0",
    *,
    tips: tuple[str, ...] = (),
    replaced: tuple[str, str] = ("", ""),
) -> None:
    """Declares a command that a broker which isn't part of a cluster refuses, whatever its arguments are.

    `replaced` is the version that deprecated it and the command that replaced it.
    """
    command(
        name, arity=arity, flags=flags, group="cluster", since=since, syntax=syntax, tips=tips,
        summary="Refused: there is no cluster support.", complexity="O(1)",
        deprecated_since=replaced[0], replaced_by=replaced[1],
    )(disabled)  # fmt: skip


_declare("CLUSTER|ADDSLOTS", -3, _CHANGES, "slot:integer ...")
_declare("CLUSTER|ADDSLOTSRANGE", -4, _CHANGES, _SLOTS, "7.0.0")
_declare("CLUSTER|BUMPEPOCH", 2, _CHANGES, tips=_VARYING)
_declare("CLUSTER|COUNT-FAILURE-REPORTS", 3, ADMIN | _TELLS, "node-id", tips=_VARYING)
_declare("CLUSTER|COUNTKEYSINSLOT", 3, STALE, "slot:integer")
_declare("CLUSTER|DELSLOTS", -3, _CHANGES, "slot:integer ...")
_declare("CLUSTER|DELSLOTSRANGE", -4, _CHANGES, _SLOTS, "7.0.0")
_declare("CLUSTER|FAILOVER", -2, _CHANGES, "options=[FORCE|TAKEOVER]")
_declare("CLUSTER|FLUSHSLOTS", 2, _CHANGES)
_declare("CLUSTER|FORGET", 3, _CHANGES, "node-id")
_declare("CLUSTER|GETKEYSINSLOT", 4, STALE, "slot:integer count", tips=_VARYING)
_declare("CLUSTER|HELP", 2, _TELLS, since="5.0.0")
_declare("CLUSTER|INFO", 2, _TELLS, tips=_VARYING)
_declare("CLUSTER|KEYSLOT", 3, _TELLS, "key:string")
_declare("CLUSTER|LINKS", 2, _TELLS, since="7.0.0", tips=_VARYING)
_declare("CLUSTER|MEET", -4, _CHANGES, "ip port:integer [cluster-bus-port:integer]@4.0.0")
_declare("CLUSTER|MIGRATION", -4, _CHANGES,
         "subcommand=<IMPORT <start-slot:integer end-slot:integer> ...|CANCEL <ID task-id|ALL>"
         "|STATUS <[ID task-id]|[ALL]>>", "8.4.0")  # fmt: skip
_declare("CLUSTER|MYID", 2, _TELLS)
_declare("CLUSTER|MYSHARDID", 2, _TELLS, since="7.2.0", tips=_VARYING)
_declare("CLUSTER|NODES", 2, _TELLS, tips=_VARYING)
_declare("CLUSTER|REPLICAS", 3, ADMIN | _TELLS, "node-id", "5.0.0", tips=_VARYING)
_declare("CLUSTER|REPLICATE", 3, _CHANGES, "node-id")
_declare("CLUSTER|RESET", -2, ADMIN | NOSCRIPT | STALE, "reset-type=[HARD|SOFT]")
_declare("CLUSTER|SAVECONFIG", 2, _CHANGES)
_declare("CLUSTER|SET-CONFIG-EPOCH", 3, _CHANGES, "config-epoch:integer")
_declare("CLUSTER|SETSLOT", -4, _CHANGES,
         "slot:integer subcommand=<importing=IMPORTING node-id|migrating=MIGRATING node-id|node=NODE node-id"
         "|STABLE>")  # fmt: skip
_declare("CLUSTER|SHARDS", 2, _TELLS, since="7.0.0", tips=_VARYING)
_declare("CLUSTER|SLAVES", 3, ADMIN | _TELLS, "node-id", tips=_VARYING, replaced=("5.0.0", "`CLUSTER REPLICAS`"))
_declare("CLUSTER|SLOT-STATS", -4, _TELLS,
         "filter=<SLOTSRANGE start-slot:integer end-slot:integer|ORDERBY <metric [LIMIT limit] order=[ASC|DESC]>>",
         "8.2.0", tips=("nondeterministic_output", "request_policy:all_shards"))  # fmt: skip
_declare("CLUSTER|SLOTS", 2, _TELLS, tips=_VARYING, replaced=("7.0.0", "`CLUSTER SHARDS`"))
_declare("CLUSTER|SYNCSLOTS", -3, _CHANGES,
         "subcommand=<SYNC <task-id slot-range=<start-slot:integer end-slot:integer> ...>|RDBCHANNEL task-id"
         "|SNAPSHOT-EOF|STREAM-EOF|ACK state offset|FAIL error|CONF option ... value ...>", "8.4.0",
         tips=_VARYING)  # fmt: skip


@command("ASKING", arity=1, flags=FAST, group="cluster", since="3.0.0", categories=("connection",),
         summary="Refused: there is no cluster support.", complexity="O(1)")  # fmt: skip
def asking(session: Client, args: list[bytes]) -> bytes:
    raise CommandError(DISABLED)


@command("READONLY", arity=1, flags=_TELLS | FAST, group="cluster", since="3.0.0", categories=("connection",),
         summary="Refused: there is no cluster support.", complexity="O(1)")  # fmt: skip
def readonly(session: Client, args: list[bytes]) -> bytes:
    raise CommandError(DISABLED)


@command("READWRITE", arity=1, flags=_TELLS | FAST, group="cluster", since="3.0.0", categories=("connection",),
         summary="Refused: there is no cluster support.", complexity="O(1)")  # fmt: skip
def readwrite(session: Client, args: list[bytes]) -> bytes:
    raise CommandError(DISABLED)


@command("TRIMSLOTS", arity=-5, flags=WRITE, group="server", since="8.4.0", categories=("keyspace", "dangerous"),
         syntax="RANGES <numranges:integer slots=<startslot:integer endslot:integer> ...>",
         summary="Refused: there is no cluster support.", complexity="O(1)")  # fmt: skip
def trimslots(session: Client, args: list[bytes]) -> bytes:
    raise CommandError(DISABLED)
