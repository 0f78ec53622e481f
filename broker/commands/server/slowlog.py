"""SLOWLOG: the commands that took long."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.observation.command_log import Entry
from broker.table.arguments import MAX_INTEGER, integer_between
from broker.table.command import ADMIN, LOADING, STALE, command, container
from protocol.errors import CommandError, wrong_form
from protocol.replies import OK, array, bulk, bulks
from protocol.replies import integer as integer_reply

BAD_COUNT: Final = b"ERR count should be greater than or equal to -1"

_FLAGS: Final = ADMIN | LOADING | STALE
_DEFAULT_COUNT: Final = 10

container("SLOWLOG", group="server", since="2.2.12", summary="A container for commands about the slow log.")

declare_help("SLOWLOG", group="server", since="6.2.0", usage={"GET": "[<count>]"})


@command("SLOWLOG|GET", arity=-2, flags=_FLAGS, group="server", since="2.2.12",
         syntax="[count:integer]",
         summary="Returns the last slow commands, newest first: 10 of them, or count (-1: all).",
         complexity="O(N) where N is the number of entries returned",
         tips=("request_policy:all_nodes", "nondeterministic_output"))  # fmt: skip
def slowlog_get(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_form(args))
    count = integer_between(args[2], -1, MAX_INTEGER, BAD_COUNT) if len(args) == 3 else _DEFAULT_COUNT
    entries = list(session.broker.slowlog.entries)
    return array([_entry(entry) for entry in (entries if count < 0 else entries[:count])])


def _entry(entry: Entry) -> bytes:
    return array([
        integer_reply(entry.id), integer_reply(entry.at), integer_reply(entry.amount), bulks(entry.args),
        bulk(entry.peer), bulk(entry.client), integer_reply(entry.argc),
    ])  # fmt: skip


@command("SLOWLOG|LEN", arity=2, flags=_FLAGS, group="server", since="2.2.12",
         summary="Returns the number of commands in the slow log.", complexity="O(1)",
         tips=("request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"))  # fmt: skip
def slowlog_len(session: Client, args: list[bytes]) -> bytes:
    return integer_reply(len(session.broker.slowlog.entries))


@command("SLOWLOG|RESET", arity=2, flags=_FLAGS, group="server", since="2.2.12",
         summary="Removes all commands from the slow log.",
         complexity="O(N) where N is the number of entries in the slowlog",
         tips=("request_policy:all_nodes", "response_policy:all_succeeded"))  # fmt: skip
def slowlog_reset(session: Client, args: list[bytes]) -> bytes:
    session.broker.slowlog.entries.clear()
    return OK
