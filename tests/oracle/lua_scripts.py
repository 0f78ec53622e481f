"""Scripts as commands to both servers."""

import re

from tests.oracle.harness import Command, same

__all__ = ["evaluate", "script", "without_addresses"]


def script(source: str, *arguments: str | bytes | int, keys: int = 0, by: str = "EVAL") -> Command:
    """An EVAL, or another command that takes a script's source, of which the first `keys` arguments are keys."""
    return [by, source, keys, *arguments]


def evaluate(*sources: str, setup: tuple[str, ...] = ()) -> None:
    """Scripts one after another, behind the commands of `setup`, and the keys that they leave."""
    same([*setup, *(script(source) for source in sources)], state=True)


def without_addresses(reply: bytes) -> bytes:
    """A mask for the addresses of tables and functions, which are in their texts."""
    return re.sub(rb"0x[0-9a-f]+", b"<address>", reply)
