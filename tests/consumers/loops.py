"""On which loop a test's processes run: on that of the test."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

__all__ = ["VARIABLE", "current", "run"]

VARIABLE = "TRIMARAN_TEST_LOOP"
"""The variable of the environment that names it for processes; the fixture `loop` sets it."""


def current() -> str:
    """Return "trio" or "asyncio"."""
    return os.environ.get(VARIABLE, "trio")


def run(main: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
    """anyio.run() on that loop."""
    return anyio.run(main, *arguments, backend=current())
