"""Running a command inside a test: its arguments parsed as ever, its output kept, its client the test's."""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from types import ModuleType
from typing import Any

import coredis
import pytest
import trio

from consumers.commands.running import Output

Client = coredis.Redis[bytes]


class Kept(Output):
    """Output that stays in the test."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.lines: list[str] = []

    @property
    def is_terminal(self) -> bool:
        return False

    async def line(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self.lines.append(text)


def prepared(
    module: ModuleType, words: Sequence[str]
) -> tuple[Callable[[Client, argparse.Namespace, Output], Awaitable[int]], argparse.Namespace]:
    """What the module would run for these arguments."""
    found: list[Any] = []

    def keep(command: Any, options: argparse.Namespace, name: str) -> int:
        found.append((command, options))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run", keep)
        assert module.main(words) == 0
    command, options = found[0]
    return command, options


async def lines(module: ModuleType, client: Client, *words: str, output: Kept | None = None) -> list[str]:
    """The lines that a command prints, once it has ended."""
    command, options = prepared(module, words)
    output = output or Kept()
    assert await command(client, options, output) == 0
    return output.lines
