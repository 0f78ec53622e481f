"""The one loader of what is compiled: twins, and modules compiled from their own source.

A **twin** is a Cython module next to its Python reference (`_bits.pyx` next to `bits.py`) with some of the same
functions or classes, only faster. The reference is complete in Python, then prefers its twin:

    prefer(globals(), "broker.values._bits", "combine", "exchange")

Because names are replaced in the namespace, they keep the types that the reference declares.

A module **compiled from its own source** (by mypyc; broker/native.py lists them) is an extension next to that source,
and the import system takes the extension. That would be a trap for anyone who edits the source, so the build records
what it compiled, and `Guard` refuses an extension whose source has changed since.

Without a compiler, or with TRIMARAN_PURE=1 in the environment, the Python sources run. The loader is in this package,
below everything else, because the protocol has compiled parts too.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, Final
from zlib import crc32

IN_USE: Final[dict[str, bool]] = {}
"""For each twin that has been asked for, by module: whether it is in use."""

RECORD: Final = Path(__file__).with_name(f"_compiled.{sysconfig.get_config_var('SOABI')}.txt")
"""Written by the build: for each module compiled from its own source a line, the source's checksum and the name."""


def pure() -> bool:
    """Whether compiled parts are kept out."""
    return os.environ.get("TRIMARAN_PURE") == "1"


def prefer(namespace: dict[str, Any], twin: str, *names: str) -> None:
    """Replace `names` in `namespace` with the compiled ones of the module `twin`, if it was built."""
    IN_USE[twin] = False
    if pure():
        return
    try:
        compiled = import_module(twin)
    except ImportError:
        return
    namespace.update({name: getattr(compiled, name) for name in names})
    IN_USE[twin] = True


def missing() -> list[str]:
    """The twins that have been asked for and are not in use."""
    return [twin for twin, in_use in IN_USE.items() if not in_use]


class StaleBuildError(ImportError):
    """A module was compiled from another source than the one beside it."""


def checksum(source: Path) -> str:
    """What the build writes down of a source."""
    return f"{crc32(source.read_bytes()):08x}"


def compiled_modules(record: Path = RECORD) -> dict[str, str]:
    """The modules that the build for this interpreter compiled from their own source, with the sources' checksums."""
    try:
        lines = record.read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: known for known, name in (line.split() for line in lines if not line.startswith("#"))}


class Guard:
    """Finds this project's modules in place of the ordinary finder, which would take any extension it sees."""

    def __init__(self, compiled: dict[str, str]) -> None:
        """`compiled` is what the build wrote down."""
        self._compiled = compiled

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """What the import system asks of a finder. Raises StaleBuildError."""
        if not name.startswith(("broker.", "protocol.")):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None or not spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
            return spec
        source = Path(spec.origin).with_name(name.rpartition(".")[2] + ".py")
        if not source.exists():
            return spec  # a twin
        if pure():
            return spec_from_file_location(name, source)
        if self._compiled.get(name) != checksum(source):
            raise StaleBuildError(
                f"{name} was compiled from another version of {source}. Build it again (make does;"
                " or python setup.py build_ext --inplace), or set TRIMARAN_PURE=1 to run the sources",
                name=name,
                path=spec.origin,
            )
        return spec


sys.meta_path.insert(0, Guard(compiled_modules()))
