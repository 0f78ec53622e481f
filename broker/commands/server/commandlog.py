"""COMMANDLOG: Valkey's name for the slow log, with logs of large requests and large replies beside it."""

from __future__ import annotations

from typing import Final

from broker.broker import Broker, Client
from broker.commands.help import declare_help
from broker.commands.server.slowlog import BAD_COUNT
from broker.observation.command_log import CommandLog, Entry
from broker.table.arguments import MAX_INTEGER, integer_between
from broker.table.command import ADMIN, LOADING, STALE, command, container
from protocol.errors import CommandError
from protocol.replies import OK, array, bulk, bulks
from protocol.replies import integer as integer_reply

BAD_TYPE: Final = b"ERR type should be one of the following: slow, large-request, large-reply"

_FLAGS: Final = ADMIN | LOADING | STALE
_TYPE: Final = "type=<SLOW | LARGE-REQUEST | LARGE-REPLY>"

container("COMMANDLOG", group="server", since="8.1.0", summary="A container for commands about the command logs.")

declare_help(
    "COMMANDLOG",
    group="server",
    since="8.1.0",
    usage={"GET": "<count> <type>", "LEN": "<type>", "RESET": "<type>"},
)


def _log(broker: Broker, name: bytes) -> CommandLog:
    match name.lower():
        case b"slow":
            return broker.slowlog
        case b"large-request":
            return broker.large_requests
        case b"large-reply":
            return broker.large_replies
    raise CommandError(BAD_TYPE)


@command("COMMANDLOG|GET", arity=4, flags=_FLAGS, group="server", since="8.1.0",
         syntax=f"count:integer {_TYPE}",
         summary="Returns the last commands that were slow, or large, newest first: count of them (-1: all).",
         complexity="O(N) where N is the number of entries returned",
         tips=("request_policy:all_nodes", "nondeterministic_output"))  # fmt: skip
def commandlog_get(session: Client, args: list[bytes]) -> bytes:
    count = integer_between(args[2], -1, MAX_INTEGER, BAD_COUNT)
    entries = list(_log(session.broker, args[3]).entries)
    return array([_entry(entry) for entry in (entries if count < 0 else entries[:count])])


def _entry(entry: Entry) -> bytes:
    return array([
        integer_reply(entry.id), integer_reply(entry.at), integer_reply(entry.amount), bulks(entry.args),
        bulk(entry.peer), bulk(entry.client),
    ])  # fmt: skip


@command("COMMANDLOG|LEN", arity=3, flags=_FLAGS, group="server", since="8.1.0",
         syntax=_TYPE, summary="Returns the number of commands in a log.", complexity="O(1)",
         tips=("request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"))  # fmt: skip
def commandlog_len(session: Client, args: list[bytes]) -> bytes:
    return integer_reply(len(_log(session.broker, args[2]).entries))


@command("COMMANDLOG|RESET", arity=3, flags=_FLAGS, group="server", since="8.1.0",
         syntax=_TYPE, summary="Removes all commands from a log.",
         complexity="O(N) where N is the number of entries in the commandlog",
         tips=("request_policy:all_nodes", "response_policy:all_succeeded"))  # fmt: skip
def commandlog_reset(session: Client, args: list[bytes]) -> bytes:
    _log(session.broker, args[2]).entries.clear()
    return OK
