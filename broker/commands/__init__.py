"""The commands, a folder per family; importing this package declares all of them (see broker.table.command)."""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import walk_packages

from broker.table.command import CommandTable

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)


def command_table(renamed: Sequence[tuple[bytes, bytes]] = (), *, extensions: bool = False) -> CommandTable:
    """Returns a broker's own table of all commands. The arguments are CommandTable's; raises its ValueError."""
    return CommandTable(renamed, extensions=extensions)
