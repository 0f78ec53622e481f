"""The one loader of compiled twins.

A twin is a module in Cython beside its reference in Python (`_bits.pyx` beside `bits.py`) with some of its functions or
classes, the same but faster. The reference stands whole in Python, then prefers its twin:

    prefer(globals(), "broker.values._bits", "combine", "exchange")

Without a compiler, or with TRIMARAN_PURE=1 in the environment, the reference is what runs. Since they are replaced in
the namespace, the names keep the types that the reference declares. The loader is in this package, below everything,
because the protocol has twins too.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

IN_USE: Final[dict[str, bool]] = {}
"""The twins that were asked for so far, by module: whether they are in use."""


def prefer(namespace: dict[str, Any], twin: str, *names: str) -> None:
    """Put the compiled `names` of the module `twin` in place of those in `namespace`, where it was built."""
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
    """The twins that were asked for and are not in use."""
    return [twin for twin, in_use in IN_USE.items() if not in_use]
