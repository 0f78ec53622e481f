"""The HELP subcommand of container commands, made from the registry.

Redis keeps these texts by hand, beside the same facts in its command table. Here the summaries of the declared
subcommands are the help, so that it can't tell of a subcommand that is not there, or miss one that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from broker.broker import Client
from broker.table.command import LOADING, STALE, command
from protocol.replies import array, simple


def declare_help(
    container: str,
    *,
    group: str,
    since: str,
    usage: Mapping[str, str] | None = None,
    categories: Sequence[str] = (),
) -> None:
    """Declare `CONTAINER HELP`; `usage` maps subcommands to the arguments that follow their names."""
    arguments = {name.lower().encode(): text.encode() for name, text in (usage or {}).items()}

    @command(
        f"{container}|HELP",
        arity=2,
        flags=LOADING | STALE,
        group=group,
        since=since,
        summary="Prints this help.",
        complexity="O(1)",
        categories=categories,
    )
    def help_(session: Client, args: list[bytes]) -> bytes:
        found = session.broker.commands.by_name[args[0].lower()]
        lines = [b"%b <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" % args[0].upper()]
        for name, subcommand in sorted(found.subcommands.items()):
            if name != b"help":
                lines += [
                    b" ".join(filter(None, (name.upper(), arguments.get(name)))),
                    b"    " + subcommand.summary.encode(),
                ]
        lines += [b"HELP", b"    Prints this help."]
        return array([simple(line) for line in lines])
