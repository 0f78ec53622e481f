"""The commands, one family a module; importing this package declares all of them (see broker.registry)."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
