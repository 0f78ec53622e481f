"""The one loader of compiled twins.

A twin is a Cython module next to its Python reference (`_bits.pyx` next to `bits.py`) with some of the same functions
or classes, only faster. The reference is complete in Python, then prefers its twin:

    prefer(globals(), "broker.values._bits", "combine", "exchange")

Without a compiler, or with TRIMARAN_PURE=1 in the environment, the reference runs. Because names are replaced in the
namespace, they keep the types that the reference declares. The loader is in this package, below everything else,
because the protocol has twins too.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

IN_USE: Final[dict[str, bool]] = {}
"""For each twin that has been asked for, by module: whether it is in use."""


def prefer(namespace: dict[str, Any], twin: str, *names: str) -> None:
    """Replace `names` in `namespace` with the compiled ones of the module `twin`, if it was built."""
    IN_USE[twin] = False
    if os.environ.get("TRIMARAN_PURE") == "1":
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
