"""The commands, a folder per family; importing this package declares all of them (see broker.table.command)."""

from importlib import import_module
from pkgutil import walk_packages

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)
