"""Notices that source files have changed, for `trimaran work --reload`."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

__all__ = ["available", "changes"]

THREAD_MS = 200
"""How long the thread that watches may hold up the end of the program."""


def available() -> bool:
    """Whether the library that watches files is installed."""
    return importlib.util.find_spec("watchfiles") is not None


async def changes(folder: Path) -> AsyncIterator[str]:
    """Yield, for each batch of changes of Python files in a folder and those in it, the names of some of them."""
    from watchfiles import PythonFilter, awatch

    # what has changed is logged by the caller
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # interrupts are the program's own affair
    async for batch in awatch(folder, watch_filter=PythonFilter(), rust_timeout=THREAD_MS, raise_interrupt=False):
        names = sorted({os.path.relpath(path, folder) for _, path in batch})
        yield ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
