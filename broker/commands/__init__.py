"""The commands, a folder per family; importing this package declares all of them (see broker.table.command)."""

from collections.abc import Sequence
from importlib import import_module
from pkgutil import walk_packages

from broker.table.command import CommandTable

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)


def command_table(renamed: Sequence[tuple[bytes, bytes]] = ()) -> CommandTable:
    """A broker's own table of all commands; `renamed` as CommandTable takes it, ValueError where it can't be."""
    return CommandTable(renamed)
