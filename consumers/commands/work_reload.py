"""Notices that source files have changed, for `trimaran work --reload`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path

__all__ = ["available", "changes"]


def available() -> bool:
    """Whether the library that watches files is installed."""
    return importlib.util.find_spec("watchfiles") is not None


async def changes(folder: Path) -> AsyncIterator[str]:
    """Yield, for each batch of changes of Python files in a folder and those in it, the names of some of them."""
    from watchfiles import PythonFilter, awatch

    # interrupts are the program's own affair
    async for batch in awatch(folder, watch_filter=PythonFilter(), raise_interrupt=False):
        names = sorted({os.path.relpath(path, folder) for _, path in batch})
        yield ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
