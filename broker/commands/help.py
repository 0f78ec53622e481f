"""The HELP subcommand of container commands, generated from the command table.

Redis writes these texts by hand, although its command table holds the same facts. Here the help is made of the
declared subcommands' summaries, so it can neither list a subcommand that does not exist nor miss one that does.
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
    """Declares `CONTAINER HELP`; `usage` maps a subcommand to the arguments that follow its name."""
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
