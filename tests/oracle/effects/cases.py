"""What a case is, and how families of cases are written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.oracle.wire import split

__all__ = ["FIXED", "PAST", "SOON", "Case", "Cases", "Line", "after", "served", "silent"]

Line = str | Sequence[str | bytes | int]

SOON = 4_102_444_800_000
"""A deadline in milliseconds that no run of the tests reaches: the year 2100."""

PAST = 1_000
"""A deadline in milliseconds that has passed."""

FIXED = f"PXAT {SOON}"


@dataclass(frozen=True)
class Case:
    """A command after some preparation; `then` is what another client does while the command waits.

    `{COMMAND ...}` as an argument stands for the reply to that command, `{NEWER COMMAND ...}` for a reply that is a
    payload of an old version as newer servers write it, and `{PORT}` for the port of another server.
    `silent` says that the command, although it may write, has no effect to propagate.
    """

    setup: tuple[Line, ...]
    command: Line
    then: tuple[Line, ...] = ()
    silent: bool = False

    def words(self) -> list[bytes]:
        return words(self.command)

    def __str__(self) -> str:
        text = " ".join(word.decode(errors="backslashreplace") for word in self.words())
        return text if len(text) <= 100 else text[:97] + "..."


Cases = Mapping[str, Sequence[Case]]


def words(line: Line) -> list[bytes]:
    if isinstance(line, str):
        return split(line)
    return [word if isinstance(word, bytes) else str(word).encode() for word in line]


Setup = str | Sequence[Line]
"""Commands, or the text of several, separated by `; `."""


def _lines(given: Setup) -> tuple[Line, ...]:
    if isinstance(given, str):
        return tuple(given.split("; ")) if given else ()
    return tuple(given)


def after(setup: Setup, *commands: Line) -> list[Case]:
    """Each of the commands alone, after the same preparation."""
    return [Case(_lines(setup), command) for command in commands]


def silent(setup: Setup, *commands: Line) -> list[Case]:
    """The same for commands whose call has nothing to propagate."""
    return [Case(_lines(setup), command, silent=True) for command in commands]


def served(setup: Setup, command: Line, then: Setup) -> list[Case]:
    """A command that waits until another client sends the lines `then`."""
    return [Case(_lines(setup), command, _lines(then))]
